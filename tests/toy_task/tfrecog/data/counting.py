"""Records of images with objects into batches: image [B, S, S, 3] in 0..255 and count [B], beside `read.facts`."""

import numpy as np
import tensorflow as tf

from tfrecog.data import image, order, read
from tfrecog.data.parse import parse


def steps_per_epoch(index, config):
    """Training batches that show every image at least once."""
    return -(-len(index) // config.batch_size)


def training(config, side, index, *, seed, start_step, steps):
    """Batches of the steps start_step..steps-1: a function of the step, so that a stopped run goes on with its own."""
    batches_of, per_epoch = (
        order.shuffled(_groups(side, index), config.batch_size, seed),
        steps_per_epoch(index, config),
    )
    rows = [batches_of(step // per_epoch)[0][step % per_epoch] for step in range(start_step, steps)]
    rows = np.concatenate(rows)
    return _batches(config, side, index, rows, np.ones(len(rows), bool), config.batch_size)


def evaluation(config, side, index, batch_size):
    """Batches of every image once; fillers of incomplete ones are not `valid`."""
    rows, _, valid = order.in_turn(_groups(side, index), batch_size)
    return _batches(config, side, index, rows.ravel(), valid.ravel(), batch_size)


def _groups(side, index):
    return order.Groups(np.array([[side, side]]), (np.arange(len(index)),))


def _batches(config, side, index, rows, valid, batch_size):
    def example(row, valid):
        record = parse(read.serialized(config.records, index, row), masks=False, keypoints=0, mask_size=0)
        picture, _ = read.picture_of(config.records, index, row, record)
        seen = tf.ensure_shape(image.resize(picture, tf.constant([side, side]), config.resize), [side, side, 3])
        count = tf.gather(tf.constant(index.instances, tf.float32), row)
        return read.facts(index, row, tf.zeros([2], tf.int32)) | {"image": seen, "count": count, "valid": valid}

    return read.prepare(tf.data.Dataset.from_tensor_slices((rows, valid)), example, config, batch_size)
