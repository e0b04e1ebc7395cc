"""One COCO annotation → box, mask and keypoints of a record, or the problem with it."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tfrecog.ops import coco_format, rle

from ..build.problems import Problem, short

# Further outside the image than this, a box or a keypoint is reported; COCO's own round up to a pixel too far.
SLACK = 1.0
_SKIP = "It is skipped: correct the JSON, or take the annotation out."


class Unusable(Exception):
    """The annotation is skipped; arguments are the kind of problem, what it is, and the remedy."""


@dataclass
class Instance:
    """An annotation in the terms of a record."""

    box: tuple[float, float, float, float]  # y1, x1, y2, x2
    label: int
    crowd: bool
    area: float
    id: int
    mask: np.ndarray | None
    keypoints: np.ndarray | None  # [J, 3]


class Reader:
    """Reads the annotations of one image and gathers their problems."""

    def __init__(self, file: str, image_id: str, size: tuple[int, int], *, masks: bool, joints: int):
        self.file, self.image_id, self.size = file, image_id, size
        self.masks, self.joints = masks, joints
        self.problems: list[Problem] = []

    def read(self, annotation: dict, label: int) -> Instance | None:
        """The instance of an annotation with a checked id; None, and a problem, if it cannot be used."""
        try:
            box = self._box(annotation)
            mask = self._mask(annotation) if self.masks else None
            return Instance(
                box=box,
                label=label,
                crowd=bool(annotation.get("iscrowd", 0)),
                area=self._area(annotation, box, mask),
                id=annotation["id"],
                mask=mask,
                keypoints=self._keypoints(annotation) if self.joints else None,
            )
        except Unusable as unusable:
            self._report(annotation, *unusable.args)
            return None

    def _report(self, annotation: dict, kind: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(kind, self.file, what, remedy, self.image_id, annotation["id"]))

    def _box(self, annotation: dict) -> tuple[float, float, float, float]:
        box: Any = annotation.get("bbox")
        if not _are_numbers(box, 4):
            raise Unusable("box is not four finite numbers", f"bbox is {short(box)}", _SKIP)
        if min(box[2:]) <= 0:
            kind = "box with a negative side" if min(box[2:]) < 0 else "box without area"
            raise Unusable(kind, f"bbox (x, y, width, height) is {box}", _SKIP)
        (whole,), (height, width) = coco_format.from_xywh(box).tolist(), self.size
        y1, x1, y2, x2 = max(whole[0], 0.0), max(whole[1], 0.0), min(whole[2], height), min(whole[3], width)
        what = f"bbox {box} in an image {height} high and {width} wide"
        if y1 >= y2 or x1 >= x2:
            raise Unusable("box outside the image", what, _SKIP)
        if max(-whole[0], -whole[1], whole[2] - height, whole[3] - width) > SLACK:
            self._report(annotation, "box partly outside the image", what, "It is cut at the border; correct the JSON.")
        return y1, x1, y2, x2

    def _mask(self, annotation: dict) -> np.ndarray:
        """Run lengths of the segmentation, whichever of COCO's three forms it has."""
        segmentation = annotation.get("segmentation")
        height, width = self.size
        if not segmentation:
            raise Unusable(
                "no mask",
                "there is no segmentation",
                "It is skipped: add the mask, or build with --masks=false for boxes alone.",
            )
        if isinstance(segmentation, dict):
            mask = self._run_lengths(segmentation)
        else:
            polygons = self._polygons(annotation, segmentation)
            shapes = coco_mask.frPyObjects(polygons, height, width)
            mask = rle.from_text(coco_mask.merge(shapes)["counts"])
        if not rle.area(mask):
            what = f"the segmentation holds no pixel of the image ({height} x {width})"
            remedy = "It is kept with an empty mask; enlarge or remove it."
            self._report(annotation, "mask without a pixel", what, remedy)
        return mask

    def _polygons(self, annotation: dict, polygons: Any) -> list[list[float]]:
        height, width = self.size
        if _are_numbers(polygons, None):  # one polygon without the list around it
            polygons = [polygons]
        if not isinstance(polygons, list) or not all(_are_numbers(polygon, None) for polygon in polygons):
            raise Unusable("segmentation is no polygon", f"segmentation is {short(polygons)}", _SKIP)
        for polygon in polygons:
            far = max(abs(value) for value in polygon) if polygon else 0
            if far > 10 * max(height, width):
                raise Unusable("polygon far outside the image", f"it has a coordinate {far:g}", _SKIP)
        good = [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]
        if len(good) < len(polygons):
            bad = next(polygon for polygon in polygons if len(polygon) < 6 or len(polygon) % 2)
            what = f"a polygon has {len(bad)} numbers; three points or more are x, y, x, y, x, y, ..."
            if not good:
                raise Unusable("polygon with fewer than three points", what, _SKIP)
            remedy = "The polygon is left out, the others of the instance are kept; correct the JSON."
            self._report(annotation, "polygon with fewer than three points", what, remedy)
        return good

    def _run_lengths(self, segmentation: dict) -> np.ndarray:
        height, width = self.size
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size != [height, width]:
            what = f"its run lengths are for an image {short(size)}, not [{height}, {width}] (height, width)"
            raise Unusable("run lengths of another image size", what, _SKIP)
        try:
            mask = rle.from_text(counts) if isinstance(counts, str) else np.array(counts, np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            raise Unusable("broken run lengths", f"{error}", _SKIP) from error
        if mask.ndim != 1 or np.any(mask < 0) or int(np.sum(mask)) != height * width:
            what = f"the run lengths do not add up to {height} x {width} pixels"
            raise Unusable("broken run lengths", what, _SKIP)
        return mask

    def _area(self, annotation: dict, box: tuple, mask: np.ndarray | None) -> float:
        area = annotation.get("area")
        measured = rle.area(mask) if mask is not None else (box[2] - box[0]) * (box[3] - box[1])
        if area is None:
            return float(measured)
        if not _are_numbers([area], 1) or area < 0:
            what, remedy = f"area is {short(area)}", f"{measured:g}, measured, is used; correct the JSON."
            self._report(annotation, "area is not a positive number", what, remedy)
            return float(measured)
        return float(area)

    def _keypoints(self, annotation: dict) -> np.ndarray:
        """Keypoints [J, 3]: y, x (continuous: the centre of COCO's pixel), visibility; zeros where there are none."""
        values = annotation.get("keypoints")
        nothing = np.zeros((self.joints, 3), np.float32)
        if values is None or annotation.get("iscrowd"):
            return nothing
        if not _are_numbers(values, 3 * self.joints) or not set(values[2::3]) <= {0, 1, 2}:
            what = f"keypoints are not {self.joints} times x, y, visibility (0, 1 or 2): {short(values)}"
            remedy = "The instance is kept without keypoints; correct the JSON."
            self._report(annotation, "broken keypoints", what, remedy)
            return nothing
        y, x, visibility = coco_format.from_xyv(np.array(values, np.float64).reshape(-1, 3)).T
        height, width = self.size
        inside = (y >= -SLACK) & (x >= -SLACK) & (y <= height + SLACK) & (x <= width + SLACK)
        if np.any((visibility > 0) & ~inside):
            count = int(np.sum((visibility > 0) & ~inside))
            what, remedy = f"{count} visible keypoints are outside", "They are kept as not labelled; correct the JSON."
            self._report(annotation, "keypoint outside the image", what, remedy)
        stated, labelled = annotation.get("num_keypoints"), int(np.sum(visibility > 0))
        if stated is not None and stated != labelled:
            what = f"num_keypoints is {short(stated)}, and {labelled} keypoints are labelled (visibility 1 or 2)"
            self._report(annotation, "num_keypoints disagrees", what, "Those labelled are used; correct the JSON.")
        visibility = np.where(inside, visibility, 0)
        points = np.column_stack([np.clip(y, 0, height), np.clip(x, 0, width), visibility])
        return np.where(visibility[:, None] > 0, points, 0).astype(np.float32)


def _are_numbers(values: Any, count: int | None) -> bool:
    """Whether it is a list of (so many) finite numbers."""
    return (
        isinstance(values, list)
        and (count is None or len(values) == count)
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        and all(abs(value) <= sys.float_info.max for value in values)  # isfinite takes no integer beyond it
    )
