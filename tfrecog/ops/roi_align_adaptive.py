"""RoIAlign with as many samples as a bin has cells, rounded up (detectron2's sampling ratio 0), as a ragged stencil.

A bin of h x w cells is read at ceil(h) x ceil(w) points, so bins differ in their number of taps. Along an axis, the
samples of a bin lie at most a cell apart: their weights add up on a short run of neighbouring cells. A bin's taps are
the cells of its run of rows times its run of columns.
"""

from typing import NamedTuple

import tensorflow as tf

from tfrecog.ops import roi_align, target


class Stencil(NamedTuple):
    """Which cells the bins read. `origin` to `column` are of each bin [bins], ordered by box, row, column."""

    origin: tf.Tensor  # int32, number of its first cell
    width: tf.Tensor  # int32, cells in a row of its map
    taps: tf.Tensor  # int32, how many cells it reads; 0 for a bin of no extent
    columns: tf.Tensor  # int32, how many of them lie side by side
    row: tf.Tensor  # int32, where its first weight is in `row_weights`
    column: tf.Tensor  # int32, the same in `column_weights`
    row_weights: tf.Tensor  # float32, of all runs of rows, one after the other
    column_weights: tf.Tensor


def stencil(boxes, scale, height, width, base, *, size, aligned):
    """The stencil of the S² bins of each of boxes [n, 4]; arguments as of `bilinear.stencil`."""
    start, extent = roi_align.roi(boxes, scale[:, None], aligned)
    top, rows, row, row_weights = _axis(start[:, 0], extent[:, 0], height, size)
    left, columns, column, column_weights = _axis(start[:, 1], extent[:, 1], width, size)

    def each(down, across):
        """A number of each bin [n*S*S], from one of each row [n, S] or column [n, S] of bins."""
        return tf.reshape(down[:, :, None] + across[:, None, :], [-1])

    nothing = tf.zeros_like(rows)
    columns = each(nothing, columns)
    return Stencil(
        origin=each(base[:, None] + top * width[:, None], left),
        width=each(nothing + width[:, None], nothing),
        taps=each(rows, nothing) * columns,
        columns=columns,
        row=each(row, nothing),
        column=each(nothing, column),
        row_weights=row_weights,
        column_weights=column_weights,
    )


def sparse(flat, stencil: Stencil):
    """Weighted sums [bins, C] of rows of flat [cells, C], as a sparse matrix product; see `bilinear.sparse`."""
    bins = tf.range(tf.shape(stencil.taps)[0])
    row = tf.repeat(bins, stencil.taps)
    tap = tf.range(tf.shape(row)[0]) - tf.repeat(tf.cumsum(stencil.taps, exclusive=True), stencil.taps)
    cells, weights = _tap(stencil, row, tap)
    return roi_align.product(flat, row, cells, weights, tf.shape(bins)[0], stencil.taps.shape[0])


def gather(flat, stencil: Stencil):
    """The same sums, one gather for the first tap of all bins, one for the second, and so on."""
    bins, most = tf.range(tf.shape(stencil.taps)[0]), tf.reduce_max(tf.pad(stencil.taps, [[0, 1]]))

    def tap(i):
        has = i < stencil.taps
        cells, weights = _tap(stencil, bins, tf.where(has, i, 0))
        return tf.where(has, cells, 0), tf.where(has, weights, 0.0)[:, None]

    @target.custom_gradient
    def total(flat):
        def gradient(upstream):
            def add(i, out):
                cells, weights = tap(i)
                return i + 1, out + tf.math.unsorted_segment_sum(upstream * weights, cells, tf.shape(flat)[0])

            return tf.while_loop(lambda i, _: i < most, add, [0, tf.zeros_like(flat)], parallel_iterations=1)[1]

        def add(i, out):
            cells, weights = tap(i)
            return i + 1, out + tf.gather(flat, cells) * weights

        out = tf.zeros([tf.shape(bins)[0], flat.shape[1]])
        return tf.while_loop(lambda i, _: i < most, add, [0, out], parallel_iterations=1)[1], gradient

    return tf.ensure_shape(total(flat), [stencil.taps.shape[0], flat.shape[1]])


def _tap(stencil, bins, tap):
    """Cell and weight of taps `tap` of `bins`, all [T]."""
    columns = tf.maximum(tf.gather(stencil.columns, bins), 1)
    row, column = tap // columns, tap % columns
    cells = tf.gather(stencil.origin, bins) + row * tf.gather(stencil.width, bins) + column
    down = tf.gather(stencil.row_weights, tf.gather(stencil.row, bins) + row)
    across = tf.gather(stencil.column_weights, tf.gather(stencil.column, bins) + column)
    return cells, down * across


def _axis(start, extent, length, size):
    """Along one axis, of each bin [n, S] int32: its first cell, how many cells it reads, where its weights start.

    The fourth result holds the weights. A bin's weight of a cell is the mean over its samples of what each takes from
    the cell, by the rule for borders of `bilinear.stencil`.
    """
    finite = tf.math.is_finite(start) & tf.math.is_finite(extent)
    start, extent = tf.where(finite, start, 0.0)[:, None, None], tf.where(finite, extent, 0.0)[:, None, None]
    limit = tf.cast(length, tf.float32)[:, None, None]
    # Ceil of the quotient, in a way that no optimiser makes a product with 1 / S: that gives 21 / 7 a fourth sample.
    samples = tf.maximum(-tf.math.floordiv(-extent, tf.cast(size, tf.float32)), 0.0)
    step = tf.math.divide_no_nan(extent / size, samples)
    first = start + tf.range(size, dtype=tf.float32)[:, None] * (extent / size)  # [n, S, 1]
    # Only samples about the map are looked at: there are as many as it has cells, however long the box.
    skipped = tf.clip_by_value(tf.floor(tf.math.divide_no_nan(-1 - first, step)) - 1, 0.0, samples)
    looked_at = tf.minimum(samples - skipped, tf.math.ceil(tf.math.divide_no_nan(limit + 1, step)) + 3)
    # Of one sample at least, so that no minimum is taken of none.
    sample = tf.range(tf.reduce_max(tf.pad(tf.reshape(looked_at, [-1]), [[0, 1]], constant_values=1.0)))
    at = first + (skipped + sample + 0.5) * step
    inside = (sample < looked_at) & (at >= -1) & (at <= limit)
    at = tf.clip_by_value(at, 0.0, limit - 1)
    low = tf.floor(at)
    fraction = at - low
    low, end = tf.cast(low, tf.int32), length[:, None, None] - 1
    high = tf.minimum(low + 1, end)
    begin = tf.reduce_min(tf.where(inside, low, end), axis=2, keepdims=True)
    count = tf.maximum(tf.reduce_max(tf.where(inside, high, -1), axis=2, keepdims=True) - begin + 1, 0)
    where = tf.reshape(tf.cumsum(tf.reshape(count, [-1]), exclusive=True), tf.shape(count))
    total = tf.reduce_sum(count)
    # A sample outside has segment -1, which is no segment.
    segments = tf.stack([tf.where(inside, where + cell - begin, -1) for cell in (low, high)])
    shares = tf.stack([1 - fraction, fraction]) * tf.math.divide_no_nan(1.0, samples)
    weights = tf.math.unsorted_segment_sum(shares, segments, total)
    # One more, so that a bin without taps has a place to look at too.
    return begin[:, :, 0], count[:, :, 0], where[:, :, 0], tf.pad(weights, [[0, 1]])
