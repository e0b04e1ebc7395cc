"""Losses. Each is a pair (total, count), both scalars: the loss is total / count.

Pairs, because the count belongs to the whole batch: summed over replicas before the division, it makes the update the
same for any number of replicas. With nothing to learn from, the total is 0 and so is its gradient.
"""

import tensorflow as tf


def objectness_loss(logits, state):
    """Binary cross entropy of sampled anchors (Ren et al. 2015, section 3.1.2), of logits [...].

    Args:
        logits: [...].
        state: [...], 1 an object, 0 background, -1 not sampled.
    """
    sampled = state >= 0
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(state == 1, logits.dtype), logits)
    return total_where(sampled, cross_entropy), count_where(sampled)


def box_loss(deltas, targets, positive, sampled, beta):
    """Smooth L1 of the positives' deltas [..., 4], divided by the number of all samples (Girshick 2015, section 2.3).

    Args:
        targets: [..., 4].
        positive: [...] bool, whose deltas count.
        sampled: [...] bool, what is divided by.
        beta: where the square turns into a line.
    """
    return total_where(positive, tf.reduce_sum(smooth_l1(deltas - targets, beta), axis=-1)), count_where(sampled)


def class_loss(logits, labels, sampled):
    """Cross entropy of class logits [..., K + 1] with labels [...] in 0..K, where sampled [...]."""
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    return total_where(sampled, cross_entropy), count_where(sampled)


def mask_loss(logits, targets, labels):
    """Binary cross entropy of each mask of its own class (He et al. 2017, section 3).

    Args:
        logits: [..., S, S, K], a mask for each class.
        targets: [..., S, S], in [0, 1].
        labels: [...], in 1..K; 0 is padding, which adds nothing.
    """
    own_class = tf.gather(logits, tf.maximum(labels - 1, 0), axis=-1, batch_dims=len(labels.shape))
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(targets, own_class)
    return total_where(labels > 0, tf.reduce_mean(cross_entropy, axis=[-2, -1])), count_where(labels > 0)


def keypoint_loss(logits, index, valid, room=None):
    """Softmax cross entropy over the S² cells of each visible keypoint's heat map (He et al. 2017, section 5).

    By default the count is that of visible keypoints. It is taken over all images and all replicas, so each keypoint
    weighs the same: in a mean for each GPU and then over the GPUs, those of an image with few people weigh more, and
    the loss changes with how the images are spread. `room` divides by a constant instead, so an image with few visible
    keypoints moves the weights little; the loss is then small, and wants a larger weight.

    Args:
        logits: [..., S, S, J].
        index: [..., J] int32, the cell of each keypoint in 0..S² - 1, row by row.
        valid: [..., J] bool, which of them count.
        room: the count in place of that of the valid ones.
    """
    size, joints = logits.shape[-2:]
    maps = tf.linalg.matrix_transpose(tf.reshape(logits, [-1, size * size, joints]))
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(index, [-1, joints]), maps)
    total = total_where(tf.reshape(valid, [-1, joints]), cross_entropy)
    return total, count_where(valid) if room is None else tf.cast(room, tf.float32)


def smooth_l1(error, beta):
    """Square below `beta`, line above, joined smoothly: 0.5 e² / beta, or |e| - beta / 2 (Girshick 2015, eq. 3).

    With a beta of 0 it is the line alone.
    """
    size = tf.abs(error)
    if not beta:  # The square would be 0 / 0, whose gradient no tf.where keeps out.
        return size
    return tf.where(size < beta, 0.5 * size**2 / beta, size - 0.5 * beta)


def total_where(condition, values):
    """Sum of values [...] where condition [...]."""
    return tf.reduce_sum(tf.where(condition, values, 0.0))


def count_where(condition):
    """How often condition [...] holds."""
    return tf.reduce_sum(tf.cast(condition, tf.float32))


def class_targets(labels, num_classes, smoothing=0.0):
    """Shares [B, K] of the classes in images of labels [B] in 1..K; zeros for 0.

    Args:
        smoothing: share that goes to all classes alike, the true one too (Szegedy et al. 2016, section 7).
    """
    known = tf.cast(labels > 0, tf.float32)[:, None]
    return known * ((1 - smoothing) * tf.one_hot(labels - 1, num_classes) + smoothing / num_classes)


def image_cross_entropy(logits, targets):
    """Softmax cross entropy of logits [B, K] with shares of the classes [B, K]; an image without shares adds nothing.

    It is linear in the shares: of two images mixed, it is the mean of both labels' losses (Zhang et al. 2018).
    """
    log_probabilities = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    counted = tf.reduce_sum(targets, axis=-1) > 0
    return total_where(counted, -tf.reduce_sum(targets * log_probabilities, axis=-1)), count_where(counted)


def image_squared_error(outputs, targets):
    """Mean over the outputs [B, K] of their squared error; an image without shares [B, K] adds nothing.

    An output is to be 1 for the class of the image and -1 for the others (LeCun et al. 1989, section 5).
    """
    error = tf.cast(outputs, tf.float32) - (2 * targets - 1)
    counted = tf.reduce_sum(targets, axis=-1) > 0
    return total_where(counted, tf.reduce_mean(error**2, axis=-1)), count_where(counted)


def hits(outputs, labels):
    """How many of the outputs [B, K] are highest for the label [B] in 1..K, and of how many; 0 does not count."""
    best = tf.argmax(outputs, axis=-1, output_type=tf.int32) + 1
    return count_where((best == labels) & (labels > 0)), count_where(labels > 0)


def pixel_weights(labels, class_weights=()):
    """Weights [B, H, W] in the loss of pixels of labels [B, H, W]: 1, or that of the class; 0 for label 0."""
    weights = tf.constant([0.0, *class_weights]) if class_weights else None
    return tf.cast(labels > 0, tf.float32) if weights is None else tf.gather(weights, labels)


def pixel_cross_entropy(logits, labels, weights):
    """Softmax cross entropy of each pixel (Long et al. 2015, section 4.1), of logits [B, H, W, K].

    Args:
        labels: [B, H, W] int32 in 1..K; 0 does not count.
        weights: [B, H, W], 0 where a pixel does not count.
    """
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels - 1, 0), logits)
    return tf.reduce_sum(weights * cross_entropy), tf.reduce_sum(weights)


def pixel_binary_cross_entropy(logits, labels, weights):
    """As `pixel_cross_entropy`, but of a sigmoid for each class, whose cross entropies are added up.

    Each class is told from all others by itself, so a pixel may be of several, or of none.
    """
    targets = tf.one_hot(labels - 1, logits.shape[-1])
    cross_entropy = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=-1)
    return tf.reduce_sum(weights * cross_entropy), tf.reduce_sum(weights)
