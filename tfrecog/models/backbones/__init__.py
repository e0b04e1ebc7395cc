"""Networks below a detector or a segmenter, and those that classify: ResNet, VGG, AlexNet, MobileNet and Keras' own."""
