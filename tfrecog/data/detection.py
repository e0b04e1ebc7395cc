"""Records of images with instances into batches, for `training` and for `evaluation`.

A batch holds image [B, H, W, 3] float32 in 0..255 (resized, then padded at the bottom and right), size [B, 2] of the
image in it, original_size [B, 2], scale [B, 2] from the one to the other, record [B] (row in the index), image_id [B],
seed [B, 2] of its randomness, valid [B], and in training boxes, labels, masks, mask_boxes and keypoints in
`max_instances` slots. Where they are asked for, proposals [B, P, 4] too, the best first, in P = `max_proposals` slots:
a box of zeros is an empty slot.
"""

import numpy as np
import tensorflow as tf
from absl import logging

from tfrecog.cli.errors import UserError
from tfrecog.data import image, instances, order, read
from tfrecog.data.parse import parse
from tfrecog.runtime.cluster import ALONE


def steps_per_epoch(split, config, keypoints=False):
    """Training batches that show every image at least once."""
    return _training_groups(config, split, keypoints).steps(config.batch_size)


def training_rows(split, config, keypoints=False):
    """Rows of the index that are trained on; of keypoints, those with enough of them."""
    enough = split.index.instances >= config.skip_empty
    if keypoints:
        enough &= split.index.keypoints >= config.min_keypoints
    return np.flatnonzero(enough)


def training(config, split, *, masks, keypoints=False, proposals=False, seed, places=None, start_step, steps):
    """Dataset of the batches of steps start_step..steps-1, augmented; the same ones wherever it starts.

    Of each batch of `config.batch_size` images they have those at `places` [b]; None: all.
    """
    places = read.whole(config.batch_size, places)
    info = split.info
    if proposals:
        split.check_proposals()
    if (masks and not info.masks) or (keypoints and not info.keypoints):
        raise UserError(f"{split.folder} has no {'masks' if masks and not info.masks else 'keypoints'} to train on")
    _report_crowded(config, split.index)
    damaged = read.Damaged(config.skip_damaged)
    wanted = {*read.PICTURE, "boxes", "labels", "names", "crowd", "difficult"}
    wanted |= {*["masks"] * masks, *["keypoints"] * keypoints, *["proposals"] * proposals}

    def example(row, canvas, example_seed):
        serialized = read.serialized(split, row, damaged)
        record = parse(serialized, wanted, mask_size=config.mask_size, keypoints=len(info.keypoints))
        picture, sound = read.picture_of(split, row, record, damaged)
        moved = [_objects(record, row, config, split, masks, keypoints, sound)]
        if proposals:
            moved.append(_proposals(record, config, sound))
        return read.facts(split, row, example_seed) | _augmented(config, info, picture, moved, canvas, example_seed)

    groups = _training_groups(config, split, keypoints)
    images = read.training_images(groups, config.batch_size, places, seed, range(start_step, steps), _seeds)
    return read.prepare(images, example, config, len(places))


def evaluation(config, split, batch_size=None, proposals=False, workers=ALONE):
    """Dataset of every image once, without annotations; fillers of incomplete batches are not `valid`.

    Of several workers, of the part of each batch that this one looks at.
    """
    if proposals:
        split.check_proposals()
    batch_size = batch_size or config.eval_batch_size
    short, long = config.eval_short_side, config.long_side
    sizes = image.target_size(split.sizes, short, long, config.size_rounding)
    if config.pad_to_batch_max:
        groups = order.group_alike(image.tight_canvas(sizes))
    else:
        groups = order.group(sizes, np.arange(len(split)), image.canvases(short, long, config.aspect_ratios))

    def example(row, canvas, valid):
        record = parse(read.serialized(split, row), {*read.PICTURE, *["proposals"] * proposals})
        picture, sound = read.picture_of(split, row, record)
        facts = read.facts(split, row)
        size = image.target_size(facts["original_size"], short, long, config.size_rounding)
        scale = tf.cast(size, tf.float32) / tf.cast(facts["original_size"], tf.float32)
        sized = _sized(image.resize(picture, size, config.resize), scale, canvas)
        if proposals:
            moved = instances.scale(_proposals(record, config, sound), scale)
            sized |= proposal_slots(moved["boxes"], config.max_proposals)
        return facts | sized | {"valid": valid}

    images, size = read.in_turn(groups, batch_size, workers)
    return read.prepare(images, example, config, size)


def _seeds(seed, count):
    return tf.stack([image.fold(seed, place) for place in range(count)])


def _training_groups(config, split, keypoints):
    rows = training_rows(split, config, keypoints)
    if not len(rows):
        needed = " with a box" * config.skip_empty
        if keypoints and len(training_rows(split, config)):
            needed = f" with --data.min_keypoints={config.min_keypoints} labelled keypoints"
        others = split.info.other_tasks("detection")
        raise UserError(f"{split.folder}: the split has no image{needed} to train on{'. ' * bool(others)}{others}")
    short, long = max(config.short_side), config.long_side
    resized = image.target_size(split.sizes[rows], short, long, config.size_rounding)
    return order.group(resized, rows, image.canvases(short, long, config.aspect_ratios))


def _report_crowded(config, index):
    crowded = np.flatnonzero(index.instances > config.max_instances)
    if len(crowded):
        logging.warning(
            "%d images have more than max_instances=%d objects (up to %d); what is more is left out. The first are: %s",
            len(crowded),
            config.max_instances,
            index.instances[crowded].max(),
            "; ".join(index.locate(row) for row in crowded[:5]),
        )


def proposal_slots(boxes, slots):
    """What a batch says of an image's proposals [n, 4]: the first of them, in slots [P, 4]."""
    return instances.pad({"proposals": boxes}, slots)


def _proposals(record, config, usable):
    """Proposals of a record that are read, as instances of boxes alone; none if not `usable`."""
    boxes = record["proposals"]
    boxes = tf.boolean_mask(boxes, instances.sound(boxes) & usable)
    return {"boxes": boxes[: config.max_proposals]}


def _objects(record, row, config, split, masks, keypoints, usable):
    """Instances of a record that train: with the dataset's labels, no crowds, no empty boxes; none if not `usable`."""
    objects = {"boxes": record["boxes"], "labels": _labels(record, row, split)}
    if masks:
        objects |= {"masks": record["masks"], "mask_boxes": record["boxes"]}
    if keypoints:
        objects["keypoints"] = record["keypoints"]
    learned = ~record["crowd"] & instances.sound(record["boxes"]) & usable
    return instances.select(objects, learned if config.difficult else learned & ~record["difficult"])


def _labels(record, row, split):
    """Labels [n] 1..K of a record: by its class/label, or where that is 0 by its class name."""

    def known(row, filename, numbers, names):
        labels = split.info.known_labels(numbers, [name.decode(errors="replace") for name in names])
        if not labels.all():
            raise UserError(
                f"{split.index.locate(int(row))}: image {filename.decode()!r} has objects of the labels "
                f"{sorted(set(numbers[labels == 0].tolist()))}, which no category of dataset.json has. Add them there, "
                "or build the records again."
            )
        return labels.astype(np.int32)

    inputs = [row, *(record[name] for name in ("filename", "labels", "names"))]
    return tf.ensure_shape(read.python(known, inputs, tf.int32), [None])


def _augmented(config, info, picture, moved, canvas, seed):
    """Image, and the instances `moved` with it (objects, and proposals if there are two), after photometric noise,
    flip, choice of scale and crop."""
    original = tf.shape(picture)[:2]
    if config.photometric:
        picture = image.photometric(picture, image.fold(seed, image.LIGHT), config.photometric)
    if config.flip:
        flipped, width = image.mirrored(seed, config), tf.cast(original[1], tf.float32)
        picture = tf.cond(flipped, lambda: tf.reverse(picture, axis=[1]), lambda: picture)
        moved = [
            tf.cond(flipped, lambda one=one: instances.flip(one, width, info.flip_pairs), lambda one=one: one)
            for one in moved
        ]
    size = image.random_size(original, seed, config)
    picture = image.resize(picture, size, config.resize)
    scale = tf.cast(size, tf.float32) / tf.cast(original, tf.float32)
    moved = [instances.scale(one, scale) for one in moved]
    if max(config.scale_jitter) > 1:  # Else the canvas holds all of it.
        offset, window = image.random_window(size, canvas, seed)
        picture = image.cut(picture, offset, window)
        moved = [instances.crop(one, offset, window) for one in moved]
    objects, *proposals = moved
    sized = _sized(picture, scale, canvas) | instances.pad(objects, config.max_instances)
    for one in proposals:
        sized |= proposal_slots(one["boxes"], config.max_proposals)
    return sized


def _sized(picture, scale, canvas):
    return {"image": image.pad(picture, canvas), "size": tf.shape(picture)[:2], "scale": scale}
