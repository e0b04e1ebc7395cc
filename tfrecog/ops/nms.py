"""Non-maximum suppression: of boxes that overlap, the best one stays."""

import tensorflow as tf

from tfrecog.ops import target

# A candidate's score is above it. (TensorFlow's GPU kernel takes the lowest float32 of all for "no threshold".)
LOWEST = -1e38


def nms(boxes, scores, iou, max_out):
    """Indices [max_out] int32 of the boxes that stay, best score first, and valid [max_out] bool.

    Greedy: a box [R, 4] goes if its IoU with a better box that stays is above `iou`. A score of -inf marks padding.
    Of equal scores the lower index goes first. Slots left over have index 0.
    """
    if target.target() == "tflite":
        return _by_rank(boxes, scores, iou, max_out)
    return _greedy(boxes, scores, iou, max_out)


def _by_rank(boxes, scores, iou, max_out):
    """TensorFlow Lite takes equal scores in any order, so it gets places in a ranking, of which no two are equal."""
    scores, order = tf.math.top_k(scores, k=scores.shape[0])  # Of equal ones the lower index comes first.
    places = tf.where(scores > LOWEST, tf.range(scores.shape[0], 0, -1, tf.float32), -float("inf"))
    index, valid = _greedy(tf.gather(boxes, order), places, iou, max_out)
    return tf.where(valid, tf.gather(order, index), 0), valid


def _greedy(boxes, scores, iou, max_out):
    indices, count = tf.raw_ops.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=max_out,
        iou_threshold=tf.cast(iou, tf.float32),
        score_threshold=LOWEST,
        pad_to_max_output_size=True,
    )
    valid = tf.range(max_out) < count
    return tf.where(valid, tf.ensure_shape(indices, [max_out]), 0), valid


def nms_by_group(boxes, scores, groups, iou, max_out):
    """As `nms`, but boxes [R, 4] suppress only boxes of their own group [R] (a class or a pyramid level).

    The best `max_out` of all groups together stay, best score first.
    """
    return nms(boxes + _apart(boxes, scores, groups), scores, iou, max_out)


def _apart(boxes, scores, groups):
    """Shifts [R, 4] that bring boxes of different groups out of each other's reach.

    Groups lie on a square grid, not in a line: the coordinates of 90 classes grow tenfold instead of ninetyfold, and
    float32 keeps the places after the point that the overlaps need.
    """
    finite = tf.where((scores > LOWEST)[:, None], boxes, 0.0)
    step = tf.math.ceil(tf.maximum(tf.reduce_max(tf.abs(finite)), 0)) * 2 + 1  # 1 if there are no boxes.
    side = tf.math.ceil(tf.sqrt(tf.cast(tf.maximum(tf.reduce_max(groups), 0) + 1, tf.float32)))
    side = tf.cast(side, groups.dtype)
    shift = step * tf.cast(tf.stack([groups // side, groups % side], axis=-1), boxes.dtype)
    return tf.concat([shift, shift], axis=-1)
