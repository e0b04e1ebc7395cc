"""From class logits and deltas of rois to the detections of an image."""

import tensorflow as tf

from tfrecog.config import BoxConfig, DetectorConfig
from tfrecog.ops import boxes, nms, target


def detect(logits, deltas, rois, valid, size, config: DetectorConfig):
    """Detections of one image: boxes [D, 4], labels [D], scores [D] by falling score; empty slots are zeros.

    Args:
        logits: [R, K + 1]; with --detector.box.scores=svm the margins of the classes' SVMs, and no background.
        deltas: [R, K, 4].
        rois: [R, 4].
        valid: [R].
        size: [2], height and width of the image in its canvas.
    """
    output = config.output
    scores = class_scores(logits, config.box)
    moved = boxes.clip(boxes.decode(deltas, rois[:, None], config.box.delta_scale), size)
    keep = valid[:, None] & (scores > output.min_score) & boxes.long_enough(moved, output.min_size)
    select = _all if target.target() == "tflite" else _kept
    candidates, labels, scores = select(moved, scores, keep)
    index, found = nms.nms_by_group(candidates, scores, labels, output.nms_iou, output.max_detections)
    return (
        tf.where(found[:, None], tf.gather(candidates, index), 0.0),
        tf.where(found, tf.gather(labels, index), 0),
        tf.where(found, tf.gather(scores, index), 0.0),
    )


def class_scores(logits, config: BoxConfig):
    """Scores [R, K] of logits [R, K + 1]: a softmax with the background, or sigmoids of the margins of the SVMs."""
    return (tf.sigmoid(logits) if config.scores == "svm" else tf.nn.softmax(logits))[:, 1:]


def _kept(moved, scores, keep):
    """Boxes [n, 4], labels [n] and scores [n] of the candidates that `keep` [R, K] marks, and an empty one."""
    where = tf.where(keep)
    # One empty candidate, so that there is always one.
    candidates = tf.pad(tf.gather_nd(moved, where), [[0, 1], [0, 0]])
    labels = tf.pad(tf.cast(where[:, 1], tf.int32) + 1, [[0, 1]])
    return candidates, labels, tf.pad(tf.gather_nd(scores, where), [[0, 1]], constant_values=-float("inf"))


def _all(moved, scores, keep):
    """As `_kept`, but all R * K candidates in the same order, of which those that are not kept have a score of -inf."""
    # Without a label they leave the groups of suppression as they are without them.
    labels = tf.where(keep, tf.range(1, keep.shape[1] + 1)[None], 0)
    scores = tf.where(keep, scores, -float("inf"))
    return tf.reshape(moved, [-1, 4]), tf.reshape(labels, [-1]), tf.reshape(scores, [-1])


def most(labels):
    """Slots that the image with the most detections fills, of labels [B, D]; at least 1. For TFLite all, D."""
    if target.target() == "tflite":
        return labels.shape[1]
    return tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(labels > 0, tf.int32), axis=1)), 1)


def per_image(function, batch: tuple, dtypes: tuple) -> tuple:
    """`function` of each image's tensors, its results stacked; side by side where the batch size is known."""
    if batch[0].shape[0] is None:
        return tf.map_fn(lambda one: function(*one), batch, fn_output_signature=dtypes)
    results = [function(*(x[i] for x in batch)) for i in range(batch[0].shape[0])]
    return tuple(tf.stack(x) for x in zip(*results, strict=True))
