"""Published weights of torchvision, detectron2 and Keras, and those of this package, as runs of this library."""
