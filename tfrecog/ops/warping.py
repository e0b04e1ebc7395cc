"""Warped regions: R-CNN's "features" of a roi are the image itself, resized to a square (Girshick et al. 2014, 2.2)."""

import tensorflow as tf


def with_context(boxes, size: int, context: int):
    """Boxes [..., 4] grown about their centres, so that of `size` pixels they are warped to `context` lie on each side.

    (Girshick et al. 2014, appendix A: 16 of 227.) A box is `size - 2 * context` pixels of the warped region then.
    """
    growth = (size / (size - 2 * context) - 1) / 2
    margin = growth * (boxes[..., 2:] - boxes[..., :2])
    return tf.concat([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)


def warp(image, boxes, limits, *, size: int):
    """Regions [n, S, S, C] of an image [H, W, C]: boxes [n, 4], each resized to S x S whatever its shape.

    Bilinear where a box is enlarged. Where it shrinks, the filter is as much wider as the box has more pixels, so that
    an average is taken and nothing is skipped, as Pillow and `tf.image.resize(antialias=True)` do (R-CNN's own code did
    not). A resized image is a product with a matrix on each side, which all devices do fast and always alike. Beyond
    the image a region is 0, the mean of normalised pixels, as in the paper. Boxes get no gradient.

    Args:
        limits: height and width [2] of the image in its canvas.
        size: S.
    """
    boxes, image = tf.stop_gradient(boxes), tf.cast(image, tf.float32)
    height, width, channels = (image.shape[i] or tf.shape(image)[i] for i in range(3))
    rows = _weights(boxes[:, 0], boxes[:, 2], limits[0], height, size)
    columns = _weights(boxes[:, 1], boxes[:, 3], limits[1], width, size)
    planes = tf.reshape(tf.transpose(image, [0, 2, 1]), [height, -1])
    # All boxes' rows in one product, whose second factor is the image.
    x = tf.matmul(tf.reshape(rows, [-1, height]), planes)
    x = tf.matmul(tf.reshape(x, [-1, size * channels, width]), columns, transpose_b=True)
    return tf.transpose(tf.reshape(x, [-1, size, channels, size]), [0, 1, 3, 2])


def _weights(start, end, limit, length, size):
    """Weights [n, S, length] of the cells in each of S samples from `start` to `end`, both [n]; 0 from `limit` on."""
    step = (end - start)[:, None, None] / size
    # In cells, of which the first is centred at 0.
    centre = start[:, None, None] + (tf.range(size, dtype=tf.float32)[:, None] + 0.5) * step - 0.5
    cell, limit = tf.range(length, dtype=tf.float32), tf.cast(limit, tf.float32)
    weights = tf.maximum(1 - tf.abs(cell - centre) / tf.maximum(step, 1.0), 0.0)
    # A sample in the image takes from it alone, one beyond it nothing.
    inside = (centre >= -0.5) & (centre <= limit - 0.5)
    weights = tf.where((cell < limit) & inside, weights, 0.0)
    return tf.math.divide_no_nan(weights, tf.reduce_sum(weights, axis=-1, keepdims=True))
