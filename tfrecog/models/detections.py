"""From class logits and deltas of rois to the detections of an image."""

import tensorflow as tf

from tfrecog.config import DetectorConfig
from tfrecog.ops import boxes, suppression


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
    scores = (tf.sigmoid(logits) if config.box.scores == "svm" else tf.nn.softmax(logits))[:, 1:]
    moved = boxes.clip(boxes.decode(deltas, rois[:, None], config.box.delta_scale), size)
    keep = valid[:, None] & (scores > output.min_score) & boxes.long_enough(moved, output.min_size)
    where = tf.where(keep)
    # One empty candidate, so that there is always one.
    candidates = tf.pad(tf.gather_nd(moved, where), [[0, 1], [0, 0]])
    labels = tf.pad(tf.cast(where[:, 1], tf.int32) + 1, [[0, 1]])
    scores = tf.pad(tf.gather_nd(scores, where), [[0, 1]], constant_values=-float("inf"))
    index, found = suppression.nms_by_group(candidates, scores, labels, output.nms_iou, output.max_detections)
    return (
        tf.where(found[:, None], tf.gather(candidates, index), 0.0),
        tf.where(found, tf.gather(labels, index), 0),
        tf.where(found, tf.gather(scores, index), 0.0),
    )


def most(labels):
    """Slots that the image with the most detections fills, of labels [B, D]; at least 1."""
    return tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(labels > 0, tf.int32), axis=1)), 1)


def per_image(function, batch: tuple, dtypes: tuple) -> tuple:
    """`function` of each image's tensors, its results stacked; side by side where the batch size is known."""
    if batch[0].shape[0] is None:
        return tf.map_fn(lambda one: function(*one), batch, fn_output_signature=dtypes)
    results = [function(*(x[i] for x in batch)) for i in range(batch[0].shape[0])]
    return tuple(tf.stack(x) for x in zip(*results, strict=True))
