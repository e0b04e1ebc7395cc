"""What each part of a network does to a shift: convolution, zero padding, stride, pooling, averaging over all, and
full connections. Weights are random, and so is the image: these are properties of the parts.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.measure import Row
from tfrecog.equivariance_lab.moves import Change, Move, shrunk

SIDE, CHANNELS, SHIFTS = 96, 8, (1, 2, 3, 4, 8)
_STACK = 3  # convolutions, each with a pooling behind it: stride 8, and a field of 36 pixels
_MARGIN = 40  # farther from the edges than any of them sees


def _convolution(random, stride=1, padding="SAME"):
    kernel = tf.constant(random.normal(size=[3, 3, CHANNELS, CHANNELS]) / (9 * CHANNELS) ** 0.5, tf.float32)
    return lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, stride, padding))


def _average(x):
    return tf.nn.avg_pool2d(x, 2, 2, "SAME")


def _maximum(x):
    return tf.nn.max_pool2d(x, 2, 2, "SAME")


def _row(*functions):
    def run(x):
        for function in functions:
            x = function(x)
        return x

    return run


def networks(seed: int = 0) -> dict[str, tuple[Callable, int, float]]:
    """Functions of images [1, S, S, C] to maps by name, their strides, and the pixel of the first cell's centre."""
    random = np.random.default_rng(seed)
    single, strided = _convolution(random), _convolution(random, 2)
    stack = [_convolution(random) for _ in range(_STACK)]
    pooled = [part for one in stack for part in (one, _maximum)]
    return {
        "convolution, not padded": (_row(_convolution(random, padding="VALID")), 1, 1.5),
        "convolution, zeros around": (_row(single), 1, 0.5),
        "3 convolutions, zeros around": (_row(*stack), 1, 0.5),
        # TensorFlow pads an even image below and to the right alone, so that a window starts at each even pixel.
        "convolution of stride 2": (_row(strided), 2, 1.5),
        "max pooling 2x2": (_row(_maximum), 2, 1.0),
        "average pooling 2x2": (_row(_average), 2, 1.0),
        "3 convolutions and max poolings": (_row(*pooled), 8, 4.0),
    }


def table(shifts: tuple[int, ...] = SHIFTS, seed: int = 0) -> list[Row]:
    """Relative differences of each part's output from the shifted one, over all cells and `inside`, far from the edges.

    Of the global average and of a full connection behind three convolutions and poolings, the output is to stay.
    """
    random = np.random.default_rng([seed, 1])
    scene = random.normal(size=[1, SIDE, SIDE + max(shifts), CHANNELS])
    for axis in (1, 2):  # Neighbours are alike, as in photos.
        scene = sum(np.roll(scene, offset, axis) for offset in range(-2, 3)) / 5
    scene, found, rows = scene.astype(np.float32), networks(seed), []
    for name, (function, stride, first) in found.items():
        for shift in shifts:
            before, after = _maps(function, scene, shift, stride, first)
            for measure, change in (("all", _left(shift)), ("inside", _left(shift, _MARGIN))):
                error, _ = dense.compare({"": before}, {"": after}, change)["_equivariance_error"]
                rows.append(Row(name, shift, measure, error))
    function, stride, first = found["3 convolutions and max poolings"]
    cells = SIDE // stride
    full = random.normal(size=[cells * cells * CHANNELS, 10])
    for shift in shifts:
        before, after = (one.values for one in _maps(function, scene, shift, stride, first))
        last, average = dense.relative(after, before), dense.relative(after.mean((0, 1)), before.mean((0, 1)))
        connected = dense.relative(after.ravel() @ full, before.ravel() @ full)
        for name, value in (("last map", last), ("fully connected", connected), ("global average", average)):
            rows.append(Row(f"{name}, to stay", shift, "all", value[0]))
    return rows


def _maps(function, scene, shift, stride, first):
    parts = (scene[:, :, start : start + SIDE] for start in (0, shift))
    return [dense.Map(function(tf.constant(part))[0].numpy(), stride, first) for part in parts]


def _left(shift, margin=0):
    """The part of a scene that begins `shift` pixels later shows everything so much farther to the left."""
    by = np.array([0.0, shift])
    visible = np.zeros([SIDE, SIDE], bool)
    visible[:, : SIDE - shift] = True
    visible = shrunk(visible, margin)
    return Change(np.zeros([SIDE, SIDE, 3], np.float32), Move(lambda p: p - by, lambda p: p + by), visible, visible)


def text_of(rows: list[Row]) -> str:
    """For people: a line for each part, a column for each shift; in parentheses inside."""
    shifts = sorted({row.strength for row in rows})
    values = {(row.variation, row.strength, row.measure): row.value for row in rows}
    lines = ["relative difference from the shifted output, over all cells (and far from the edges), of shifts by:"]
    lines.append(f"{'':<34}" + "".join(f"{shift:>20g}" for shift in shifts))
    for name in dict.fromkeys(row.variation for row in rows):
        cells = []
        for shift in shifts:
            inside = values.get((name, shift, "inside"))
            cells.append(f"{values[name, shift, 'all']:.2g}" + ("" if inside is None else f" ({inside:.2g})"))
        lines.append(f"{name:<34}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)
