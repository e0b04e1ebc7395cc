"""Which anchors (or rois) stand for which instance, and which of them a loss looks at."""

import tensorflow as tf

OBJECT, BACKGROUND, IGNORE = 1, 0, -1


def match(iou, labels, positive, negative, low_quality):
    """Best instance gt [A] and state [A] (1 object, 0 background, -1 ignore) of each anchor, both int32.

    Args:
        iou: [N, A], overlap of every ground-truth slot with every anchor.
        labels: [N]; slots labelled 0 are padding and match nothing.
        positive: an anchor with IoU >= positive is an object.
        negative: an anchor with IoU < negative is background; in between it is ignored.
        low_quality: the anchors with an instance's highest IoU count as objects too, so that each instance has at
            least one (Faster R-CNN, section 3.1.2). As in torchvision such an anchor keeps its own best instance.
            An instance that no anchor touches adds none.
    """
    # Padding is below any real overlap, so that it is nobody's best instance while there is a real one.
    iou = tf.where(labels[:, None] > 0, iou, -tf.ones_like(iou))
    # One slot of padding more gives an answer where there are no slots at all (N = 0).
    iou = tf.concat([iou, -tf.ones_like(iou[:1]) if iou.shape[0] else -tf.ones([1, tf.shape(iou)[1]], iou.dtype)], 0)
    gt = tf.argmax(iou, axis=0, output_type=tf.int32)
    best = tf.reduce_max(iou, axis=0)
    state = tf.where(best >= positive, OBJECT, tf.where(best < negative, BACKGROUND, IGNORE))
    if low_quality:
        highest = tf.reduce_max(iou, axis=1, keepdims=True)
        is_highest = tf.reduce_any((iou == highest) & (highest > 0), axis=0)
        state = tf.where(is_highest, OBJECT, state)
    return gt, state


def sample(state, count, positive_fraction, seed):
    """A random sample of anchors: indices [count] int32 and their state [count] int32, objects first, in random order.

    At most `positive_fraction` of the sample are objects; background fills the rest (Fast R-CNN, section 2.3). Slots
    left over have index 0 and state -1. The result depends on state [A] and seed [2] alone: an image has the same
    sample in whatever batch and on whatever device it is.
    """
    priority = tf.random.stateless_uniform(tf.shape(state), seed)
    max_objects = int(count * positive_fraction)
    objects, num_objects = _first(priority, state == OBJECT, max_objects)
    background, num_background = _first(priority, state == BACKGROUND, count)
    slot = tf.range(count)
    is_object = slot < num_objects
    is_background = ~is_object & (slot - num_objects < num_background)
    candidates = tf.concat([objects, background], axis=0)
    position = tf.where(is_object, slot, max_objects + slot - num_objects)
    indices = tf.where(is_object | is_background, tf.gather(candidates, position), 0)
    return indices, tf.where(is_object, OBJECT, tf.where(is_background, BACKGROUND, IGNORE))


def _first(priority, wanted, count):
    """The wanted indices of highest priority, padded to [count], and how many there are."""
    ranked = tf.where(wanted, priority, -tf.ones_like(priority))
    available = tf.minimum(count, tf.shape(ranked)[0])
    _, indices = tf.math.top_k(ranked, k=available)
    indices = tf.pad(indices, [[0, count - available]])
    indices.set_shape([count])
    return indices, tf.minimum(tf.reduce_sum(tf.cast(wanted, tf.int32)), count)
