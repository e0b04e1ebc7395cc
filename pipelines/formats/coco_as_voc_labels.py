"""COCO's instances as label maps of Pascal VOC's 21 classes, as torchvision's segmentation models are trained."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecog.data.classes import voc
from tfrecog.ops import rle

from ..build import label_map_records
from ..build.image_records import Instance
from ..build.problems import Refused
from . import presets, tool_values
from .coco_json import Annotation

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


def large_enough(of_image: dict[Any, list[Annotation]], min_area: int) -> dict[Any, list[Annotation]]:
    """Those of the annotations of images whose areas are together larger than `min_area`."""
    return {key: those for key, those in of_image.items() if not min_area or _area(those) > min_area}


def _area(annotations: list[Annotation]) -> float:
    return sum(tool_values.number(json.loads(text).get("area")) or 0 for *_, text in annotations)


def draw(objects: Sequence[Instance], size: tuple[int, int]) -> np.ndarray:
    """Labels [H, W] of objects with masks, crowds too; the background is 1, and what two masks share is ignored (0)."""
    drawn, covered = np.ones(size, np.uint8), np.zeros(size, np.int32)
    for one in objects:
        mask = rle.decode(one.mask, *size)
        drawn[mask] = one.label
        covered += mask
    drawn[covered > 1] = 0
    return drawn
