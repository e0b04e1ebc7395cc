"""A shape of CVAT's XML → parts of objects."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np

from ..build.problems import Reporter, short
from . import drawn
from .drawn import Shape
from .groups import Part
from .tool_values import number, whole

_SKIP = "It is left out: correct the shape, or remove it."
Size = tuple[int, int]  # height, width


def parts(element: Element, label: str, place: str, size: Size | None, report: Reporter) -> list[Part]:
    """What an element draws; LeftOut where it is no object."""
    group = element.get("group_id")
    shape = _shape(element, label, place, size, report)
    return [Part(shape, (group,) if group not in (None, "", "0") else None)]


def _shape(element: Element, label: str, place: str, size: Size | None, report: Reporter) -> Shape:
    if not label:
        report.leave_out("shape without a label", "it has no label", _SKIP)
    kind, turn = element.tag, _numbers(element, ("rotation",), report)[0] if element.get("rotation") else 0.0
    if kind == "box":
        x1, y1, x2, y2 = _numbers(element, ("xtl", "ytl", "xbr", "ybr"), report)
        if not turn % 360:
            return Shape(place, label, (x1, y1, x2, y2))
        corners = drawn.rectangle(((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1), turn)
        return Shape(place, label, polygons=(corners,), rotated=f"by {turn:g} degrees")
    if kind == "ellipse":
        x, y, wide, high = _numbers(element, ("cx", "cy", "rx", "ry"), report)
        return Shape(place, label, polygons=(drawn.ellipse((x, y), (wide, high), turn),))
    if kind == "polygon":
        points = points_of(element, report)
        if len(points) < 6:
            what = f"a polygon has {len(points) // 2} points"
            report.leave_out("polygon with fewer than three points", what, _SKIP)
        return Shape(place, label, polygons=(points,))
    if kind == "mask":
        return _mask(element, label, place, size, report)
    if kind == "skeleton":
        return Shape(place, label, points=tuple(_joint(point, report) for point in element.findall("points")))
    remedy = "It is left out: draw a box, polygon, mask or skeleton if it is to be an object."
    report.leave_out("shape without an area", f"it is a {short(kind)}", remedy)


def _joint(point: Element, report: Reporter) -> tuple[str, float, float, float]:
    """Name, x, y and visibility of a keypoint of a skeleton."""
    name, place = point.get("label") or "", points_of(point, report)
    if not name or len(place) != 2:
        report.leave_out("broken keypoints", f"a point of it is {short(dict(point.attrib))}", _SKIP)
    if point.get("outside") == "1":
        return name, 0.0, 0.0, 0.0
    return name, *place, 1.0 if point.get("occluded") == "1" else 2.0


def points_of(element: Element, report: Reporter) -> tuple[float, ...]:
    """x, y, x, y, ... of an element's points; LeftOut where they are no pairs of numbers."""
    text = element.get("points") or ""
    values = [number(value) for pair in text.split(";") for value in pair.split(",")]
    if None in values or any(pair.count(",") != 1 for pair in text.split(";")):
        report.leave_out("points are not pairs of numbers", f"points are {short(text)}", _SKIP)
    return tuple(value for value in values if value is not None)


def _numbers(element: Element, names: Sequence[str], report: Reporter) -> list[float]:
    values = [number(element.get(name)) for name in names]
    if None in values:
        stated = ", ".join(f"{name} {short(element.get(name))}" for name in names)
        report.leave_out("box is not four finite numbers", f"it has {stated}", _SKIP)
    return [value for value in values if value is not None]


def _mask(element: Element, label: str, place: str, size: Size | None, report: Reporter) -> Shape:
    """A mask: run lengths along the rows of a window, the zeros first."""
    left, top, width, height = (whole(element.get(name)) for name in ("left", "top", "width", "height"))
    runs = [whole(value) for value in (element.get("rle") or "").split(",")]
    if None in runs or left is None or top is None or not width or not height:
        report.leave_out("broken run lengths", f"it has rle {short(element.get('rle'))}", _SKIP)
    counts = np.array(runs, np.int64)
    if size is None or top < 0 or left < 0 or top + height > size[0] or left + width > size[1]:
        what = f"its window is {height} x {width} (height x width) at ({top}, {left}), the image is {size}"
        report.leave_out("mask outside the image", what, _SKIP)
    if height * width > drawn.MOST_PIXELS:
        what = f"its window is {height:,} x {width:,}, and no image has more than {drawn.MOST_PIXELS:,} pixels"
        report.leave_out("mask larger than any image", what, _SKIP)
    if counts.min() < 0 or counts.max() > height * width or counts.sum() != height * width:
        report.leave_out("broken run lengths", f"they do not add up to {height} x {width} pixels", _SKIP)
    window = (np.repeat(np.arange(len(counts)) % 2 == 1, counts)).reshape(height, width)
    if not window.any():
        report.leave_out("mask without a pixel", "its run lengths have no ones", _SKIP)
    return drawn.of_mask(place, label, window, size, top, left)
