"""Records of images with objects into batches: image [B, S, S, 3] in 0..255 and count [B], beside `read.facts`."""

import numpy as np
import tensorflow as tf

from tfrecog.data import image, order, read
from tfrecog.data.parse import parse


def training(config, side, split, *, seed, start_step, steps):
    """Batches of the steps start_step..steps-1: a function of the step, so that a stopped run goes on with its own."""
    batch_of = order.shuffled(order.one_group(split, [side, side]), config.batch_size, seed)
    rows = np.concatenate([batch_of(step)[0] for step in range(start_step, steps)])
    return _batches(config, side, split, rows, np.ones(len(rows), bool), config.batch_size)


def evaluation(config, side, split, batch_size):
    """Batches of every image once; fillers of incomplete ones are not `valid`."""
    rows, _, valid = order.in_turn(order.one_group(split, [side, side]), batch_size)
    return _batches(config, side, split, rows.ravel(), valid.ravel(), batch_size)


def _batches(config, side, split, rows, valid, batch_size):
    def example(row, valid):
        record = parse(read.serialized(split, row), read.PICTURE)
        picture, _ = read.picture_of(split, row, record)
        seen = tf.ensure_shape(image.resize(picture, tf.constant([side, side]), config.resize), [side, side, 3])
        count = tf.gather(tf.constant(split.index.instances, tf.float32), row)
        return read.facts(split, row) | {"image": seen, "count": count, "valid": valid}

    return read.prepare(tf.data.Dataset.from_tensor_slices((rows, valid)), example, config, batch_size)
