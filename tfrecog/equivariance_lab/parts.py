"""What each part of a network does to a shift: convolution, zero padding, stride, pooling, averaging over all, and
full connections. Weights are random, and so is the image: these are properties of the parts.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.measure import Row
from tfrecog.equivariance_lab.moves import Grid
from tfrecog.equivariance_lab.transforms import NOWHERE, translation

SIDE, CHANNELS, SHIFTS = 96, 8, (1, 2, 3, 4, 8)
_MARGIN = 40  # farther from the edges than any of them sees


def networks(seed: int = 0) -> dict[str, tuple[Callable, int, float]]:
    """Functions of images [1, S, S, C] to maps by name, their strides, and the pixel of the first cell's centre."""
    random = np.random.default_rng(seed)

    def convolution(stride=1, padding="SAME"):
        kernel = tf.constant(random.normal(size=[3, 3, CHANNELS, CHANNELS]) / (9 * CHANNELS) ** 0.5, tf.float32)
        return lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding))

    single, strided = convolution(), convolution(2)
    stack = [convolution() for _ in range(3)]
    largest, average = keras.layers.MaxPooling2D(2), keras.layers.AveragePooling2D(2)
    return {
        "convolution, not padded": (convolution(padding="VALID"), 1, 1.5),
        "convolution, zeros around": (single, 1, 0.5),
        "3 convolutions, zeros around": (_row(*stack), 1, 0.5),
        # TensorFlow pads an even image below and to the right alone, so that a window starts at each even pixel.
        "convolution of stride 2": (strided, 2, 1.5),
        "max pooling 2x2": (largest, 2, 1.0),
        "average pooling 2x2": (average, 2, 1.0),
        # A stride of 8, and a field of 36 pixels.
        "3 convolutions and max poolings": (_row(*(part for one in stack for part in (one, largest))), 8, 4.0),
    }


def _row(*functions):
    def run(x):
        for function in functions:
            x = function(x)
        return x

    return run


def table(shifts: tuple[int, ...] = SHIFTS, seed: int = 0) -> list[Row]:
    """Relative differences of each part's output from the shifted one; as floor, those far from the edges alone.

    Of the global average and of a full connection behind three convolutions and poolings, the output is to stay.
    """
    random = np.random.default_rng([seed, 1])
    scene = random.normal(size=[1, SIDE, SIDE + max(shifts), CHANNELS])
    for axis in (1, 2):  # Neighbours are alike, as in photos.
        scene = sum(np.roll(scene, offset, axis) for offset in range(-2, 3)) / 5
    scene, rows, maps = tf.constant(scene, tf.float32), [], {}
    for name, (function, stride, first) in networks(seed).items():
        for shift in shifts:
            views = [scene[:, :, start : start + SIDE] for start in (0, shift)]
            before, after = maps[shift] = [Grid(function(view)[0].numpy(), stride, first) for view in views]
            # The view that begins `shift` pixels later shows everything so much farther to the left.
            change = translation(views[0][0].numpy(), -shift, NOWHERE)
            everywhere, inside = (
                dense.compare({"": before}, {"": after}, change.without_margin(margin))["_equivariance_error"][0]
                for margin in (0, _MARGIN)
            )
            rows.append(Row("parts", shift, f"{name}, to follow", everywhere, inside))
    full = random.normal(size=[before.values.size, 10])
    stays = {
        "last map": lambda values: values,
        "fully connected": lambda values: values.ravel() @ full,
        "global average": lambda values: values.mean((0, 1)),
    }
    for shift, (before, after) in maps.items():  # of the last of the networks
        for name, function in stays.items():
            error, _ = dense.relative(function(after.values), function(before.values))
            rows.append(Row("parts", shift, f"{name}, to stay", error))
    return rows
