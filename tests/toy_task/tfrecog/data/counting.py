"""Records of images with objects into batches: image [B, S, S, 3] in 0..255 and count [B], beside `read.facts`."""

import numpy as np
import tensorflow as tf

from tfrecog.data import image, order, read
from tfrecog.data.parse import parse


def training(config, side, split, *, seed, places=None, start_step, steps):
    """Batches of the steps start_step..steps-1: a function of the step, so that a stopped run goes on with its own."""
    batch_of = order.shuffled(order.one_group(split, [side, side]), config.batch_size, seed)
    places = read.whole(config.batch_size, places)
    rows = np.concatenate([batch_of(step)[0][places] for step in range(start_step, steps)])
    images = tf.data.Dataset.from_tensor_slices((rows, np.ones(len(rows), bool)))
    return _batches(config, side, split, images, len(places))


def evaluation(config, side, split, batch_size, workers):
    """Batches of every image once; fillers of incomplete ones are not `valid`."""
    images, size = read.in_turn(order.one_group(split, [side, side]), batch_size, workers)
    return _batches(config, side, split, images.map(lambda row, canvas, valid: (row, valid)), size)


def _batches(config, side, split, images, batch_size):
    def example(row, valid):
        record = parse(read.serialized(split, row), read.PICTURE)
        picture, _ = read.picture_of(split, row, record)
        seen = tf.ensure_shape(image.resize(picture, tf.constant([side, side]), config.resize), [side, side, 3])
        count = tf.gather(tf.constant(split.index.instances, tf.float32), row)
        return read.facts(split, row) | {"image": seen, "count": count, "valid": valid}

    return read.prepare(images, example, config, batch_size)
