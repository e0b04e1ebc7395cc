"""The objects of a VOC annotation → boxes and marks of a record, or the problems with them."""

import dataclasses
import math

from ..build.image_records import Instance
from ..build.problems import LeftOut, Reporter, short
from .voc_xml import SIDES, Annotation, Object

# What is added to a file's minima and maxima to have the edges of the box (docs/coordinates.md). VOC numbers the first
# and the last pixel of an object from 1: its pixel 1 spans 0 to 1.
TO_EDGES = {"voc": (-1, 0), "zero_based": (0, 1), "edges": (0, 0)}
_SKIP = "It is left out: correct the XML, or take the object out"
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "", "false", "no", "unspecified")


def read(
    annotation: Annotation, labels: dict[str, int], size: tuple[int, int], coordinates: str, report: Reporter
) -> list[Instance]:
    """The objects of an annotation, those that can be used; their ids are their numbers in the file.

    Args:
        labels: by class name.
        size: (height, width) of the image.
        coordinates: a key of TO_EDGES.
        report: takes the problems with the file.
    """
    objects = []
    for one in annotation.objects:
        named = f"object {one.number} ({one.name}): " if one.name else f"object {one.number}: "
        its_report = dataclasses.replace(report, prefix=named)
        if one.repeated:
            what = " and ".join(f"<{name}>" for name in one.repeated)
            remedy = "The first is taken: correct the XML, in which each object needs an <object> of its own."
            its_report("element given twice", f"it has {what} more than once", remedy)
        try:
            label = _label(one, labels, its_report)
            box = _box(one, size, coordinates, its_report)
        except LeftOut:
            continue
        instance = Instance(box, label, (box[2] - box[0]) * (box[3] - box[1]), one.number)
        instance.difficult, instance.truncated = (_mark(one, mark, its_report) for mark in ("difficult", "truncated"))
        instance.pose = one.pose or "Unspecified"
        objects.append(instance)
    return objects


def _label(one: Object, labels: dict[str, int], report: Reporter) -> int:
    if not one.name:
        report.leave_out("object without a class", "it has no <name>", f"{_SKIP}.")
    if one.name not in labels:
        known = ", ".join(list(labels)[:5]) + (", ..." if len(labels) > 5 else "")
        remedy = "It is left out: correct its <name>, or give a file with all classes with --classes."
        report.leave_out("unknown class", f"{short(one.name)} is none of {known}", remedy)
    return labels[one.name]


def _box(one: Object, size: tuple[int, int], coordinates: str, report: Reporter) -> tuple[float, float, float, float]:
    if one.box is None:
        report.leave_out("object without a box", "it has no <bndbox>", f"{_SKIP}.")
    numbers = {side: number(text) for side, text in zip(SIDES, one.box, strict=True)}
    if None in numbers.values():
        texts = [(side, text) for side, text in zip(SIDES, one.box, strict=True) if numbers[side] is None]
        shown = ", ".join(f"no {side}" if text is None else f"{side} {short(text)}" for side, text in texts)
        report.leave_out("box is not four finite numbers", f"its <bndbox> has {shown}", f"{_SKIP}.")
    ymin, xmin, ymax, xmax = (float(value) for value in numbers.values())
    stated = f"xmin {xmin:g}, ymin {ymin:g}, xmax {xmax:g}, ymax {ymax:g}"
    if ymax < ymin or xmax < xmin:
        remedy = f"{_SKIP}; if minimum and maximum only changed places, swap them."
        report.leave_out("box with a negative side", stated, remedy)
    if ymax == ymin or xmax == xmin:
        report.leave_out("box without area", stated, f"{_SKIP}.")
    low, high = TO_EDGES[coordinates]
    box, (height, width) = (ymin + low, xmin + low, ymax + high, xmax + high), size
    inside = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(height)), min(box[3], float(width))
    what = f"{stated} in an image {height} high and {width} wide"
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        report.leave_out("box outside the image", what, f"{_SKIP}.")
    if inside != box:
        counted_from_0 = coordinates == "voc" and min(ymin, xmin) == 0
        remedy = (
            "if the files count pixels from 0, add --coordinates=zero_based" if counted_from_0 else "correct the XML"
        )
        report("box partly outside the image", what, f"It is cut at the border; {remedy}.")
    return inside


def _mark(one: Object, mark: str, report: Reporter) -> bool:
    text = (getattr(one, mark) or "").lower()
    if text not in _TRUE + _FALSE:
        what = f"{mark} is {short(text)}, which is neither 0 nor 1"
        report("mark that is neither 0 nor 1", what, "It counts as 0; correct the XML.")
    return text in _TRUE


def stated_size(annotation: Annotation) -> tuple[int, int] | None:
    """(height, width) that the file states; None where it has none, or none of two whole positive numbers."""
    values = [number(text) for text in annotation.size]
    sides = [int(value) for value in values if value is not None and value >= 1 and value == int(value)]
    return (sides[0], sides[1]) if len(sides) == 2 else None


def reach(annotation: Annotation) -> tuple[float, float] | None:
    """The largest ymax and xmax of the boxes that have both; None where there are none."""
    boxes = [dict(zip(SIDES, one.box, strict=True)) for one in annotation.objects if one.box]
    ends = [(number(box["ymax"]), number(box["xmax"])) for box in boxes]
    known = [(y, x) for y, x in ends if y is not None and x is not None]
    return (max(y for y, _ in known), max(x for _, x in known)) if known else None


def number(text: str | None) -> float | None:
    """The finite number of a text; None if it is none."""
    try:
        value = float(text) if text is not None and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
