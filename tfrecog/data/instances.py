"""Transforms that move all of an image's annotations together.

Instances are a dict of boxes [n, 4], labels [n], and where asked for masks [n, M, M] with mask_boxes [n, 4] (the box
that the mask square spans) and keypoints [n, J, 3]. A mask never changes its pixels except in a mirror: its box moves.
"""

import tensorflow as tf

from tfrecog.ops import boxes


def select(instances, keep):
    """Instances where keep [n] is true."""
    return {name: tf.boolean_mask(values, keep) for name, values in instances.items()}


def scale(instances, factor):
    """Instances of an image resized by factor [2] (y, x)."""
    out = dict(instances)
    for name in _boxes(instances):
        out[name] = instances[name] * tf.concat([factor, factor], axis=0)
    if "keypoints" in instances:
        out["keypoints"] = instances["keypoints"] * tf.concat([factor, [1.0]], axis=0)
    return out


def flip(instances, width, flip_pairs=()):
    """Instances of an image of a width, mirrored left to right; joints of flip_pairs change places."""
    out = dict(instances)
    for name in _boxes(instances):
        out[name] = boxes.flip(instances[name], width)
    if "masks" in instances:
        out["masks"] = tf.reverse(instances["masks"], axis=[2])
    if "keypoints" in instances:
        keypoints = instances["keypoints"]
        order = list(range(keypoints.shape[1]))
        for left, right in flip_pairs:
            order[left], order[right] = right, left
        y, x, visibility = tf.unstack(tf.gather(keypoints, order, axis=1), axis=-1)
        out["keypoints"] = tf.stack([y, tf.where(visibility > 0, width - x, 0.0), visibility], axis=-1)
    return out


def crop(instances, offset, size):
    """Instances of the window of a size [2] at offset [2]: boxes are clipped to it, mask_boxes are not.

    What vanishes is left out: boxes that the window cuts down to less than a pixel. Joints outside become invisible.
    """
    size = tf.cast(size, tf.float32)
    shift = tf.concat([offset, offset], axis=0)
    out = dict(instances)
    for name in _boxes(instances):
        out[name] = instances[name] - tf.cast(shift, tf.float32)
    before = out["boxes"]
    out["boxes"] = tf.clip_by_value(before, 0.0, tf.concat([size, size], axis=0))
    if "keypoints" in instances:
        points, visibility = (
            instances["keypoints"][..., :2] - tf.cast(offset, tf.float32),
            instances["keypoints"][..., 2:],
        )
        inside = tf.reduce_all((points >= 0) & (points < size), axis=-1, keepdims=True) & (visibility > 0)
        out["keypoints"] = tf.where(inside, tf.concat([points, visibility], axis=-1), 0.0)
    return select(out, tf.reduce_all(_sides(out["boxes"]) >= tf.minimum(_sides(before), 1.0), axis=-1))


def sound(boxes):
    """Whether [n] boxes [n, 4] have an inside."""
    return tf.reduce_all(_sides(boxes) > 0, axis=-1)


def pad(instances, slots):
    """Instances in a fixed number of slots: the first of them, then zeros (label 0)."""
    out = {}
    for name, values in instances.items():
        values = values[:slots]
        missing = slots - tf.shape(values)[0]
        values = tf.pad(values, [[0, missing]] + [[0, 0]] * (values.shape.rank - 1))
        out[name] = tf.ensure_shape(values, [slots, *values.shape[1:]])
    return out


def _boxes(instances):
    return [name for name in ("boxes", "mask_boxes") if name in instances]


def _sides(boxes):
    return boxes[..., 2:] - boxes[..., :2]
