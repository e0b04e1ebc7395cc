"""Batches of made pictures for both sides; the arrays are those of `tfrecog.data`, and bitmaps for torchvision."""

import numpy as np

from tests import sides


def made(case):
    """Batches of made pictures for a case."""
    if case.is_detector:
        return made_detection(case)
    return made_classification(case) if case.network == "classification" else made_segmentation(case)


def seeds(count):
    return np.stack([np.arange(count), np.arange(count)], 1).astype(np.int32)


def made_classification(case, size=64, images=4, count=2):
    """Batches of squares of colour with random labels."""
    rng = np.random.default_rng(0)
    picture = sides.seeded("seeded_weights").image(count * size, images * size)
    tiles = picture.reshape(count, size, images, size, 3).swapaxes(1, 2)
    labels = rng.integers(1, case.classes + 1, (count, images), np.int32)
    return [{"image": np.float32(tiles[i]), "label": labels[i], "seed": seeds(images)} for i in range(count)]


def made_segmentation(case, size=64, images=4, count=2):
    """Batches of squares of colour; the labels of pixels are in squares too, and one in ten does not count."""
    batches = made_classification(case, size, images, count)
    rng = np.random.default_rng(1)
    for batch in batches:
        del batch["label"]
        labels = rng.integers(1, case.classes + 1, (images, 8, 8)) * (rng.random((images, 8, 8)) > 0.1)
        batch["label_map"] = np.int32(labels.repeat(size // 8, 1).repeat(size // 8, 2))
    return batches


# Of the made pictures; the last one has no objects. With trained batch norm they fill the canvas: all cells of its
# padding are alike, and a ReLU that rounding decides there would be decided hundreds of times.
_SIZES = {"frozen": ((96, 128), (90, 100), (64, 70)), "batch": ((96, 128),) * 3}
_SLOTS, MASK = 4, 112


def made_detection(case):
    """One batch of three pictures: ellipses with keypoints, some of which are not labelled."""
    rng, picture = np.random.default_rng(case.seed), sides.seeded("seeded_weights").image(96, 384)
    sizes = _SIZES[case.norm]
    count = len(sizes)
    batch = {
        "image": np.zeros((count, 96, 128, 3), np.float32),
        "size": np.int32(sizes),
        "scale": np.float32([[1, 1], [0.9, 0.9], [0.5, 0.52]]),
        "boxes": np.zeros((count, _SLOTS, 4), np.float32),
        "labels": np.zeros((count, _SLOTS), np.int32),
        "bitmaps": np.zeros((count, _SLOTS, 96, 128), bool),
        "keypoints": np.zeros((count, _SLOTS, case.joints, 3), np.float32),
        "seed": seeds(count),
    }
    for i, (height, width) in enumerate(sizes):
        batch["image"][i, :height, :width] = picture[:height, 128 * i :][:, :width]
        for slot in range((3, 2, 0)[i]):
            side = rng.uniform([24, 24], [0.7 * height, 0.7 * width])
            start = rng.uniform([0, 0], np.array([height, width]) - side)
            batch["boxes"][i, slot] = np.concatenate([start, start + side])
            batch["labels"][i, slot] = rng.integers(1, case.classes + 1)
            batch["bitmaps"][i, slot] = _ellipse(batch["boxes"][i, slot], 96, 128)
            visible = rng.integers(0, 3, case.joints)
            points = start + rng.random((case.joints, 2)) * side
            batch["keypoints"][i, slot] = np.where(visible[:, None] > 0, np.c_[points, visible], 0)
    return [completed(batch, case, rng)]


def completed(batch, case, rng):
    """A batch with the squares of its masks, and with rois; only what the network learns from."""
    if case.network == "mask_rcnn":
        batch["mask_boxes"] = batch["boxes"]
        pairs = zip(batch["bitmaps"], batch["boxes"], strict=True)
        batch["masks"] = np.stack([[square(*one) for one in zip(*pair, strict=True)] for pair in pairs])
    else:
        del batch["bitmaps"]
    if case.network != "keypoint_rcnn":
        del batch["keypoints"]
    return batch | {"given": rois(batch, case.rois - _SLOTS, rng)}


def rois(batch, count, rng):
    """Rois [B, count, 4] for the images of a batch."""
    images = zip(batch["boxes"], batch["labels"], batch["size"], strict=True)
    return np.stack([_rois(boxes[labels > 0], size, count, rng) for boxes, labels, size in images])


def _rois(boxes, size, count, rng):
    """Rois [count, 4] in an image of a size: near its objects, and anywhere."""
    limit = np.tile(size, 2)
    sides = rng.uniform(0.1, 0.6, (count, 2)) * size
    start = rng.uniform(0, 1, (count, 2)) * (size - sides)
    rois = np.concatenate([start, start + sides], 1)
    if len(boxes):
        near = boxes[np.arange(count // 2) % len(boxes)]
        reach = np.tile(near[:, 2:] - near[:, :2], 2)
        rois[: len(near)] = near + rng.uniform(-0.2, 0.2, near.shape) * reach
    return np.float32(np.clip(rois, 0, limit))


def _ellipse(box, height, width):
    """The pixels [height, width] of the ellipse in a box."""
    y, x = np.ogrid[:height, :width]
    (cy, cx), (ry, rx) = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return ((y + 0.5 - cy) / ry) ** 2 + ((x + 0.5 - cx) / rx) ** 2 < 1


def square(bitmap, box):
    """[112, 112]: a mask as training has it, sampled at the centres of a grid over its box."""
    steps = (np.arange(MASK) + 0.5) / MASK
    y, x = (np.int64(box[axis] + (box[axis + 2] - box[axis]) * steps) for axis in (0, 1))
    return np.uint8(bitmap[np.minimum(y, bitmap.shape[0] - 1)][:, np.minimum(x, bitmap.shape[1] - 1)])
