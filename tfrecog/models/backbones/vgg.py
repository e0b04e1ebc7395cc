"""VGG16 (Simonyan and Zisserman 2015, configuration D), the convolutions; fc6 to fc8 are in the classifier."""

import tensorflow as tf

from tfrecog.models.layers import Backbone, Conv

# Convolutions and channels of conv1..conv5 (table 1, D).
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class Vgg16(Backbone):
    """[B, H, W, 3] to {level: [B, H / 2**level, W / 2**level, C]}: conv1 is level 0, conv5 level 4; sizes rounded down.

    Convolutions start as in He et al. 2015, which learns without the paper's start from a network of fewer layers.

    Args:
        norm: as of `conv.Conv`; "none" in the paper.
        pooled: an FCN's form (Shelhamer et al. 2017): the levels are 1 to 5 and their maps those of the poolings, sizes
            rounded up, as the paper's framework does: pooling l covers the whole image with cells of 2**l pixels, and
            where it sticks out the maximum is of what there is.
        frozen_stages: so many blocks, from conv1 on, do not learn.
    """

    half_pixels = True  # Cell i of pooling l covers the pixels from 2**l * i to 2**l * (i + 1).

    def __init__(
        self,
        norm: str = "none",
        epsilon: float = 1e-5,
        pooled: bool = False,
        frozen_stages: int = 0,
        name: str = "backbone",
    ):
        super().__init__(name=name)
        self.pooled = pooled
        self.blocks = [
            [
                Conv(channels, 3, norm=norm, epsilon=epsilon, relu=True, name=f"conv{block}_{i + 1}")
                for i in range(convs)
            ]
            for block, (convs, channels) in enumerate(BLOCKS, start=1)
        ]
        self.channels = {level: channels for level, (_, channels) in enumerate(BLOCKS, start=int(pooled))}
        self.strides = {level: 2**level for level in self.channels}
        for conv in [conv for block in self.blocks[:frozen_stages] for conv in block]:
            conv.trainable = False

    def call(self, image, training=False):
        x, features = image, {}
        for level, block in enumerate(self.blocks):
            if level and not self.pooled:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            for conv in block:
                x = conv(x, training=training)
            if self.pooled:  # "SAME" is padded at the end alone, with what is less than all maxima.
                x = features[level + 1] = tf.nn.max_pool2d(x, 2, 2, "SAME")
            else:
                features[level] = x
        return features
