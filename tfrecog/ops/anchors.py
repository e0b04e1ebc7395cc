"""Anchors: reference boxes of fixed sizes and shapes at every cell of a feature map (Faster R-CNN, section 3.1.1)."""

import numpy as np
import tensorflow as tf


def cell(size, ratios, rounded=True):
    """Anchors [a, 4] around the origin, one for each of `ratios` (height / width) and each size, of area size².

    `size` is one number or several (pixels); all sizes of the first ratio come first. Rounded to whole pixels as in
    torchvision, unless the weights at hand come from a library that does not round.
    """
    root = np.sqrt(np.asarray(ratios, np.float32))[:, None]
    sizes = np.atleast_1d(np.asarray(size, np.float32))[None]
    height, width = (root * sizes).ravel(), ((1 / root) * sizes).ravel()
    anchors = np.stack([-height, -width, height, width], axis=1) / np.float32(2)
    return np.round(anchors) if rounded else anchors


def grid(cell_anchors, feature_shape, stride):
    """Anchors [h*w*a, 4] of a feature map of shape (h, w): by row, by column, then in the order of `cell_anchors`.

    `stride` is the pair (sy, sx) of pixels from one cell to the next; the first cell's anchors lie around the origin.
    """
    y = tf.cast(tf.range(feature_shape[0]) * stride[0], tf.float32)
    x = tf.cast(tf.range(feature_shape[1]) * stride[1], tf.float32)
    y, x = tf.meshgrid(y, x, indexing="ij")
    shifts = tf.stack([y, x, y, x], axis=-1)[:, :, None]
    return tf.reshape(shifts + tf.constant(cell_anchors), [-1, 4])
