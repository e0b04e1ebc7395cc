"""Pooling to a fixed size, whatever the size of the map."""

import tensorflow as tf


def adaptive_average(x, size: int):
    """Means [B, size, size, C] of a map [B, H, W, C] over `size` bands of rows and of columns.

    Band i of n rows has the rows from floor(i n / size) to ceil((i + 1) n / size), the last excluded, so that bands
    share rows where n is no multiple of `size` (torchvision's rule, of its AlexNet and VGG). A map of that size stays
    as it is.
    """
    if x.shape[1] == x.shape[2] == size:
        return x
    height, width = (tf.shape(x)[i] if x.shape[i] is None else x.shape[i] for i in (1, 2))
    means = tf.einsum("ih,bhwc,jw->bijc", _bands(height, size), tf.cast(x, tf.float32), _bands(width, size))
    return tf.cast(means, x.dtype)


def _bands(count, size):
    """Weights [size, count] that take the mean over each band of `count` cells."""
    band, cell = tf.range(size)[:, None], tf.range(count)[None]
    inside = (cell >= band * count // size) & (cell < ((band + 1) * count + size - 1) // size)
    weights = tf.cast(inside, tf.float32)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)
