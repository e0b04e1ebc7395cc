"""Feature pyramid network (Lin et al. 2017)."""

import keras
import tensorflow as tf

from tfrecog.config import FpnConfig
from tfrecog.models.conv import Conv


class Fpn(keras.layers.Layer):
    """{level: [B, h, w, C]} to {level: [B, h, w, channels]}; `extra` levels above are every second cell of the last.

    Every level but the last must have twice the height and width of the next.
    """

    def __init__(self, config: FpnConfig, levels: tuple[int, ...], extra: int = 1, name: str = "fpn"):
        super().__init__(name=name)
        self.levels, self.extra = levels, extra
        options = {
            "norm": config.norm,
            "initializer": keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
        }
        self.lateral = [Conv(config.channels, 1, **options, name=f"lateral{i}") for i in levels]
        self.output_convs = [Conv(config.channels, 3, **options, name=f"output{i}") for i in levels]

    def call(self, features, training=False):
        top, pyramid = None, {}
        for level, lateral, smooth in reversed(list(zip(self.levels, self.lateral, self.output_convs, strict=True))):
            x = lateral(features[level], training=training)
            top = x if top is None else x + _twice(top)
            pyramid[level] = smooth(top, training=training)
        for level in range(self.levels[-1] + 1, self.levels[-1] + 1 + self.extra):
            pyramid[level] = pyramid[level - 1][:, ::2, ::2]  # P6 is for the RPN alone (section 4.1).
        return dict(sorted(pyramid.items()))


@tf.custom_gradient
def _twice(x):
    """Nearest-neighbour upsampling: [B, H, W, C] to [B, 2 H, 2 W, C]."""

    def gradient(upstream):
        return 4.0 * tf.nn.avg_pool2d(upstream, 2, 2, "VALID")  # The sum over each 2x2; far faster than Sum's.

    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2), gradient
