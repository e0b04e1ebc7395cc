"""Bilinear upsampling by a whole factor, as a resize and as the deconvolution that computes the same.

A deconvolution (Long et al. 2015, section 3.3) with a kernel of K cells adds cell i, times kernel[k], to its output
`factor * i + k`; so cell i is centred at the output factor * i + (K - 1) / 2. Maps are aligned in one of two ways:
    half pixels  as poolings of 2x2 make them: the first cell covers the first `factor` outputs, K is 2 * factor;
    corners      as odd convolutions with stride make them, padded by half their size: the first cell is centred at the
                 first output, K is 2 * factor - 1.
"""

import numpy as np
import tensorflow as tf


def resize(x: tf.Tensor, factor: int, half_pixels: bool) -> tf.Tensor:
    """[B, h, w, C] float32 to [B, factor * h, factor * w, C]; beyond the outermost centres the border is repeated.

    What `deconvolve` computes with the kernels of `bilinear` and `edge`.
    """
    # Without half_pixel_centers, output p is read at cell p / factor: the operation knows both alignments.
    return tf.raw_ops.ResizeBilinear(images=x, size=tf.shape(x)[1:3] * factor, half_pixel_centers=half_pixels)


def resize_in_zeros(x: tf.Tensor, factor: int) -> tf.Tensor:
    """[B, h, w, C] float32 to [B, factor * (h + 1), factor * (w + 1), C]: all that a deconvolution reaches.

    What `deconvolve` computes with the kernels of `bilinear` for half pixels, and without `edge`.
    """
    grown = resize(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), factor, half_pixels=True)
    cut = factor // 2
    return grown[:, cut:-cut, cut:-cut]


def deconvolve(x: tf.Tensor, kernel: tf.Tensor, factor: int, edge: bool) -> tf.Tensor:
    """A deconvolution [B, h', w', C'] of x [B, h, w, C] with stride `factor` and kernel [K, K, C', C].

    Args:
        edge: the border is repeated, and h' is factor * h. Else there are zeros around x, and h' is all that the kernel
            reaches.
    """
    if edge:
        x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    batch, height, width, _ = tf.unstack(tf.shape(x))
    size, _, channels, _ = map(int, kernel.shape)
    shape = [batch, (height - 1) * factor + size, (width - 1) * factor + size, channels]
    grown = tf.nn.conv2d_transpose(x, kernel, shape, factor, "VALID")
    if not edge:
        return grown
    # The first cell is now the second: centred at factor + (K - 1) / 2. It belongs at 0, or at (factor - 1) / 2.
    half_pixels = size % 2 == 0
    cut = factor + (size - 1) // 2 - (factor - 1) // 2 if half_pixels else factor + (size - 1) // 2
    return grown[:, cut : cut + (height - 2) * factor, cut : cut + (width - 2) * factor]


def bilinear(factor: int, half_pixels: bool, channels: int) -> np.ndarray:
    """The kernel [K, K, C, C] of a deconvolution that interpolates each channel by itself."""
    size = 2 * factor - (not half_pixels)
    line = 1 - np.abs(np.arange(size) - (size - 1) / 2) / factor
    return np.einsum("y,x,cd->yxcd", line, line, np.eye(channels)).astype(np.float32)
