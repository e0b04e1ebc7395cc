"""A function of whole images through a window that slides over them, for images too large to be seen at once."""

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
    total = tf.zeros([tf.shape(image)[0], size[0], size[1], channels])

    def body(i, total, times):
        start = tf.minimum(tf.stack([i // count[1], i % count[1]]) * step, size - side)
        values = function(image[:, start[0] : start[0] + side[0], start[1] : start[1] + side[1]])
        around = tf.stack([start, size - start - side], axis=1)
        placed = tf.pad(values, tf.concat([[[0, 0]], around, [[0, 0]]], axis=0))
        return i + 1, total + placed, times + tf.pad(tf.ones(side), around)

    shapes = tf.TensorShape([]), total.shape, tf.TensorShape([None, None])
    start = tf.constant(0), total, tf.zeros(size)
    _, total, times = tf.while_loop(lambda i, *_: i < count[0] * count[1], body, start, shapes, parallel_iterations=1)
    return total / times[:, :, None]
