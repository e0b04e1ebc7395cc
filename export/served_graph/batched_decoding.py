"""Encoded pictures of many sizes; those of one size go through a network together."""

from collections.abc import Callable

import tensorflow as tf

from tfrecog.data import image

AT_ONCE = 4  # pictures that are decoded side by side


def decoded(encoded, decode: Callable, prepare: Callable, dtype) -> tuple[tf.TensorArray, tf.Tensor]:
    """prepare(picture uint8 [H, W, 3]), [h, w, 3], of each of B encoded pictures [B], and their sizes [B, 2].

    `decode` makes a picture of bytes [].
    """
    count = tf.shape(encoded)[0]
    pictures = tf.TensorArray(dtype, count, element_shape=[None, None, 3], infer_shape=False)
    sizes = tf.TensorArray(tf.int32, count, element_shape=[2])

    def body(i, pictures, sizes):
        picture = decode(encoded[i])
        return i + 1, pictures.write(i, prepare(picture)), sizes.write(i, tf.shape(picture)[:2])

    start = tf.constant(0), pictures, sizes
    _, pictures, sizes = tf.while_loop(lambda i, *_: i < count, body, start, parallel_iterations=AT_ONCE)
    return pictures, sizes.stack()


def in_groups(shapes, function: Callable, results: dict[str, tf.TensorSpec]) -> dict[str, tf.Tensor]:
    """The outputs of function(index [n], shape [2]) for the pictures of each shape, name → [n, ...], of all, [B, ...].

    Args:
        shapes: [B, 2] int32, what the pictures have to have in common to go together.
        results: of one picture.
    """
    count = tf.shape(shapes)[0]
    height, width = tf.unstack(tf.cast(shapes, tf.int64), axis=1)
    different, group = tf.unique(height * 2**32 + width)

    def body(i, *arrays):
        index = tf.cast(tf.where(tf.equal(group, i))[:, 0], tf.int32)
        found = function(index, shapes[index[0]])
        return i + 1, *(array.scatter(index, found[name]) for name, array in zip(results, arrays, strict=True))

    arrays = [tf.TensorArray(one.dtype, count, element_shape=one.shape, infer_shape=False) for one in results.values()]
    # One group after the other: a second network at work would need its memory too.
    _, *arrays = tf.while_loop(
        lambda i, *_: i < tf.size(different), body, (tf.constant(0), *arrays), parallel_iterations=1
    )
    return {name: array.stack() for name, array in zip(results, arrays, strict=True)}


def stacked(pictures: tf.TensorArray, index, canvas):
    """Pictures [n, H, W, 3] float32 at index [n], each with zeros at the bottom and right, to canvas [2]."""
    return tf.map_fn(
        lambda i: image.pad(tf.cast(pictures.read(i), tf.float32), canvas),
        index,
        fn_output_signature=tf.TensorSpec([None, None, 3], tf.float32),
    )
