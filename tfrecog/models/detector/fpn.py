"""Feature pyramid network (Lin et al. 2017)."""

import itertools

import keras
import tensorflow as tf

from tfrecog.config import FpnConfig
from tfrecog.models.layers import Composite, Conv
from tfrecog.ops import target


class Fpn(Composite):
    """{level: [B, h, w, C]} to {level: [B, h, w, channels]}; `extra` levels above are every second cell of the last.

    Args:
        levels: those of the backbone that it reads, finest first; or {level: pixels from cell to cell} where a stride
            is not 2**level. The stride of a level is that of the one before or twice as long.
    """

    def __init__(self, config: FpnConfig, levels: tuple[int, ...] | dict[int, int], extra: int = 1, name: str = "fpn"):
        super().__init__(name=name)
        strides = dict(levels) if isinstance(levels, dict) else {level: 2**level for level in levels}
        self.levels, self.extra = tuple(strides), extra
        self.doubled = tuple(strides[b] == 2 * strides[a] for a, b in itertools.pairwise(self.levels))
        if any(strides[b] not in (strides[a], 2 * strides[a]) for a, b in itertools.pairwise(self.levels)):
            raise ValueError(f"a level of a pyramid has the stride of the one before or twice that; got {strides}")
        options = {
            "norm": config.norm,
            "initializer": keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
        }
        self.lateral = [Conv(config.channels, 1, **options, name=f"lateral{i}") for i in self.levels]
        self.output_convs = [Conv(config.channels, 3, **options, name=f"output{i}") for i in self.levels]
        # P6 is for the RPN alone (section 4.1).
        self.above = range(self.levels[-1] + 1, self.levels[-1] + 1 + extra)
        self.strides = strides | {level: strides[self.levels[-1]] * 2 ** (i + 1) for i, level in enumerate(self.above)}

    def call(self, features, training=False):
        top, pyramid = None, {}
        for level, lateral, smooth, doubled in reversed(
            list(zip(self.levels, self.lateral, self.output_convs, [*self.doubled, False], strict=True))
        ):
            x = lateral(features[level], training=training)
            if top is not None:
                x += _twice(top) if doubled else top
            top = x
            pyramid[level] = smooth(top, training=training)
        for level in self.above:
            pyramid[level] = _half(pyramid[level - 1])
        return dict(sorted(pyramid.items()))


def _half(x):
    """Every second cell: [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), C]."""
    if target.target() == "tflite":  # A phone's GPU takes no slice of a file with slices of five dimensions.
        return tf.nn.max_pool2d(x, 1, 2, "VALID")
    return x[:, ::2, ::2]


@target.custom_gradient
def _twice(x):
    """Nearest-neighbour upsampling: [B, H, W, C] to [B, 2 H, 2 W, C]."""

    def gradient(upstream):
        return 4.0 * tf.nn.avg_pool2d(upstream, 2, 2, "VALID")  # The sum over each 2x2; far faster than Sum's.

    *_, height, width, channels = (n or tf.shape(x)[i] for i, n in enumerate(x.shape))
    if target.target() == "tflite":  # One operation that a phone's GPU has, too.
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=[2 * height, 2 * width]), gradient
    columns = tf.reshape(tf.concat([x, x], 3), [-1, height, 2 * width, channels])
    return tf.reshape(tf.concat([columns, columns], 2), [-1, 2 * height, 2 * width, channels]), gradient
