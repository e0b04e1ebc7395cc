"""AlexNet (Krizhevsky et al. 2012), in one piece and without local normalisation (Krizhevsky 2014), as torchvision's.

The layers have the paper's names: conv1 to conv5 here, and fc6 to fc8 in the classifier.
"""

import keras
import tensorflow as tf

from tfrecog.models.layers import Backbone, Conv, padded


class AlexNet(Backbone):
    """[B, H, W, 3] to {4: conv5 [B, h, w, 256]}, whose cells are 16 pixels apart.

    Args:
        centred: conv1 and the poolings are padded by half their window, so that cell i is centred at pixel 16 * i, as
            in a ResNet; so Fast R-CNN has it. Else it is 15 pixels farther, which no classifier cares about.
        frozen_stages: so many convolutions, from conv1 on, do not learn.
    """

    def __init__(self, centred: bool = False, frozen_stages: int = 0, name: str = "backbone"):
        super().__init__(name=name)
        self.centred = centred
        # Only 2 zeros around the image, fewer than half a kernel: 224 pixels give 55 cells.
        # Convolutions start as in He et al. 2015: the paper's deviation of 0.01 is for its local normalisation.
        self.conv1 = keras.layers.Conv2D(64, 11, 4, activation="relu", kernel_initializer="he_normal", name="conv1")
        self.conv2 = Conv(192, 5, relu=True, name="conv2")
        self.conv3 = Conv(384, 3, relu=True, name="conv3")
        self.conv4 = Conv(256, 3, relu=True, name="conv4")
        self.conv5 = Conv(256, 3, relu=True, name="conv5")
        self.channels, self.strides = {4: 256}, {4: 16}
        for conv in [self.conv1, self.conv2, self.conv3, self.conv4, self.conv5][:frozen_stages]:
            conv.trainable = False

    def call(self, image, training=False):
        zeros, pad = (5, 1) if self.centred else (2, 0)
        x = self.conv1(tf.pad(image, [[0, 0], [zeros] * 2, [zeros] * 2, [0, 0]]))
        x = self.conv2(_pooled(x, pad, training and self.conv1.trainable))
        x = self.conv3(_pooled(x, pad, training and self.conv2.trainable))
        return {4: self.conv5(self.conv4(x))}


def _pooled(x, pad, learns):
    """Zeros change no maximum after a ReLU."""
    return padded(tf.nn.max_pool2d, x, 3, 2, pad=pad, learns=learns) if pad else tf.nn.max_pool2d(x, 3, 2, "VALID")
