"""Pooling to a fixed size, whatever the size of the map; and gradients of max pooling that are the same each time."""

from contextlib import AbstractContextManager

import tensorflow as tf

from tfrecog.ops import target

_GRADIENT = "TfrecogMaxPool"


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


def same_gradients() -> AbstractContextManager:
    """A context in the body of a loop whose max poolings have gradients that are the same each time, on a CPU.

    TensorFlow has two kernels for such a gradient, its own and oneDNN's, which add in different orders. oneDNN's
    replaces the other where a pass over the graph (MklLayoutRewritePass) comes to the gradient after the pooling; in a
    loop that depends on addresses in memory, so each trace may round otherwise. MaxPoolGradV2 is never replaced.
    """
    return tf.compat.v1.get_default_graph().gradient_override_map({"MaxPool": _GRADIENT} if target.on_cpu() else {})


@tf.RegisterGradient(_GRADIENT)
def _max_pool_gradient(operation, gradient):
    """The gradient of a MaxPool without explicit padding."""
    names = "ksize", "strides", "padding", "data_format"
    return tf.raw_ops.MaxPoolGradV2(
        orig_input=operation.inputs[0],
        orig_output=operation.outputs[0],
        grad=gradient,
        **{name: operation.get_attr(name) for name in names},
    )
