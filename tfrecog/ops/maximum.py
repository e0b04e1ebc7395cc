"""RoIPool as range maxima: the maximum of any rectangle of cells is that of four overlapping power-of-two windows.

A table holds, for all heights 2^i and widths 2^j in use, the maximum of the window at each cell (a sparse table). A
bin of any size then costs four look-ups. Each value carries the number of its cell in bits that float64 has and float32
does not need, so one maximum finds both; of equal values the first cell by row wins.
"""

import tensorflow as tf

INDEX = 2**29 - 1  # The bits of a float64 mantissa below those of a float32.
TABLE_BYTES = 2**27  # Channels are taken in groups whose table is about this large.


def bins(boxes, scale, length, size):
    """First and end cell, each [n, 2, S] int32, of the S bins per axis of boxes [n, 4], within `length` (h, w).

    The integer bins of Fast R-CNN: ends of the box rounded to cells, the last one included.
    """
    cells = _round(tf.where(tf.math.is_finite(boxes), boxes, 0.0) * scale)
    start = cells[:, :2, None]
    # float64 makes the quotient the same correctly rounded float32, whether divided or multiplied by 1 / size.
    extent = tf.maximum(cells[:, 2:, None] - start + 1, 1)
    step = tf.cast(tf.cast(extent, tf.float64) / size, tf.float32)
    number = tf.range(size, dtype=tf.float32)
    limit = tf.cast(length, tf.float32)[:, None]
    first = tf.clip_by_value(tf.floor(number * step) + start, 0.0, limit)
    end = tf.clip_by_value(tf.math.ceil((number + 1) * step) + start, 0.0, limit)
    return tf.cast(first, tf.int32), tf.cast(end, tf.int32)


def pool(features, boxes, owner, scale, *, size):
    """RoIPool [n, S, S, C] of boxes [n, 4] in images owner [n] of features [B, H, W, C]; an empty bin is 0."""
    shape, channels = tf.shape(features), features.shape[-1]
    cells = shape[0] * shape[1] * shape[2]
    first, end = bins(boxes, scale, shape[1:3], size)
    full = tf.reshape((end > first)[:, 0, :, None] & (end > first)[:, 1, None, :], [-1, 1])
    first = tf.minimum(first, shape[1:3, None] - 1)  # An empty bin reads some cell, and is set to 0 below.
    extent = tf.cast(tf.maximum(end - first, 1), tf.float32)
    level = tf.cast(tf.floor(tf.math.log(extent + 0.5) / tf.math.log(2.0)), tf.int32)
    last = tf.maximum(end - tf.bitwise.left_shift(1, level), first)
    count = tf.maximum(tf.reduce_max(level, axis=[0, 2]) + 1, 1)
    window = level[:, 1, None, :] * count[0] + level[:, 0, :, None]
    base = window * cells + (owner * shape[1] * shape[2])[:, None, None]
    corners = [
        tf.reshape(base + y[:, :, None] * shape[2] + x[:, None, :], [-1])
        for y in (first[:, 0], last[:, 0])
        for x in (first[:, 1], last[:, 1])
    ]
    group = _channels_at_once(features)

    @tf.custom_gradient
    def maxima(features):
        def of_channels(part):
            rows = tf.reshape(_table(_pack(part), count), [-1, group])
            a, b, c, d = (tf.gather(rows, corner) for corner in corners)
            value, index = _unpack(tf.maximum(tf.maximum(a, b), tf.maximum(c, d)))
            return tf.where(full, value, 0.0), index

        parts = tf.transpose(tf.reshape(features, [*tf.unstack(shape[:3]), -1, group]), [3, 0, 1, 2, 4])
        value, index = tf.map_fn(
            of_channels, parts, parallel_iterations=_in_parallel(), fn_output_signature=(tf.float32, tf.int32)
        )

        def gradient(upstream):
            upstream = tf.transpose(tf.reshape(upstream, [-1, channels // group, group]), [1, 0, 2])

            def to_channels(inputs):
                upstream, index = inputs
                return _add_at(tf.where(full, upstream, 0.0), index, cells)

            out = tf.map_fn(
                to_channels, (upstream, index), parallel_iterations=_in_parallel(), fn_output_signature=tf.float32
            )
            return tf.reshape(tf.transpose(out, [1, 0, 2]), shape)

        return tf.reshape(tf.transpose(value, [1, 0, 2]), [-1, size, size, channels]), gradient

    return maxima(features)


def _round(x):
    """Nearest whole number, halves away from zero (tf.round takes halves to even numbers)."""
    whole = tf.floor(tf.abs(x))
    return tf.sign(x) * (whole + tf.cast(tf.abs(x) - whole >= 0.5, x.dtype))


def _channels_at_once(features):
    """Size of the groups of channels: a power of two that divides C, smaller for larger maps."""
    channels, cells = features.shape[-1], features.shape[:3].num_elements() or 2**14
    group = 1
    # At most 16: the values of all bins then stay in the cache.
    while group < 16 and channels % (group * 2) == 0 and cells * group * 2 * 8 * 25 <= TABLE_BYTES:
        group *= 2
    return group


def _in_parallel():
    """How many groups of channels run at a time (eager execution warns of more than one)."""
    return 1 if tf.executing_eagerly() else 2


def _pack(part):
    """Values [B, H, W, c] with their own positions in the low bits, float64."""
    index = tf.reshape(tf.range(tf.size(part, out_type=tf.int64)), tf.shape(part))
    # Zero has no mantissa to carry an index; the smaller number here becomes 0 again in float32.
    wide = tf.where(part == 0, tf.constant(2.0**-300, tf.float64), tf.cast(part, tf.float64))
    # The lower index must make the larger number: larger in size above zero, smaller in size below.
    low = tf.where(wide > 0, INDEX - index, index)
    return tf.bitcast(tf.bitwise.bitwise_or(tf.bitcast(wide, tf.int64), low), tf.float64)


def _unpack(packed):
    """The float32 values and int32 positions in `packed`."""
    bits = tf.bitcast(packed, tf.int64)
    low = tf.cast(tf.bitwise.bitwise_and(bits, INDEX), tf.int32)
    value = tf.cast(tf.bitcast(tf.bitwise.bitwise_and(bits, ~INDEX), tf.float64), tf.float32)
    return value, tf.where(packed > 0, INDEX - low, low)


def _table(cells, count):
    """Maxima [j, i, B, H, W, c] of windows 2^i by 2^j cells that start at each cell of [B, H, W, c]; i, j < count.

    Windows that reach beyond the map are cut.
    """

    def doubled(axis):
        def step(i, window, out):
            size = tf.shape(window)[axis]
            ahead = tf.minimum(tf.range(size) + tf.bitwise.left_shift(1, i), size - 1)
            return i + 1, tf.maximum(window, tf.gather(window, ahead, axis=axis)), out.write(i, window)

        return step

    def along(window, axis, count):
        out = tf.TensorArray(window.dtype, size=count, element_shape=window.shape)
        *_, out = tf.while_loop(lambda i, *_: i < count, doubled(axis), (0, window, out), parallel_iterations=1)
        return out.stack()

    high = along(cells, 1, count[0])
    return along(high, 3, count[1])


def _add_at(upstream, index, cells):
    """Sums [cells, c] of upstream [n, c] at positions index [n, c]."""
    group = upstream.shape[1]
    if tf.config.list_logical_devices("GPU"):
        return tf.reshape(tf.math.unsorted_segment_sum(upstream, index, cells * group), [cells, group])
    # The gradient of max pooling with recorded positions is this sum in a plain loop, five times as fast as a segment
    # sum of scalars. It wants as many outputs as inputs.
    missing = tf.maximum(cells - tf.shape(upstream)[0], 0)
    upstream = tf.pad(upstream, [[0, missing], [0, 0]])[None, :, None]
    index = tf.cast(tf.pad(index, [[0, missing], [0, 0]]), tf.int64)[None, :, None]
    out = tf.raw_ops.MaxPoolGradWithArgmax(
        input=upstream, grad=upstream, argmax=index, ksize=[1] * 4, strides=[1] * 4, padding="VALID"
    )
    return out[0, :cells, 0]
