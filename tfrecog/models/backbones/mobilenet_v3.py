"""MobileNetV3-Large (Howard et al. 2019), as torchvision has it."""

import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models.layers import Backbone, Composite, Conv

# Table 1: kernel, expanded channels, channels, squeeze and excite, hard swish, stride.
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
STEM, LAST = 16, 960


class SqueezeExcite(Composite):
    """[B, H, W, C] with each channel scaled by what the means of all channels say of it (Hu et al. 2018)."""

    def __init__(self, channels: int, name: str):
        super().__init__(name=name)
        self.squeeze = Conv(_squeezed(channels), 1, relu=True, name="squeeze")
        self.excite = Conv(channels, 1, name="excite")

    def call(self, x):
        means = tf.reduce_mean(tf.cast(x, tf.float32), axis=[1, 2], keepdims=True)
        return x * _hard_sigmoid(self.excite(self.squeeze(means)))


class Block(Composite):
    """Expand, filter each channel by itself, squeeze and excite, project; with a shortcut where the shapes allow it."""

    def __init__(self, inputs: int, row: tuple, norm: dict, name: str):
        super().__init__(name=name)
        size, expanded, channels, excite, hard, stride = row
        self.activation = hard_swish if hard else tf.nn.relu
        self.residual = stride == 1 and inputs == channels
        self.expand = Conv(expanded, 1, **norm, name="expand") if expanded != inputs else None
        self.depthwise = Conv(expanded, size, stride, groups=expanded, **norm, name="depthwise")
        self.excite = SqueezeExcite(expanded, name="excite") if excite else None
        self.project = Conv(channels, 1, **norm, name="project")

    def call(self, x, training=False):
        y = x if self.expand is None else self.activation(self.expand(x, training=training))
        y = self.activation(self.depthwise(y, training=training))
        y = self.project(y if self.excite is None else self.excite(y), training=training)
        return x + y if self.residual else y


class MobileNetV3(Backbone):
    """[B, H, W, 3] to {5: [B, H / 32, W / 32, 160], 6: [B, H / 32, W / 32, 960]}.

    torchvision's pyramid has two maps of one size: that of the first block of stride 32, and that of the last layer.
    Stages begin where the stride grows; the first `config.frozen_stages` of the six, from the stem on, do not learn.
    """

    def __init__(self, config: BackboneConfig, name: str = "backbone"):
        super().__init__(name=name)
        norm = {"norm": config.norm, "epsilon": config.norm_epsilon}
        self.stem = Conv(STEM, 3, 2, **norm, name="stem")
        inputs = [STEM, *(row[2] for row in LARGE)]
        self.blocks = [Block(inputs[i], row, norm, name=f"block{i + 1}") for i, row in enumerate(LARGE)]
        self.last = Conv(LAST, 1, **norm, name="last")
        starts = [i for i, row in enumerate(LARGE) if row[-1] == 2]
        self.first_of_32 = starts[-1]
        self.channels = {5: LARGE[self.first_of_32][2], 6: LAST}
        self.strides = {5: 32, 6: 32}
        layers = [self.stem, *self.blocks, self.last]
        begins = [0, *(1 + i for i in starts), len(layers) - 1, len(layers)]
        for layer in layers[: begins[min(config.frozen_stages, len(begins) - 1)]]:
            layer.trainable = False

    def call(self, image, training=False):
        x = hard_swish(self.stem(image, training=training))
        features = {}
        for i, block in enumerate(self.blocks):
            x = block(x, training=training)
            if i == self.first_of_32:
                features[5] = x
        features[6] = hard_swish(self.last(x, training=training))
        return features


def hard_swish(x):
    """x · relu6(x + 3) / 6 (section 5.2)."""
    return x * _hard_sigmoid(x)


def _hard_sigmoid(x):
    return tf.nn.relu6(x + 3) / 6


def _squeezed(channels: int) -> int:
    """A quarter of `channels`, as a multiple of 8 that is not much less."""
    quarter = channels // 4
    rounded = max(8, (quarter + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * quarter else rounded
