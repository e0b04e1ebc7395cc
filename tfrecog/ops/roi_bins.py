"""RoIPool's bins in whole cells (Girshick 2015, section 2.1), and windows of power-of-two sides that cover them."""

import numpy as np
import tensorflow as tf

from tfrecog.ops import target

LONGEST = 2**12  # Cells of a side of a box; as large as a map can be on a device.


def bins(boxes, scale, length, size):
    """First and end cell, each [n, 2, S] int32, of the S bins per axis of boxes [n, 4], within `length` (h, w).

    `length` and `scale` are those of a map, or of each box [n, 2] and [n, 1]. The integer bins of Fast R-CNN: ends of
    the box rounded to cells, the last one included.
    """
    cells = _round(tf.where(tf.math.is_finite(boxes), boxes, 0.0) * scale)
    start = cells[:, :2, None]
    extent = tf.maximum(cells[:, 2:, None] - start + 1, 1)
    step = _step(extent, size)
    number = tf.range(size, dtype=tf.float32)
    limit = tf.cast(length, tf.float32)[..., None]
    first = tf.clip_by_value(tf.floor(number * step) + start, 0.0, limit)
    end = tf.clip_by_value(tf.math.ceil((number + 1) * step) + start, 0.0, limit)
    return tf.cast(first, tf.int32), tf.cast(end, tf.int32)


def windows(first, end, level, base, width):
    """The four windows of 2^level cells in the corners of bins [n, 2, S]: their first cells [4, n, S * S].

    Also whether the bins hold a cell, [n, S * S]. `base` is the number of the first cell of the map, and `width` the
    cells in a row of it, both to be added to [n, S, S].
    """
    last = end - power(level)
    cells = [base + y[:, 0, :, None] * width + x[:, 1, None, :] for y in (first, last) for x in (first, last)]
    full = (end > first)[:, 0, :, None] & (end > first)[:, 1, None, :]
    bins = first.shape[2] ** 2
    return tf.reshape(tf.stack(cells), [4, -1, bins]), tf.reshape(full, [-1, bins])


def exponent(extent):
    """The exponent [...] int32 of the largest power of two that is no more than an extent [...] in cells, or than 1."""
    extent = tf.cast(tf.maximum(extent, 1), tf.float32)
    return tf.cast(tf.floor(tf.math.log(extent + 0.5) / tf.math.log(2.0)), tf.int32)


def power(exponent):
    """Two to the power of an exponent [...] int32 of `exponent`."""
    if target.target() == "tflite":
        return tf.gather(tf.constant([2**i for i in range(LONGEST.bit_length())]), exponent)
    return tf.bitwise.left_shift(1, exponent)


def _step(extent, size):
    """Cells [...] from one of `size` bins to the next, of boxes that have `extent` [...] cells, whole numbers."""
    if target.target() == "tflite":  # No float64 there, and the same numbers.
        steps = tf.constant((np.arange(LONGEST + 1) / size).astype(np.float32))
        return tf.gather(steps, tf.cast(tf.minimum(extent, LONGEST), tf.int32))
    # float64 makes the quotient the same correctly rounded float32, whether divided or multiplied by 1 / size.
    return tf.cast(tf.cast(extent, tf.float64) / size, tf.float32)


def _round(x):
    """Nearest whole number, halves away from zero (tf.round takes halves to even numbers)."""
    whole = tf.floor(tf.abs(x))
    return tf.sign(x) * (whole + tf.cast(tf.abs(x) - whole >= 0.5, x.dtype))
