"""A dilated convolution (Yu and Koltun 2016) that can be trained on a CPU: TensorFlow's has a gradient by oneDNN alone.

Not every CPU has oneDNN switched on; where it is, these gradients are as fast as its own.
"""

import tensorflow as tf

from tfrecog.ops import target


def conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int) -> tf.Tensor:
    """The convolution [B, H, W, K] of x [B, H, W, C] with a kernel [S, S, C, K] of odd size S, padded by zeros.

    It is `tf.nn.conv2d(x, kernel, 1, "SAME", dilations=dilation)`, and its gradients are that one's but for rounding.
    """

    @target.custom_gradient
    def convolve(x, kernel):
        def gradients(dy):
            return _input_gradient(dy, kernel, dilation), _kernel_gradient(dy, x, kernel.shape, dilation)

        return tf.nn.conv2d(x, kernel, 1, "SAME", dilations=dilation), gradients

    return convolve(x, kernel)


def _input_gradient(dy, kernel, dilation):
    """A cell of x has a part in the outputs around it: the convolution with the kernel turned by half a circle."""
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    return tf.nn.conv2d(dy, turned, 1, "SAME", dilations=dilation)


def _kernel_gradient(dy, x, shape, dilation):
    """The output at p is the sum over the taps t of x[p + t * dilation] by kernel[t]: a matrix product for each tap."""
    size, _, channels, filters = shape
    pad, (height, width) = size // 2 * dilation, tf.unstack(tf.shape(x)[1:3])
    x, dy = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]]), tf.reshape(dy, [-1, filters])
    starts = range(0, size * dilation, dilation)
    seen = [x[:, top : top + height, left : left + width] for top in starts for left in starts]
    taps = [tf.matmul(tf.reshape(cells, [-1, channels]), dy, transpose_a=True) for cells in seen]
    return tf.reshape(tf.stack(taps), shape)
