"""Boxes [y1, x1, y2, x2] in continuous pixels: areas, overlaps, and the deltas a network predicts."""

import math

import tensorflow as tf

# A predicted box is at most 1000/16 times its anchor: exp must not overflow before the first useful gradient.
MAX_LOG_GROWTH = math.log(1000 / 16)


def area(boxes):
    """Areas [...] of boxes [..., 4]."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def pairwise_iou(a, b):
    """Intersection over union [..., N, M] of boxes [..., N, 4] with boxes [..., M, 4]; 0 for empty boxes."""
    a_y1, a_x1, a_y2, a_x2 = tf.unstack(a[..., :, None, :], axis=-1)
    b_y1, b_x1, b_y2, b_x2 = tf.unstack(b[..., None, :, :], axis=-1)
    height = tf.maximum(tf.minimum(a_y2, b_y2) - tf.maximum(a_y1, b_y1), 0)
    width = tf.maximum(tf.minimum(a_x2, b_x2) - tf.maximum(a_x1, b_x1), 0)
    intersection = height * width
    union = area(a)[..., :, None] + area(b)[..., None, :] - intersection
    return tf.math.divide_no_nan(intersection, union)


def encode(boxes, anchors, scale):
    """Deltas [..., 4] (dy, dx, dh, dw) from anchors [..., 4] to boxes [..., 4]; see `decode`.

    `scale` (4 numbers) multiplies the deltas to bring them to unit variance (Fast R-CNN, section 2.3). An empty box or
    anchor has no deltas: its four numbers are finite and mean nothing.
    """
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    shift = tf.math.divide_no_nan(centre - anchor_centre, anchor_size)
    growth = tf.math.divide_no_nan(size, anchor_size)
    log_growth = tf.math.log(tf.where(growth > 0, growth, tf.ones_like(growth)))
    return tf.concat([shift, log_growth], axis=-1) * tf.constant(scale, boxes.dtype)


def decode(deltas, anchors, scale):
    """Boxes [..., 4] that lie deltas [..., 4] (dy, dx, dh, dw) away from anchors [..., 4] (R-CNN, appendix C)."""
    shift, log_growth = tf.split(deltas / tf.constant(scale, deltas.dtype), 2, axis=-1)
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = anchor_centre + shift * anchor_size
    half = 0.5 * anchor_size * tf.exp(tf.minimum(log_growth, MAX_LOG_GROWTH))
    return tf.concat([centre - half, centre + half], axis=-1)


def clip(boxes, size):
    """Boxes [..., R, 4] cut to images of size [..., 2] (height, width)."""
    limit = tf.cast(size, boxes.dtype)
    limit = tf.concat([limit, limit], axis=-1)[..., None, :]
    return tf.clip_by_value(boxes, tf.zeros_like(limit), limit)


def to_original(boxes, scale, size):
    """Boxes [..., R, 4] in originals of a size [..., 2], of boxes in the same images resized by scale [..., 2]."""
    return clip(boxes / tf.concat([scale, scale], axis=-1)[..., None, :], size)


def long_enough(boxes, min_size):
    """Whether both sides of boxes [..., 4] are at least `min_size` pixels, [...] bool."""
    return tf.reduce_all(boxes[..., 2:] - boxes[..., :2] >= min_size, axis=-1)


def grow(boxes, share):
    """Boxes [..., 4] that reach beyond boxes [..., 4] by a share of their sides, above, below, left and right."""
    more = (boxes[..., 2:] - boxes[..., :2]) * share
    return boxes + tf.concat([-more, more], axis=-1)


def flip(boxes, width):
    """Boxes [..., 4] mirrored left to right in an image `width` pixels wide."""
    y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
    width = tf.cast(width, boxes.dtype)
    return tf.stack([y1, width - x2, y2, width - x1], axis=-1)


def _centre_size(boxes):
    """Centres and sizes, both [..., 2], of boxes [..., 4]."""
    size = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * size, size
