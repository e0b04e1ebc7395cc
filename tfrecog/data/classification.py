"""Records of images with one class each into batches, for `training` and for `evaluation`.

A batch holds image [B, S, S, 3] float32 in 0..255, original_size [B, 2], record [B] (row in the index), image_id [B],
seed [B, 2] of its randomness, valid [B], and label [B] int32 in 1..K; 0 in a record that was damaged.
"""

import functools

import numpy as np
import tensorflow as tf

from tfrecog.cli import urls
from tfrecog.cli.errors import UserError
from tfrecog.data import augment as augments
from tfrecog.data import image, order, randaugment, read
from tfrecog.data.parse import parse, parse_images
from tfrecog.runtime.cluster import ALONE

# What the parts of an image's seed are for.
WINDOW, PLACE, FLIP, SHIFT, OPERATIONS, JITTER, LIGHTING, MIXUP = range(8)


def labels_of(split):
    """Labels [n] 1..K of the images of a split; a ValueError names the first image without, or of an unknown one."""
    info, index = split.info, split.index
    numbers, places = np.unique(index.label, return_inverse=True)
    labels = info.known_labels(numbers, [None] * len(numbers)).astype(np.int32)[places]
    wrong = np.flatnonzero(labels == 0)
    if len(wrong):
        number = index.label[wrong[0]]
        what = f"has the label {number}, which no category of dataset.json has" if number else "has no label"
        others = "" if number or info.image_labels else info.other_tasks("classification")
        raise UserError(
            f"{split.folder}: {index.locate(wrong[0])}: the image {what}, and so have {len(wrong) - 1:,} more. "
            f"{others}{' ' * bool(others)}--task=classification needs records with a class for each image: "
            "pipelines.imagenet, pipelines.digits and pipelines.tfds write them"
        )
    return labels


def training(config, augment, crop, split, *, seed, places=None, start_step, steps):
    """Batches of the steps start_step..steps-1, augmented; the same ones wherever it starts.

    Args:
        config: DataConfig.
        augment: AugmentConfig. With mixup a batch also has `other` [B] int32, the label of what is mixed in, and
            `share` [B] float32 of the first.
        crop: S.
        places: [b], of the images that they have of each batch of `config.batch_size`; None: all.
    """
    reader = _TrainingReader(config, augment, crop, split, seed, places)
    return read.recovering(reader.batches, start_step, steps, reader.careful)


class _TrainingReader:
    """Makes the batches of a training."""

    def __init__(self, config, augment, crop, split, seed, places):
        self.config, self.augment, self.crop, self.split, self.seed = config, augment, crop, split, seed
        self.places = read.whole(config.batch_size, places)
        self.labels, self.damaged = labels_of(split), read.Damaged(config.skip_damaged)
        self.batch_of = order.shuffled(order.one_group(split, [crop, crop]), config.batch_size, seed)
        self.careful = set()  # steps whose pictures are decoded in Python, which can say what is wrong with one

    def batches(self, start, stop):
        """Dataset of the batches of the steps start..stop-1."""
        # A call into Python costs more than the picture of a digit: small batches are read several at once.
        dataset = tf.data.Dataset.range(start, stop).batch(max(1, 64 // self.config.batch_size))
        # Two at once, so that the next batch is read while this one is made.
        dataset = read.mapped(dataset, self._records, num_parallel_calls=2).unbatch()
        of_batch = self._mixed if self.augment.mixup else None
        return read.prepare(dataset, self._example, self.config, len(self.places), of_batch)

    def _read(self, steps):
        rows, index = np.concatenate([self.batch_of(step)[0][self.places] for step in steps]), self.split.index
        read_one = functools.partial(read.read_or_report, self.split, damaged=self.damaged)
        serialized = np.array(urls.each(self.split.folder, read_one, rows), object)
        with_care = np.isin(rows, list(self.damaged.rows))
        with_care |= np.repeat(np.isin(steps, list(self.careful)), len(self.places))
        return rows, self.labels[rows], index.height[rows], index.width[rows], with_care, serialized

    def _records(self, steps):
        """What is in the records of some steps [n], still encoded, and what a batch says of their images."""
        kinds = [tf.int64, tf.int32, tf.int32, tf.int32, tf.bool, tf.string]
        given = [tf.ensure_shape(one, [None]) for one in read.python(self._read, [steps], kinds)]
        record = dict(zip(("row", "label", "height", "width", "careful"), given[:-1], strict=True))
        record |= parse_images(given[-1], ("encoded", "filename"))
        seeds = tf.map_fn(
            lambda step: tf.random.split(image.fold(tf.stack([self.seed, 0]), step), self.config.batch_size),
            tf.cast(steps, tf.int32),
        )
        seeds = tf.gather(seeds, self.places, axis=1)
        return record, read.facts(self.split, record["row"], tf.reshape(seeds, [-1, 2]))

    @functools.cached_property
    def _example(self):
        # A function of TensorFlow's is traced once, however often a damaged image makes the dataset start anew.
        return tf.function(self._augmented, autograph=False)

    def _augmented(self, record, facts):
        window = _window(record, facts["seed"], self.augment)
        picture, sound = tf.cond(
            record["careful"],
            lambda: read.picture_of(self.split, record["row"], record, self.damaged, window),
            lambda: (image.decode_window(record["encoded"], facts["original_size"], window), True),
        )
        seen = _augmented(picture, facts["seed"], self.config, self.augment, self.crop)
        return facts | {"image": seen, "label": tf.where(sound, record["label"], 0)}

    def _mixed(self, batch):
        seed = image.fold(batch["seed"][0], MIXUP)
        mixed = augments.mixup(batch["image"], batch["label"], seed, self.augment.mixup)
        return batch | dict(zip(("image", "other", "share"), mixed, strict=True))


def _window(record, seed, augment):
    """The part [4] of a picture (top, left, height, width) that is decoded."""
    size = tf.stack([record["height"], record["width"]])
    if augment.crop == "inception":
        return augments.inception(size, image.fold(seed, WINDOW), augment.area, augment.aspect)
    return tf.concat([[0, 0], size], axis=0)


def _augmented(picture, seed, config, augment, crop):
    """What the network sees [S, S, 3] of a picture, or of its window."""
    by = config.resize
    if augment.crop == "centre":
        picture = image.middle(picture, config.eval_short_side, crop, by)
    elif augment.crop == "scale":
        which = tf.random.stateless_uniform([], image.fold(seed, WINDOW), 0, len(config.short_side), tf.int32)
        size = tf.shape(picture)[:2]
        picture = image.resize(picture, size * tf.gather(config.short_side, which) // tf.reduce_min(size), by)
        picture = augments.square(picture, crop, image.fold(seed, PLACE))
    else:
        picture = image.resize(picture, tf.constant([crop, crop]), by)
    picture = tf.ensure_shape(picture, [crop, crop, 3])
    if config.flip:
        picture = augments.flip(picture, image.fold(seed, FLIP), config.flip)
    if augment.shift:
        picture = augments.shift(picture, image.fold(seed, SHIFT), augment.shift)
    if augment.layers:
        picture = randaugment.randaugment(picture, image.fold(seed, OPERATIONS), augment.layers, augment.magnitude)
    if any(augment.jitter):
        picture = augments.jitter(picture, image.fold(seed, JITTER), augment.jitter)
    if augment.lighting:
        picture = augments.lighting(picture, image.fold(seed, LIGHTING), augment.lighting)
    return picture


def evaluation(config, crop, split, batch_size=None, workers=ALONE):
    """Dataset of the middle of every image once, without labels; fillers of incomplete batches are not `valid`.

    Of several workers, of the part of each batch that this one looks at.
    """
    batch_size = batch_size or config.eval_batch_size

    def example(row, canvas, valid):
        picture, _ = read.picture_of(split, row, parse(read.serialized(split, row), read.PICTURE))
        seen = image.middle(picture, config.eval_short_side, crop, config.resize)
        return read.facts(split, row) | {"image": seen, "valid": valid}

    images, size = read.in_turn(order.one_group(split, [crop, crop]), batch_size, workers)
    return read.prepare(images, example, config, size)
