"""Batches of photographs of COCO, with their annotations, for the networks at their own width."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from tests.training_parity import batches
from tfrecog.data import image

_CANVAS = (160, 256)  # Each batch has a picture that needs all of it, so that all have this size on both sides.


def of(case, folder):
    """Batches of two photographs, of a classifier eight."""
    folder = Path(folder)
    if case.is_detector:
        kind = "person_keypoints" if case.network == "keypoint_rcnn" else "instances"
        return _detection(case, folder / "coco_ccby_instances_keypoints", kind)
    return _classification(folder) if case.network == "classification" else _segmentation(folder)


def _classification(folder, size=128):
    paths = sorted((folder / "coco_ccby_instances_keypoints/images").glob("*.jpg"))
    pixels = np.stack([_square(Image.open(path).convert("RGB"), size) for path in paths])
    labels = np.arange(len(paths), dtype=np.int32) * 37 + 1  # The pictures have no class as a whole.
    return [
        {"image": np.float32(pixels[i::2]), "label": labels[i::2], "seed": batches.seeds(len(labels[i::2]))}
        for i in (0, 1)
    ]


def _segmentation(folder, size=128):
    paths = sorted((folder / "coco_ccby_panoptic/images").glob("*.jpg"))
    maps = [folder / "coco_ccby_panoptic/semantic" / f"{path.stem}.png" for path in paths]
    pixels = np.stack([_square(Image.open(path).convert("RGB"), size) for path in paths])
    labels = np.stack([_square(Image.open(path), size, Image.Resampling.NEAREST) for path in maps])
    return [
        {"image": np.float32(pixels[i : i + 2]), "label_map": np.int32(labels[i : i + 2]), "seed": batches.seeds(2)}
        for i in range(0, len(paths), 2)
    ]


def _square(picture, size, by=Image.Resampling.BILINEAR):
    """The middle of a picture, of a size."""
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    return np.array(picture.resize((size, size), by, (left, top, left + side, top + side)))


def _detection(case, folder, kind):
    """Batches of two photographs, all of them with objects."""
    stated = json.loads((folder / f"{kind}.json").read_text())
    objects = {entry["id"]: [] for entry in stated["images"]}
    for annotation in stated["annotations"]:
        width, height = annotation["bbox"][2:]
        if not annotation["iscrowd"] and width > 0 and height > 0:
            objects[annotation["image_id"]].append(annotation)
    entries = [entry for entry in stated["images"] if objects[entry["id"]]]
    entries.sort(key=lambda entry: (entry["width"] / entry["height"], entry["id"]))
    rng, slots, half = np.random.default_rng(3), max(map(len, objects.values())), len(entries) // 2
    made = []
    for pair in zip(entries[:half], entries[-half:], strict=True):
        parts = [_example(case, folder, entry, objects[entry["id"]], slots) for entry in pair]
        batch = {name: np.stack([part[name] for part in parts]) for name in parts[0]} | {"seed": batches.seeds(2)}
        if "masks" in batch:
            batch["mask_boxes"] = batch["boxes"]
        made.append(batch | {"given": batches.rois(batch, case.rois - slots, rng)})
    return made


def _example(case, folder, entry, annotations, slots):
    """An image and its objects, in `slots`."""
    original = np.array([entry["height"], entry["width"]])
    size = np.int32(np.floor(original * min(_CANVAS / original)))
    scale = np.float32(size / original)
    pixels = np.array(Image.open(folder / "images" / entry["file_name"]).convert("RGB"))
    example = {
        "image": np.zeros((*_CANVAS, 3), np.float32),
        "size": size,
        "scale": scale,
        "boxes": np.zeros((slots, 4), np.float32),
        "labels": np.zeros(slots, np.int32),
    }
    example["image"][: size[0], : size[1]] = image.resize(np.float32(pixels), size)
    if case.network == "mask_rcnn":
        example["bitmaps"] = np.zeros((slots, *_CANVAS), bool)
        example["masks"] = np.zeros((slots, batches.MASK, batches.MASK), np.uint8)
    if case.network == "keypoint_rcnn":
        example["keypoints"] = np.zeros((slots, case.joints, 3), np.float32)
    for slot, annotation in enumerate(annotations):
        x, y, width, height = annotation["bbox"]
        box = np.clip(np.float32([y, x, y + height, x + width]), 0, np.tile(original, 2))
        example["boxes"][slot] = box * np.tile(scale, 2)
        example["labels"][slot] = annotation["category_id"]
        if "masks" in example:
            bitmap = _bitmap(annotation["segmentation"], *original.tolist())
            example["masks"][slot] = batches.square(bitmap, box)
            # As torchvision resizes: the nearest of the cells to the left and above.
            y, x = (np.int64(np.arange(size[axis]) * original[axis] / size[axis]) for axis in (0, 1))
            example["bitmaps"][slot, : size[0], : size[1]] = bitmap[y][:, x]
        if "keypoints" in example:
            x, y, visible = np.float32(annotation["keypoints"]).reshape(-1, 3).T
            points = (np.stack([y, x], -1) + np.float32(0.5)) * scale
            example["keypoints"][slot] = np.where(visible[:, None] > 0, np.c_[points, visible], 0)
    return example


def _bitmap(segmentation, height, width):
    runs = segmentation
    if isinstance(segmentation, list):
        runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        runs = coco_mask.frPyObjects(segmentation, height, width)
    return coco_mask.decode(runs).astype(bool)
