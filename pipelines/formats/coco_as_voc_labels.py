"""COCO's instances as label maps of Pascal VOC's 21 classes, as torchvision's segmentation models are trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.data import records
from tfrecog.data.classes import voc
from tfrecog.ops import rle

from ..build import label_map_records
from ..build.problems import Problem, Refused
from . import coco_annotation, presets

FACTS = label_map_records.facts(presets.voc_table().categories)
# VOC's names of the classes for which COCO has another.
_OF_COCO = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "tv": "tvmonitor",
}


def label_of_category(path: str, tree: dict) -> dict[int, int]:
    """Label of VOC by id of those categories of a COCO JSON that VOC has too."""
    labels = {name: label for label, name in enumerate(voc.PIXEL_CLASSES, 1)}
    found = {one["id"]: labels.get(_OF_COCO.get(one["name"], one["name"])) for one in tree["categories"]}
    known = {category: label for category, label in found.items() if label}
    if not known:
        raise Refused(f"{path} has no category that Pascal VOC has, which --label_maps=voc draws")
    return known


def large_enough(of_image: dict[Any, list[dict]], labels: dict[int, int], min_area: int) -> dict[Any, list[dict]]:
    """Annotations of VOC's classes by image id; without the images in which they are not larger than `min_area`."""
    ours = {key: [one for one in those if one["category_id"] in labels] for key, those in of_image.items()}
    if not min_area:
        return ours
    areas = {key: [one.get("area") for one in those] for key, those in ours.items()}
    return {
        key: ours[key]
        for key, those in areas.items()
        if sum(one for one in those if isinstance(one, int | float)) > min_area
    }


def draw(masks: list[np.ndarray], labels: list[int], size: tuple[int, int]) -> np.ndarray:
    """Labels [H, W] of masks [H, W]: the background is 1, and what two masks share, even of one class, does not count.

    Crowds are masks like others.
    """
    drawn, covered = np.ones(size, np.uint8), np.zeros(size, np.int32)
    for mask, label in zip(masks, labels, strict=True):
        drawn[mask] = label
        covered += mask
    drawn[covered > 1] = 0
    return drawn


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures (pipelines.coco); goes to the worker processes."""

    label_of: dict[int, int]

    def __call__(self, picture) -> tuple[records.Record | None, list[Problem]]:
        image, found = picture.image()
        if image is None:
            return None, found
        size = image.height, image.width
        reader = coco_annotation.Reader(picture.name, picture.image_id, size, masks=True, joints=0)
        read = [reader.read(one, self.label_of[one["category_id"]]) for one in picture.annotations]
        there = [one for one in read if one is not None]
        masks = [rle.decode(one.mask, *size) for one in there]
        labels = draw(masks, [one.label for one in there], size)
        record, more = label_map_records.record(image, labels, {}, picture.name, picture.image_id, picture.name)
        return record, found + reader.problems + more
