"""RoIPool and SPP-net's pyramid for TensorFlow Lite: the same maxima as `maximum`, by shapes that no value decides.

The maxima of all windows of 2^i by 2^j cells are one table, and each bin reads its four corners there (a sparse table,
all of it at once).
"""

import itertools

import numpy as np
import tensorflow as tf

from tfrecog.ops import roi_bins


def pyramid(maps, scales, boxes, choice, *, sizes):
    """Maxima [n, bins, C] of boxes [n, 4] in one of the maps [1, H, W, C], maps[choice [n]]; an empty bin is 0.

    Boxes lie within the image. The bins of all `sizes` follow one another; the rest is as of `maximum.pyramid`.
    """
    shapes = [m.shape.as_list()[1:3] for m in maps]
    # A bin has no more cells than its share of the map, and one more at either end.
    counts = [[_exponent(min(side, side // min(sizes) + 2)) + 1 for side in shape] for shape in shapes]
    tables = [_table(m, count) for m, count in zip(maps, counts, strict=True)]
    cells = [table.shape[0] for table in tables]

    def of_map(values):
        """The number of each box's map, from one of each map."""
        return tf.gather(tf.constant(values), choice)

    base, size, count = of_map([0, *itertools.accumulate(cells)][: len(maps)]), of_map(shapes), of_map(counts)
    scale, width = of_map(np.float32(scales))[:, None], size[:, 1]
    corners, full = [], []
    for bins in sizes:
        first, end = roi_bins.bins(boxes, scale, size, bins)
        level = tf.minimum(roi_bins.exponent(end - first), count[..., None] - 1)
        entry = level[:, 0, :, None] * count[:, 1, None, None] + level[:, 1, None, :]
        table = base[:, None, None] + entry * (size[:, 0] * width)[:, None, None]
        corner, holds = roi_bins.windows(first, end, level, table, width[:, None, None])
        corners.append(tf.where(holds, corner, 0))
        full.append(holds)
    flat = tf.concat(tables, axis=0)
    one, two, three, four = (tf.gather(flat, corner) for corner in tf.unstack(tf.concat(corners, axis=2)))
    found = tf.maximum(tf.maximum(one, two), tf.maximum(three, four))
    return tf.where(tf.concat(full, axis=1)[..., None], found, 0.0)


def _table(features, count):
    """Maxima [I * J * H * W, C] of the windows of 2^i by 2^j cells that begin at each cell of a map [1, H, W, C]."""
    rows, column = [], features
    for i in range(count[0]):
        window = column if i == 0 else _doubled(rows[-1][0], 1, 2 ** (i - 1))
        row = [window]
        for j in range(1, count[1]):
            row.append(_doubled(row[-1], 2, 2 ** (j - 1)))
        rows.append(row)
    return tf.concat([tf.reshape(x, [-1, features.shape[-1]]) for row in rows for x in row], axis=0)


def _doubled(window, axis, distance):
    """Windows twice as long along an axis; those that reach over the end, which no bin asks for, are cut there."""
    around = [[0, 0]] * 4
    around[axis] = [0, distance]
    start = [0] * 4
    start[axis] = distance
    moved = tf.slice(tf.pad(window, around, constant_values=window.dtype.min), start, tf.shape(window))
    return tf.maximum(window, moved)


def _exponent(length):
    return max(length, 1).bit_length() - 1
