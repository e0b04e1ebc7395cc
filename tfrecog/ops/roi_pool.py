"""RoIPool as range maxima: the maximum of any rectangle of cells is that of four overlapping power-of-two windows.

Windows of 2^i by 2^j cells are made from one another, each by one maximum of two of half its size, and each gives the
bins it suits their values before the next is made (a sparse table of which one entry is kept at a time). The forward
pass needs values alone; the backward pass finds their cells with the same maxima of numbers that hold both.
"""

from typing import NamedTuple

import tensorflow as tf

from tfrecog.ops import roi_bins, target

POSITION = 2**29 - 1  # The bits of a float64 that a float32 leaves for a position.
GROUP_BYTES = 2**22  # Channels are taken in groups of which a map is about this large, to stay near the processor.


def pyramid(features, boxes, owner, scale, *, sizes):
    """Maxima [n, bins, C] of boxes [n, 4] in images owner [n] of features [B, H, W, C]; an empty bin is 0.

    The S² bins of each S of `sizes` follow one another; they share the work on the map.
    """
    shape, channels = tf.shape(features), features.shape[-1]
    cells, together = shape[0] * shape[1] * shape[2], sum(size**2 for size in sizes)
    lookup = _lookup([roi_bins.bins(boxes, scale, shape[1:3], size) for size in sizes], owner, shape)
    total = tf.size(lookup.order)

    def by_group(function, features, group):
        """[groups, ...] float32 of function(number of the group, its features [B * H * W, group])."""
        parts = tf.transpose(tf.reshape(features, [cells, -1, group]), [1, 0, 2])
        inputs = tf.range(channels // group), parts
        return tf.map_fn(
            lambda each: function(*each), inputs, parallel_iterations=_in_parallel(), fn_output_signature=tf.float32
        )

    @target.custom_gradient
    def maxima(features):
        group = _channels_at_once(features)

        def values(_, part):
            found = _extremes(tf.maximum, part, lookup)
            return tf.concat([found, tf.zeros([total - tf.shape(found)[0], group])], axis=0)

        value = tf.reshape(by_group(values, features, group), [-1, group])
        place = tf.math.invert_permutation(lookup.order)[:, None] + tf.range(channels // group) * total
        value = tf.reshape(tf.gather(value, place), [-1, together, channels])

        def gradient(upstream):
            group = _channels_at_once(features, 8)
            upstream = tf.reshape(upstream, [-1, group])
            full = lookup.order[: lookup.start[-1]] * (channels // group)

            def to_cells(number, part):
                position = _position(_extremes(tf.minimum, _numbered(part), lookup))
                return _add_at(tf.gather(upstream, full + number), position, cells)

            return tf.reshape(tf.transpose(by_group(to_cells, features, group), [1, 0, 2]), shape)

        return value, gradient

    return maxima(features)


class _Lookup(NamedTuple):
    """Where the maxima of bins are found, the bins sorted by the windows that cover them, empty ones last."""

    order: tf.Tensor  # [bins], the number of each bin
    corner: tf.Tensor  # [4, bins], the first cell of each of its windows
    start: tf.Tensor  # [I * J * 3 + 1], first of the bins of windows (i, j) that need one of them, or two, or four
    widest: tf.Tensor  # [I], the largest j in use with each i
    width: tf.Tensor  # W


def _lookup(ends, owner, shape):
    """The _Lookup of bins in images owner [n] of a map of shape [B, H, W, C].

    `ends` has their first and end cells, both [n, 2, S], for each S. A box's bins follow one another.
    """
    levels = [roi_bins.exponent(end - first) for first, end in ends]
    count = tf.reduce_max(tf.stack([tf.reduce_max(level, axis=[0, 2]) for level in levels]), axis=0)
    count = tf.maximum(count + 1, 1)
    kinds = count[0] * count[1] * 3
    base = (owner * shape[1] * shape[2])[:, None, None]

    def of_size(first, end, level):
        """The kind [n, S * S] of each bin, and the first cells [4, n, S * S] of its windows."""
        corner, full = roi_bins.windows(first, end, level, base, shape[2])
        beyond = tf.cast(end - first > roi_bins.power(level), tf.int32)
        kind = (level[:, 0, :, None] * count[1] + level[:, 1, None, :]) * 3
        kind += beyond[:, 0, :, None] + beyond[:, 1, None, :]
        return tf.where(full, tf.reshape(kind, tf.shape(full)), kinds), corner

    found = [of_size(*end, level) for end, level in zip(ends, levels, strict=True)]
    kind = tf.reshape(tf.concat([kind for kind, _ in found], axis=1), [-1])
    corner = tf.reshape(tf.concat([corner for _, corner in found], axis=2), [4, -1])
    order = tf.argsort(kind, stable=True)
    members = tf.math.bincount(kind, minlength=kinds + 1, maxlength=kinds + 1)
    used = tf.reduce_any(tf.reshape(members[:kinds], [count[0], count[1], 3]) > 0, axis=2)
    return _Lookup(
        order=order,
        corner=tf.gather(corner, order, axis=1),
        start=tf.cumsum(members, exclusive=True),
        widest=tf.reduce_max(tf.where(used, tf.range(count[1]), 0), axis=1),
        width=shape[2],
    )


def _extremes(larger, cells, lookup):
    """`larger` [bins, c] of the cells [B * H * W, c] in each bin that is not empty, in the order of `lookup`.

    `larger` is tf.maximum, or tf.minimum.
    """
    columns = tf.shape(lookup.start)[0] // 3 // tf.shape(lookup.widest)[0]

    def read(window, i, j, out):
        kind = 3 * (i * columns + j)
        one, two, four, end = (lookup.start[kind + k] for k in range(4))

        def at(corner, start, end):
            return tf.gather(window, lookup.corner[corner, start:end])

        out = out.write(out.size(), at(0, one, two))
        # Two windows are the first and the last, side by side or one above the other.
        out = out.write(out.size(), larger(at(0, two, four), at(3, two, four)))
        a, b, c, d = (at(corner, four, end) for corner in range(4))
        return out.write(out.size(), larger(larger(a, b), larger(c, d)))

    def doubled(window, distance):
        # Windows over the end of a row reach into the next, those at the end of the map are cut; no bin asks for them.
        return larger(window[:-distance], window[distance:])

    def widths(i, window, out):
        def wider(j, window, out):
            window = doubled(window, tf.bitwise.left_shift(1, j - 1))
            return j + 1, window, read(window, i, j, out)

        return _while(lambda j, *_: j <= lookup.widest[i], wider, window, read(window, i, 0, out))

    def higher(i, window, out):
        window = doubled(window, tf.bitwise.left_shift(1, i - 1) * lookup.width)
        return i + 1, window, widths(i, window, out)

    shape = [None, cells.shape[1]]
    out = tf.TensorArray(cells.dtype, size=0, dynamic_size=True, infer_shape=False, element_shape=shape)
    return _while(lambda i, *_: i < tf.size(lookup.widest), higher, cells, widths(0, cells, out)).concat()


def _while(condition, body, window, out):
    """The last `out` of a loop from 1 on, in which the window grows and so its table shrinks."""
    unknown = (tf.TensorShape([]), tf.TensorShape([None, window.shape[1]]), tf.TensorShape(None))
    return tf.while_loop(condition, body, (1, window, out), shape_invariants=unknown, parallel_iterations=1)[-1]


def _channels_at_once(features, itemsize=4):
    """Size of the groups of channels: a power of two that divides C, smaller for larger maps."""
    channels, cells = features.shape[-1], features.shape[:3].num_elements() or 2**14
    group = 1
    # At least 64 bytes, a line of the cache, without which slices are copied.
    while channels % (group * 2) == 0 and group * 2 * itemsize <= max(64, GROUP_BYTES // cells):
        group *= 2
    return group


def _in_parallel():
    """How many groups of channels run at a time (eager execution warns of more than one)."""
    return 1 if tf.executing_eagerly() else 2


def _numbered(part):
    """Float64 numbers [cells, c], the smaller the larger the float32 value, or if equal the lower its position."""
    # -0 becomes 0. (Adding 0 would do so too, but TensorFlow's optimizer takes such an addition out of a graph.)
    bits = tf.bitcast(tf.where(part == 0, 0.0, part), tf.int32)
    # As whole numbers the bits rise with the value above zero, and fall below.
    rank = tf.cast(tf.where(bits < 0, bits ^ 0x7FFFFFFF, bits), tf.int64)
    position = tf.reshape(tf.range(tf.size(part, out_type=tf.int64)), tf.shape(part))
    # Positive float64 numbers are in the order of their bits: 2^52 makes them normal ones.
    return tf.bitcast((2**31 - 1 - rank) * (POSITION + 1) + 2**52 + position, tf.float64)


def _position(number):
    """Where in the cells [cells, c] a number of `_numbered` was, int64."""
    return tf.bitwise.bitwise_and(tf.bitcast(number, tf.int64), POSITION)


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
