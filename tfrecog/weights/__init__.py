"""Published weights of torchvision, detectron2 and Keras, as runs of this library."""
