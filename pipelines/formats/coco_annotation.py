"""One COCO annotation → box, mask and keypoints of a record, or the problem with it."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tfrecog.ops import coco_format, rle

from ..build.image_records import Instance
from ..build.problems import LeftOut, Reporter, short
from . import tool_values
from .coco_json import Annotation, has_mask
from .tool_values import numbers

# Further outside the image than this, a box or a keypoint is reported; COCO's own round up to a pixel too far.
SLACK = 1.0
_SKIP = "It is skipped: correct the annotation, or take it out."
Size = tuple[int, int]  # height, width


def parsed(annotations: Iterable[Annotation]) -> list[dict]:
    """The annotations, with the ids that they have here."""
    return [json.loads(one.text) | {"id": one.id, "category_id": one.category_id} for one in annotations]


def read(
    annotations: Iterable[dict],
    label_of: dict[int, int],
    size: Size,
    report: Reporter,
    *,
    masks: bool,
    joints: int,
) -> list[Instance]:
    """The objects of an image, those that can be used.

    Args:
        annotations: as `parsed` gives them.
        label_of: labels by the id of the category.
        size: (height, width) of the image.
        report: takes the problems with the image's file.
        masks: masks are read; an object without one has an empty one, and is reported.
        joints: how many keypoints an object has.
    """
    objects = []
    for annotation in annotations:
        its_report = dataclasses.replace(report, annotation_id=annotation["id"])
        try:
            box = _box(annotation, size, its_report)
            mask = _mask(annotation, size, its_report) if masks else None
            label = label_of[annotation["category_id"]]
            one = Instance(box, label, _area(annotation, box, mask, its_report), annotation["id"])
            one.crowd, one.mask = _crowd(annotation, its_report), mask
            if joints:
                one.keypoints = _keypoints({} if one.crowd else annotation, size, joints, its_report)
            objects.append(one)
        except LeftOut:
            continue
    return objects


def _box(annotation: dict, size: Size, report: Reporter) -> tuple[float, float, float, float]:
    stated = annotation.get("bbox")
    box = numbers(stated, 4)
    if box is None:
        report.leave_out("box is not four finite numbers", f"bbox is {short(stated)}", _SKIP)
    if min(box[2:]) <= 0:
        kind = "box with a negative side" if min(box[2:]) < 0 else "box without area"
        report.leave_out(kind, f"bbox (x, y, width, height) is {short(stated)}", _SKIP)
    (x1, y1, x2, y2), (height, width) = box, size
    x2, y2 = x1 + x2, y1 + y2
    what = f"bbox {short(stated)} in an image {height} high and {width} wide"
    outside = max(-y1, -x1, y2 - height, x2 - width)
    y1, x1, y2, x2 = max(y1, 0.0), max(x1, 0.0), min(y2, height), min(x2, width)
    if y1 >= y2 or x1 >= x2:
        report.leave_out("box outside the image", what, _SKIP)
    if outside > SLACK:
        report("box partly outside the image", what, "It is cut at the border; correct the annotation.")
    return y1, x1, y2, x2


def _crowd(annotation: dict, report: Reporter) -> bool:
    crowd = tool_values.flag(annotation.get("iscrowd"))
    if crowd is None:
        what = f"iscrowd is {short(annotation['iscrowd'])}, neither 0 nor 1"
        report("iscrowd is neither 0 nor 1", what, "It is taken for one object, no crowd: correct the annotation.")
    return bool(crowd)


def _mask(annotation: dict, size: Size, report: Reporter) -> np.ndarray:
    """Run lengths of the segmentation, whichever of COCO's three forms it has."""
    segmentation = annotation.get("segmentation")
    if not has_mask(annotation):
        remedy = "Its box is kept, and no mask is learned from it: add the mask, or build with --nomasks."
        report("no mask", "there is no segmentation", remedy)
        return np.array([size[0] * size[1]], np.int64)
    if isinstance(segmentation, dict):
        mask = _run_lengths(segmentation, size, report)
    else:
        shapes = coco_mask.frPyObjects(_polygons(segmentation, size, report), *size)
        mask = rle.from_text(coco_mask.merge(shapes)["counts"])
    if not rle.area(mask):
        what = f"the segmentation holds no pixel of the image ({size[0]} x {size[1]})"
        report("mask without a pixel", what, "It is kept with an empty mask; enlarge or remove it.")
    return mask


def _polygons(segmentation: Any, size: Size, report: Reporter) -> list[list[float]]:
    listed = segmentation if isinstance(segmentation, list) else []
    one = numbers(listed)  # one polygon without the list around it
    polygons = [one] if one else [polygon for polygon in map(numbers, listed) if polygon is not None]
    if not polygons or len(polygons) < (1 if one else len(listed)):
        report.leave_out("segmentation is not a polygon", f"segmentation is {short(segmentation)}", _SKIP)
    farthest = max((max(map(abs, polygon)) for polygon in polygons if polygon), default=0)
    if farthest > 10 * max(size):
        report.leave_out("polygon far outside the image", f"it has a coordinate {farthest:g}", _SKIP)
    good = [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]
    if len(good) < len(polygons):
        bad = next(polygon for polygon in polygons if polygon not in good)
        kind = "polygon with fewer than three points"
        what = f"a polygon has {len(bad)} numbers; three points or more are x, y, x, y, x, y, ..."
        if not good:
            report.leave_out(kind, what, _SKIP)
        report(kind, what, "The polygon is left out, the others of the instance are kept; correct the annotation.")
    return good


def _run_lengths(segmentation: dict, size: Size, report: Reporter) -> np.ndarray:
    height, width = size
    if numbers(segmentation.get("size")) != [height, width]:
        stated = short(segmentation.get("size"))
        what = f"its run lengths are for an image {stated}, not [{height}, {width}] (height, width)"
        report.leave_out("run lengths of another image size", what, _SKIP)
    counts = segmentation.get("counts")
    try:
        mask = rle.from_text(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        report.leave_out("broken run lengths", str(error), _SKIP)
    pixels = height * width  # Each is compared too, as sums may overflow.
    if mask.ndim != 1 or np.any((mask < 0) | (mask > pixels)) or int(np.sum(mask)) != pixels:
        report.leave_out("broken run lengths", f"they do not add up to {height} x {width} pixels", _SKIP)
    return mask


def _area(annotation: dict, box: tuple, mask: np.ndarray | None, report: Reporter) -> float:
    stated = annotation.get("area")
    area = tool_values.number(stated)
    if area is not None and area >= 0:
        return area
    of_mask = rle.area(mask) if mask is not None else 0
    measured = float(of_mask or (box[2] - box[0]) * (box[3] - box[1]))
    if stated is not None:
        what, remedy = f"area is {short(stated)}", f"{measured:g}, measured, is used; correct the annotation."
        report("area is not a positive number", what, remedy)
    return measured


def _keypoints(annotation: dict, size: Size, joints: int, report: Reporter) -> np.ndarray:
    """Keypoints [J, 3]: y, x (continuous: the centre of COCO's pixel), visibility; zeros where there are none."""
    listed = annotation.get("keypoints")
    nothing = np.zeros((joints, 3), np.float32)
    if listed is None:
        return nothing
    values = numbers(listed, 3 * joints)
    if values is None or not set(values[2::3]) <= {0, 1, 2}:
        what = f"keypoints are not {joints} times x, y, visibility (0, 1 or 2): {short(listed)}"
        report("broken keypoints", what, "The instance is kept without keypoints; correct the annotation.")
        return nothing
    y, x, visibility = coco_format.from_xyv(np.array(values, np.float64).reshape(-1, 3)).T
    height, width = size
    inside = (y >= -SLACK) & (x >= -SLACK) & (y <= height + SLACK) & (x <= width + SLACK)
    if outside := int(np.sum((visibility > 0) & ~inside)):
        what, remedy = f"{outside} visible keypoints are outside", "They count as not labelled; correct the annotation."
        report("keypoint outside the image", what, remedy)
    stated, labelled = annotation.get("num_keypoints"), int(np.sum(visibility > 0))
    if stated is not None and tool_values.number(stated) != labelled:
        what = f"num_keypoints is {short(stated)}, and {labelled} keypoints are labelled (visibility 1 or 2)"
        report("num_keypoints disagrees", what, "Those labelled are used; correct the annotation.")
    visibility = np.where(inside, visibility, 0)
    points = np.column_stack([np.clip(y, 0, height), np.clip(x, 0, width), visibility])
    return np.where(visibility[:, None] > 0, points, 0).astype(np.float32)


def reach(annotations: Iterable[dict]) -> tuple[float, float] | None:
    """The largest y and x of the boxes that are four numbers; None where there are none."""
    boxes = [box for one in annotations if (box := numbers(one.get("bbox"), 4)) is not None]
    return (max(y + height for _, y, _, height in boxes), max(x + width for x, _, width, _ in boxes)) if boxes else None
