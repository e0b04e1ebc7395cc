"""Pillow's bilinear resize in TensorFlow: the same bytes, for graphs that cannot call Pillow."""

import PIL
import tensorflow as tf

_DOWN_FIRST = int(PIL.__version__.split(".")[0]) >= 13
_BITS = 22  # of the fraction of a weight: 32, less 8 of a pixel and 2 of headroom


def resize(images, size):
    """Images [..., h, w, C] uint8 of a size [2], of images [..., H, W, C] uint8, by Pillow's filter BILINEAR.

    A triangle that is as wide as the pixels that become one, across and then down, each pass rounded to whole numbers.
    Pillow 13 goes down first where the height loses more than twice as many pixels as the width; those before it do
    not, and have some values that are 1 more or less there. The one that is installed is followed, as in prediction.
    """
    if not _DOWN_FIRST:
        return _rows(_columns(images, size[1]), size[0])
    shape = tf.shape(images)
    lost = shape[-3:-1] - size
    return tf.cond(
        (lost[0] > 0) & (lost[0] > 2 * lost[1]),
        lambda: _columns(_rows(images, size[0]), size[1]),
        lambda: _rows(_columns(images, size[1]), size[0]),
    )


def _columns(images, length):
    rank = images.shape.rank
    swapped = [*range(rank - 3), rank - 2, rank - 3, rank - 1]
    return tf.transpose(_rows(tf.transpose(images, swapped), length), swapped)


def _rows(images, length):
    """Images [..., h, W, C] uint8 with h = length rows made of H; as they are if there are so many."""
    axis = images.shape.rank - 3
    rows, channels = tf.shape(images)[axis], images.shape[-1]

    def made():
        first, weights = _weights(rows, length)
        shape = tf.concat([tf.shape(images)[:axis], [length], tf.shape(images)[axis + 1 :]], axis=0)

        def body(tap, total):
            row = tf.minimum(first + tap, rows - 1)  # Beyond the last, weights are 0.
            weight = tf.reshape(weights[tap], [-1, 1, 1])
            return tap + 1, total + tf.cast(tf.gather(images, row, axis=axis), tf.int32) * weight

        start = tf.constant(0), tf.fill(shape, 1 << (_BITS - 1))  # a half, which rounds
        _, total = tf.while_loop(
            lambda tap, _: tap < tf.shape(weights)[0],
            body,
            start,
            (tf.TensorShape([]), tf.TensorShape([None] * (axis + 2) + [channels])),
        )
        return tf.cast(tf.clip_by_value(tf.bitwise.right_shift(total, _BITS), 0, 255), tf.uint8)

    made = tf.cond(tf.equal(rows, length), lambda: images, made)
    return tf.ensure_shape(made, [*images.shape[:axis], None, *images.shape[axis + 1 :]])


def _weights(rows, length):
    """The first row [h] that each of h = length rows is made of, and weights [taps, h] int32, in 2**-22, from it on."""
    scale = tf.cast(rows, tf.float64) / tf.cast(length, tf.float64)
    reach = tf.maximum(scale, 1.0)  # of the triangle, on each side
    centre = (tf.range(tf.cast(length, tf.float64), dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(centre - reach + 0.5, tf.int32), 0)
    end = tf.minimum(tf.cast(centre + reach + 0.5, tf.int32), rows)
    row = first + tf.range(2 * tf.cast(tf.math.ceil(reach), tf.int32) + 1)[:, None]
    distance = (tf.cast(row, tf.float64) - centre + 0.5) * (1.0 / reach)
    weights = tf.where(row < end, tf.maximum(1.0 - tf.abs(distance), 0.0), 0.0)
    weights /= tf.reduce_sum(weights, axis=0)
    return first, tf.cast(0.5 + weights * (1 << _BITS), tf.int32)
