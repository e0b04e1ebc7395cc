"""A function of whole images through a window that slides over them, for images too large for it to see at once."""

from collections.abc import Callable

import tensorflow as tf


def sliding_mean(function: Callable, image: tf.Tensor, window: tuple[int, int], channels: int) -> tf.Tensor:
    """Mean [B, H, W, C] of a function's values where windows overlap, of images [B, H, W, 3] of any size.

    Windows lie half a window apart, and the last of a row or column ends with the image; an image that is smaller has
    one window of its own size.

    Args:
        function: images [B, h, w, 3] to values [B, h, w, C] float32.
        window: h, w.
        channels: C.
    """
    size = tf.shape(image)[1:3]
    side = tf.minimum(size, window)
    step = tf.maximum(side // 2, 1)
    count = 1 + -(-(size - side) // step)  # Enough to reach the end.

    def start_of(i, axis):
        return tf.minimum(i * step[axis], size[axis] - side[axis])

    def added(axis, values_from):
        """Sum [B, ., ., C] of the values of each window along an axis, at its place."""
        shape = [tf.shape(image)[0], side[0] if axis else size[0], size[1], channels]

        def body(i, total):
            start = start_of(i, axis)
            around = [[0, 0]] * 4
            around[1 + axis] = [start, size[axis] - start - side[axis]]
            return i + 1, total + tf.pad(values_from(start), around)

        # Of the static shape of what is added to it: all unknown but the channels.
        shapes = tf.TensorShape([]), tf.TensorShape([image.shape[0], None, None, channels])
        return tf.while_loop(
            lambda i, _: i < count[axis], body, (tf.constant(0), tf.zeros(shape)), shapes, parallel_iterations=1
        )[1]

    def row_from(top):
        """Of a row of windows: a strip [B, h, W, C]."""
        strip = image[:, top : top + side[0]]
        return added(1, lambda left: function(strip[:, :, left : left + side[1]]))

    def times(axis):
        starts = start_of(tf.range(count[axis]), axis)[:, None]
        places = tf.range(size[axis])
        return tf.math.count_nonzero((places >= starts) & (places < starts + side[axis]), axis=0, dtype=tf.float32)

    return added(0, row_from) / (times(0)[:, None, None] * times(1)[:, None])
