"""Records of images with a label map each into batches, for `training` and for `evaluation`.

A batch holds image [B, H, W, 3] float32 in 0..255, original_size [B, 2], record [B] (row in the index), image_id [B],
seed [B, 2] of its randomness, valid [B], and in training label_map [B, H, W] int32 in 1..K, 0 where a pixel does not
count.
"""

import itertools

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from tfrecog.cli.errors import UserError
from tfrecog.data import image, order, read, records
from tfrecog.data.parse import parse
from tfrecog.runtime.cluster import ALONE


def check(split):
    """UserError if the records have no label maps."""
    if not split.info.label_maps:
        others = split.info.other_tasks("segmentation")
        raise UserError(
            f"{split.folder} holds no label maps, which --task=segmentation needs: pipelines.segmentation, "
            "pipelines.tfds, pipelines.coco (with --label_maps=voc) and pipelines.scenes (with --label_maps) write "
            f"them{'. ' * bool(others)}{others}"
        )


def training(config, crop, split, *, seed, places=None, start_step, steps):
    """Batches of the steps start_step..steps-1, augmented; the same ones wherever it starts.

    Args:
        config: DataConfig.
        crop: H, W of the window that is cut from each resized image, and its label map.
        places: [b], of the images that they have of each batch of `config.batch_size`; None: all.
    """
    places = read.whole(config.batch_size, places)
    damaged = read.Damaged(config.skip_damaged)

    def example(row, canvas, example_seed):
        record = _record(split, row, damaged)
        picture, sound = read.picture_of(split, row, record, damaged)
        labels = tf.where(sound, _label_map(split, row, record, damaged), 0)
        return read.facts(split, row, example_seed) | _augmented(config, crop, picture, labels, example_seed)

    groups = order.one_group(split, crop)
    images = read.training_images(groups, config.batch_size, places, seed, range(start_step, steps), tf.random.split)
    return read.prepare(images, example, config, len(places))


def evaluation(config, split, batch_size=None, replicas=1, workers=ALONE):
    """Batches of every image once, as it is, without labels; those of one size are together.

    Where images of one size are few, a batch has no more fillers, which are not `valid`, than divide it among the
    `replicas`: they cost as much as images. Of several workers, the part of each batch that this one looks at.
    """
    rows, _, valid = order.in_turn(order.group_alike(split.sizes), batch_size or config.eval_batch_size)
    sizes = -(-valid.sum(axis=1) // replicas) * replicas
    places = [workers.places(size) for size in sizes]
    flat = (np.concatenate([one[chosen] for one, chosen in zip(all, places, strict=True)]) for all in (rows, valid))

    def example(row, valid):
        picture, _ = read.picture_of(split, row, _record(split, row))
        return read.facts(split, row) | {"image": tf.cast(picture, tf.float32), "valid": valid}

    images = iter(read.prepare(tf.data.Dataset.from_tensor_slices(tuple(flat)), example, config, 1))
    for chosen in places:
        some = list(itertools.islice(images, len(chosen)))
        yield {name: tf.concat([one[name] for one in some], axis=0) for name in some[0]}


def truth(split, row):
    """Labels [H, W] uint8 in 0..K of a record's label map; a ValueError names the record and what to do."""
    record = split.record(row)
    return _labels(record.label_map or b"", (record.height, record.width), split, row, record.filename)


def _record(split, row, damaged=read.STRICT):
    """encoded, filename, label_map [] string, height and width [] of a row."""
    return parse(read.serialized(split, row, damaged), {*read.PICTURE, "label_map"})


def _label_map(split, row, record, damaged):
    """Labels [H, W] int32 of a record; zeros stand in for a label map that cannot be used and is skipped."""

    def decode(png, row, filename, height, width):
        size = int(height), int(width)
        if png or int(row) not in damaged.rows:
            try:
                return _labels(png, size, split, row, filename.decode()).astype(np.int32)
            except UserError as problem:
                damaged.report(int(row), problem)
        return np.zeros(size, np.int32)

    inputs = [record["label_map"], row, record["filename"], record["height"], record["width"]]
    return tf.ensure_shape(read.python(decode, inputs, tf.int32), [None, None])


def _labels(png, size, split, row, filename):
    """Labels [H, W] uint8 in 0..K of a PNG; a ValueError says what is wrong with it."""
    try:
        if not png:
            raise ValueError("is missing")
        labels = records.from_label_map(png)
        if labels.shape != size:
            raise ValueError(f"is {labels.shape} pixels (height, width), and the image {size}")
        if labels.max(initial=0) > split.info.num_classes:
            raise ValueError(f"has the class {labels.max() - 1}, counted from 0, of {split.info.num_classes}")
    # What Pillow raises for files that are cut, broken, or larger than any image should be.
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        what = str(error) if isinstance(error, ValueError) else f"cannot be decoded ({error})"
        raise UserError(
            f"{split.index.locate(int(row))}: the label map of image {filename!r} {what}. Repair it in the source "
            f"(`python -m pipelines.check` names them all), delete {split.shard(row)} and run its pipeline again."
        ) from error
    return labels


def _augmented(config, crop, picture, labels, seed):
    """Image [h, w, 3] and label map [h, w] of the window: after noise, flip, choice of scale and place."""
    if config.photometric:
        picture = image.photometric(picture, image.fold(seed, image.LIGHT), config.photometric)
    size = image.random_size(tf.shape(picture)[:2], seed, config)
    if config.flip:
        flipped = image.mirrored(seed, config)
        picture = tf.cond(flipped, lambda: tf.reverse(picture, axis=[1]), lambda: picture)
        labels = tf.cond(flipped, lambda: tf.reverse(labels, axis=[1]), lambda: labels)
    offset, window = image.random_window(size, crop, seed)
    picture = image.cut(image.resize(picture, size, config.resize), offset, window)
    labels = image.cut(nearest(labels, size), offset, window)
    return {
        "image": tf.ensure_shape(image.pad(picture, crop), [*crop, 3]),
        "label_map": tf.ensure_shape(image.pad(labels[..., None], crop)[..., 0], crop),
    }


def nearest(labels, size):
    """Labels [h, w] of a size [2] from the pixels [H, W] under the centres of theirs."""
    there = tf.shape(labels)
    for axis in range(2):
        centres = (tf.range(size[axis], dtype=tf.float32) + 0.5) * tf.cast(there[axis] / size[axis], tf.float32)
        cells = tf.clip_by_value(tf.cast(tf.floor(centres), tf.int32), 0, there[axis] - 1)
        labels = tf.gather(labels, cells, axis=axis)
    return labels
