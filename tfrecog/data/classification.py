"""Records of images with one class each into batches, for `training` and for `evaluation`.

A batch holds image [B, S, S, 3] float32 in 0..255, original_size [B, 2], record [B] (row in the index), image_id [B],
seed [B, 2] of its randomness, valid [B], and label [B] int32 in 1..K; 0 in a record that was damaged.
"""

import numpy as np
import tensorflow as tf

from tfrecog.data import image, order, read
from tfrecog.data.parse import parse


def steps_per_epoch(index, config):
    """Training batches that show every image at least once."""
    return -(-len(index) // config.batch_size)


def labels_of(index, info, folder):
    """Labels [n] 1..K of the images of an index; a ValueError names the first image without, or of an unknown one."""
    known = np.zeros(max([0, *info.label_of_record_label]) + 1, np.int32)
    for number, label in info.label_of_record_label.items():
        known[number] = label
    there = (index.label >= 0) & (index.label < len(known))
    labels = np.where(there, known[np.where(there, index.label, 0)], 0)
    wrong = np.flatnonzero(labels == 0)
    if len(wrong):
        number = index.label[wrong[0]]
        what = f"has the label {number}, which no category of dataset.json has" if number else "has no label"
        raise ValueError(
            f"{folder}: {index.place(wrong[0])}: the image {what}, and so have {len(wrong) - 1:,} more. "
            "--task=classification needs records with a class for each image: pipelines.imagenet, pipelines.digits "
            "and pipelines.tfds write them"
        )
    return labels


def training(config, augment, crop, info, index, *, seed, start_step, steps):
    """Dataset of the batches of steps start_step..steps-1, augmented; the same ones wherever it starts.

    Args:
        config: DataConfig.
        augment: AugmentConfig.
        crop: S.
    """
    labels = labels_of(index, info, config.records)
    per_epoch = steps_per_epoch(index, config)
    groups = order.Groups(np.array([[crop, crop]]), (np.arange(len(index)),))
    batches_of = order.shuffled(groups, config.batch_size, seed)
    damaged = read.Damaged() if config.skip_damaged else None

    def batch_of(step):
        epoch, position = divmod(int(step), per_epoch)
        rows = batches_of(epoch)[0][position]
        return rows.astype(np.int64), labels[rows]

    def batch(step):
        rows, its_labels = read.python(batch_of, [step], [tf.int64, tf.int32])
        of_step = image.fold(tf.stack([seed, 0]), tf.cast(step, tf.int32))
        seeds = tf.stack([image.fold(of_step, place) for place in range(config.batch_size)])
        return tf.ensure_shape(rows, [config.batch_size]), tf.ensure_shape(its_labels, [config.batch_size]), seeds

    def example(row, label, example_seed):
        record = parse(read.serialized(config.records, index, row, damaged), masks=False, keypoints=0, mask_size=0)
        picture, sound = read.picture_of(config.records, index, row, record, damaged)
        seen = tf.ensure_shape(image.resize(picture, [crop, crop], config.resize), [crop, crop, 3])
        facts = read.facts(record, row, example_seed)
        return facts | {"image": seen, "label": tf.where(sound, label, 0)}

    dataset = tf.data.Dataset.range(start_step, steps).map(batch).unbatch()
    return read.prepare(dataset, example, config, config.batch_size)


def evaluation(config, crop, index, batch_size=None):
    """Dataset of the middle of every image once, without labels; fillers of incomplete batches are not `valid`."""
    batch_size = batch_size or config.eval_batch_size
    groups = order.Groups(np.array([[crop, crop]]), (np.arange(len(index)),))
    rows, _, valid = order.in_turn(groups, batch_size)

    def example(row, valid):
        record = parse(read.serialized(config.records, index, row), masks=False, keypoints=0, mask_size=0)
        picture, _ = read.picture_of(config.records, index, row, record)
        seen = image.middle(picture, config.eval_short_side, crop, config.resize)
        return read.facts(record, row, tf.zeros([2], tf.int32)) | {"image": seen, "valid": valid}

    return read.prepare(tf.data.Dataset.from_tensor_slices((rows.ravel(), valid.ravel())), example, config, batch_size)
