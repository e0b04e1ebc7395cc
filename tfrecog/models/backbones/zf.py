"""ZF: AlexNet with a smaller and denser first layer (Zeiler and Fergus 2014), as Faster R-CNN uses it."""

import tensorflow as tf

from tfrecog.models.layers import Backbone, Conv, padded


class Zf(Backbone):
    """[B, H, W, 3] to {4: conv5 [B, H / 16, W / 16, 256]}.

    Conv1 has 7x7 kernels and stride 2, conv2 5x5 and stride 2; a pooling of 3x3 and stride 2 follows each. All of them
    are padded by half their window, so that cell i is centred at pixel 16 * i, as in a ResNet; the paper, of a
    classifier, leaves some of these zeros out and shifts the cells. Normalisation is over 5 neighbouring channels with
    the numbers of Krizhevsky et al. 2012.

    Args:
        frozen_stages: so many convolutions, from conv1 on, do not learn.
    """

    def __init__(self, frozen_stages: int = 0, name: str = "backbone"):
        super().__init__(name=name)
        self.conv1 = Conv(96, 7, 2, relu=True, name="conv1")
        self.conv2 = Conv(256, 5, 2, relu=True, name="conv2")
        self.conv3 = Conv(384, 3, relu=True, name="conv3")
        self.conv4 = Conv(384, 3, relu=True, name="conv4")
        self.conv5 = Conv(256, 3, relu=True, name="conv5")
        self.channels, self.strides = {4: 256}, {4: 16}
        for conv in [self.conv1, self.conv2, self.conv3, self.conv4, self.conv5][:frozen_stages]:
            conv.trainable = False

    def call(self, image, training=False):
        x = self._reduced(self.conv1(image, training=training), training and self.conv1.trainable)
        x = self._reduced(self.conv2(x, training=training), training and self.conv2.trainable)
        for conv in (self.conv3, self.conv4, self.conv5):
            x = conv(x, training=training)
        return {4: x}

    def _reduced(self, x, learns):
        """[B, H, W, C] to [B, H / 2, W / 2, C], normalised and pooled; zeros change no maximum after a ReLU."""
        # In float32, as all normalisation; on a CPU there is none in bfloat16.
        normalised = tf.nn.local_response_normalization(
            tf.cast(x, tf.float32), depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75
        )
        return padded(tf.nn.max_pool2d, tf.cast(normalised, x.dtype), 3, 2, pad=1, learns=learns)
