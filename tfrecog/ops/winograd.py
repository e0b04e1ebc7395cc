"""A 3x3 convolution with fewer multiplications (Winograd 1980; Lavin and Gray 2016, F(2x2, 3x3)), as matrix products.

Along one axis two outputs need four inputs and four products instead of six: with d the inputs, g the kernel,
y = A (G g * B d). In two axes there are 16 products a cell of four outputs instead of 36, for each pair of an input and
an output channel. B holds 0 and ±1 and A too, G halves: rounding is about that of the plain sum. It pays on a CPU; a
GPU's library has it already.
"""

import numpy as np
import tensorflow as tf

_B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
_A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)


def conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: int = 1) -> tf.Tensor:
    """The convolution [B, H, W, K] of x [B, H, W, C] float32 with a kernel [3, 3, C, K], of stride 1, padded by zeros.

    What `tf.nn.conv2d(x, kernel, 1, "SAME", dilations=dilation)` computes, but for rounding.
    """
    batch, height, width, _ = tf.unstack(tf.shape(x))
    channels, filters = kernel.shape[2:]
    gather_rows, scatter_rows = _axis(height, dilation)
    gather_columns, scatter_columns = _axis(width, dilation)
    rows, columns = tf.shape(gather_rows)[1], tf.shape(gather_columns)[1]  # pairs of outputs along each axis

    # [4, rows, H] by [B, H, W * C], then [4, columns, W] by [4, 1, B * rows, W, C].
    d = tf.matmul(tf.reshape(gather_rows, [1, 4 * rows, height]), tf.reshape(x, [batch, height, width * channels]))
    d = tf.transpose(tf.reshape(d, [batch, 4, rows * width * channels]), [1, 0, 2])
    d = tf.matmul(gather_columns[None, :, None], tf.reshape(d, [4, 1, batch * rows, width, channels]))
    g = tf.matmul(np.kron(_G, _G), tf.reshape(kernel, [9, channels * filters]))
    y = tf.matmul(tf.reshape(d, [16, batch * rows * columns, channels]), tf.reshape(g, [16, channels, filters]))
    # [H, 4 * rows] by [B, 4 * rows, 4 * columns * K], then [W, 4 * columns] by [B, H, 4 * columns, K].
    y = tf.transpose(tf.reshape(y, [4, 4, batch, rows, columns * filters]), [2, 0, 3, 1, 4])
    y = tf.matmul(scatter_rows[None], tf.reshape(y, [batch, 4 * rows, 4 * columns * filters]))
    y = tf.matmul(scatter_columns[None, None], tf.reshape(y, [batch, height, 4 * columns, filters]))
    return tf.ensure_shape(y, [*x.shape[:3], filters])


def _axis(length, dilation):
    """What B does [4, pairs, length] to an axis, and what A does [length, 4 * pairs] to get it back.

    A pair is of the outputs p and p + dilation; pairs begin at 0, 1, ..., dilation - 1, 2 * dilation, ... What lies
    outside the axis is zero on the way in, and lost on the way out.
    """
    period = 2 * dilation
    pair = tf.range(length // period * dilation + tf.minimum(length % period, dilation))
    first = pair // dilation * period + pair % dilation
    there = tf.stack([tf.one_hot(first + (tap - 1) * dilation, length) for tap in range(4)])
    back = tf.stack([tf.one_hot(first + output * dilation, length) for output in range(2)])
    taken = tf.einsum("it,tpn->ipn", _B, there)
    given = tf.einsum("oi,opn->nip", _A, back)
    return taken, tf.reshape(given, [length, -1])
