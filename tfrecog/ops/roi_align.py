"""RoIAlign as a stencil: each bin is a weighted sum of a few cells, and there are three ways to add them up.

Every bin has (2 * sampling_ratio)² taps: `stencil` finds the cells and their weights, which depend on boxes alone. Then
    sparse  multiplies a sparse matrix [bins, cells] with the features, and its transpose with the gradient. Fastest on
            CPU, and each number is added up by one thread in one order: runs repeat bit for bit.
    gather  adds up one gather for each tap: plain operations for XLA, TensorFlow Lite and deterministic GPU runs.
The third, tf.image.crop_and_resize, needs no stencil and is in `crop`.
"""

import tensorflow as tf

from tfrecog.ops import target


def stencil(boxes, scale, height, width, base, *, size, sampling_ratio, aligned):
    """Taps of the S² bins of boxes [n, 4]: cells [n*S*S, T] int32 and weights [n*S*S, T] float32.

    Args:
        boxes: [n, 4], in image pixels.
        scale: [n], cells per pixel of the map each box reads.
        height, width: [n] int32, shape of that map.
        base: [n] int32, number of the map's first cell among all cells, which are numbered by row.
    """
    start, extent = roi(boxes, scale[:, None], aligned)
    rows, row_weights = _axis(start[:, 0], extent[:, 0], height, size, sampling_ratio)
    columns, column_weights = _axis(start[:, 1], extent[:, 1], width, size, sampling_ratio)
    rows = base[:, None, None] + rows * width[:, None, None]
    cells = rows[:, :, None, :, None] + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    taps = (2 * sampling_ratio) ** 2
    return tf.reshape(cells, [-1, taps]), tf.reshape(weights, [-1, taps])


def roi(boxes, scale, aligned):
    """Start and extent, both [..., 2], in cells of boxes [..., 4]: cell 0 is centred at 0, so `aligned` takes off 0.5.

    Without `aligned` (the first published RoIAlign) a box is half a cell off and at least one cell long.
    """
    cells = boxes * scale - (0.5 if aligned else 0.0)
    extent = cells[..., 2:] - cells[..., :2]
    return cells[..., :2], extent if aligned else tf.maximum(extent, 1.0)


def _axis(start, extent, length, size, sampling_ratio):
    """Taps along one axis: cells [n, S, 2 * sampling_ratio] int32 and weights [n, S, 2 * sampling_ratio].

    A sample between cell centres takes from both; within a cell of the border it takes the border cell; farther out
    it is 0.
    """
    bins = tf.range(size, dtype=tf.float32)[:, None]
    fractions = (tf.range(sampling_ratio, dtype=tf.float32) + 0.5) / sampling_ratio
    bin_extent = extent[:, None, None] / size
    at = start[:, None, None] + bins * bin_extent + fractions * bin_extent
    limit = tf.cast(length, tf.float32)[:, None, None]
    inside = (at >= -1) & (at <= limit)
    at = tf.where(inside, at, 0.0)  # Also where a box is not finite.
    at = tf.clip_by_value(at, 0.0, limit - 1)
    low = tf.floor(at)
    fraction = at - low
    scaled = tf.where(inside, 1.0 / sampling_ratio, 0.0)
    low = tf.cast(low, tf.int32)
    cells = tf.stack([low, tf.minimum(low + 1, length[:, None, None] - 1)], axis=-1)
    weights = tf.stack([(1 - fraction) * scaled, fraction * scaled], axis=-1)
    shape = [-1, size, 2 * sampling_ratio]
    return tf.reshape(cells, shape), tf.reshape(weights, shape)


def sparse(flat, cells, weights):
    """Weighted sums [bins, C] of rows of flat [cells, C], over taps [bins, T], as a sparse matrix product."""
    bins, taps = cells.shape[0] or tf.shape(cells)[0], cells.shape[1]
    rows = tf.reshape(tf.broadcast_to(tf.range(bins)[:, None], [bins, taps]), [-1])
    return product(flat, rows, tf.reshape(cells, [-1]), tf.reshape(weights, [-1]), bins, cells.shape[0])


def product(flat, rows, cells, weights, bins, static_bins=None):
    """Sums [bins, C] of rows of flat [cells, C]: row cells[t] with weight weights[t] adds to sum rows[t], for all t.

    `rows` does not fall. `static_bins` is the number of bins, where it is known before run time.
    """
    at_least_one = tf.maximum(bins, 1)  # TensorFlow 2.21 divides by the number of rows, and dies of none.
    indices = tf.stack([tf.cast(rows, tf.int64), tf.cast(cells, tf.int64)], axis=1)

    def matrix(flat):
        shape = tf.cast(tf.stack([at_least_one, tf.shape(flat)[0]]), tf.int64)
        return tf.raw_ops.SparseTensorToCSRSparseMatrix(indices=indices, values=weights, dense_shape=shape)

    @target.custom_gradient
    def multiply(flat):
        def gradient(upstream):
            given = upstream
            if not static_bins:
                given = tf.cond(bins > 0, lambda: upstream, lambda: tf.zeros([1, flat.shape[1]]))
            # A sparse matrix may not pass from one tf.function to another, so the forward pass's is not kept.
            # Transposing costs a counting sort; multiplying with `transpose_a` instead is three times slower.
            transposed = tf.raw_ops.SparseMatrixTranspose(input=matrix(flat), type=tf.float32)
            return tf.raw_ops.SparseMatrixMatMul(a=transposed, b=given)

        return tf.raw_ops.SparseMatrixMatMul(a=matrix(flat), b=flat)[:bins], gradient

    return tf.ensure_shape(multiply(flat), [static_bins, flat.shape[1]])


def gather(flat, cells, weights):
    """The same sums as `sparse`, one gather for each tap."""
    cells, weights = tf.unstack(cells, axis=1), tf.unstack(weights[..., None], axis=1)

    @target.custom_gradient
    def total(flat):
        def gradient(upstream):
            # Tap by tap: all taps at once, as autodiff has it, would hold T times the output.
            count = tf.shape(flat)[0]
            out = tf.zeros_like(flat)
            for cell, weight in zip(cells, weights, strict=True):
                out += tf.math.unsorted_segment_sum(upstream * weight, cell, count)
            return out

        out = tf.gather(flat, cells[0]) * weights[0]
        for cell, weight in zip(cells[1:], weights[1:], strict=True):
            out += tf.gather(flat, cell) * weight
        return out, gradient

    return total(flat)


def crop(features, boxes, owner, scale, *, size, sampling_ratio, aligned):
    """RoIAlign [n, S, S, C] of boxes [n, 4] in images owner [n] of features [B, H, W, C] by crop_and_resize.

    crop_and_resize places samples from the first to the last one, in coordinates from 0 to 1, and knows no half pixels;
    outside the map it gives 0. A border of one repeated cell makes that RoIAlign's rule for the border.
    """
    features = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    start, extent = roi(boxes, scale, aligned)
    samples = size * sampling_ratio
    step = extent / samples
    first = start + 0.5 * step + 1
    last = first + (samples - 1) * step
    unit = tf.cast(tf.shape(features)[1:3] - 1, tf.float32)
    crops = tf.image.crop_and_resize(features, tf.concat([first / unit, last / unit], 1), owner, [samples] * 2)
    return tf.nn.avg_pool2d(crops, sampling_ratio, sampling_ratio, "VALID") if sampling_ratio > 1 else crops
