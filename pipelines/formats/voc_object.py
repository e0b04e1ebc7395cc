"""The objects of a VOC annotation → boxes and marks of a record, or the problems with them."""

import math
from dataclasses import dataclass

from ..build.problems import Problem
from .voc_xml import SIDES, Annotation, Object

# What is added to a file's minima and maxima to have the edges of the box (docs/coordinates.md). VOC numbers the first
# and the last pixel of an object from 1: its pixel 1 spans 0 to 1.
TO_EDGES = {"voc": (-1, 0), "zero_based": (0, 1), "edges": (0, 0)}
_SKIP = "It is left out: correct the XML, or take the object out"
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "", "false", "no", "unspecified")


class Unusable(Exception):
    """The object is left out; arguments are the kind of problem, what it is, and the remedy."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An object in the terms of a record."""

    box: tuple[float, float, float, float]  # y1, x1, y2, x2
    label: int
    difficult: bool
    truncated: bool
    pose: str


class Reader:
    """Reads the objects of one image and gathers their problems."""

    def __init__(self, file: str, image_id: str, size: tuple[int, int], labels: dict[str, int], coordinates: str):
        """`size` is (height, width) of the image, `labels` those of the class names, `coordinates` of TO_EDGES."""
        self.file, self.image_id, self.size = file, image_id, size
        self.labels, self.coordinates = labels, coordinates
        self.problems: list[Problem] = []

    def read(self, one: Object) -> Instance | None:
        """The instance of an object; None, and a problem, if it cannot be used."""
        if one.repeated:
            what = " and ".join(f"<{name}>" for name in one.repeated)
            remedy = "The first is taken: correct the XML, in which each object needs an <object> of its own."
            self._report(one, "element given twice", f"it has {what} more than once", remedy)
        try:
            return Instance(
                label=self._label(one),
                box=self._box(one),
                difficult=self._mark(one, "difficult"),
                truncated=self._mark(one, "truncated"),
                pose=one.pose or "Unspecified",
            )
        except Unusable as unusable:
            self._report(one, *unusable.args)
            return None

    def _report(self, one: Object, kind: str, what: str, remedy: str) -> None:
        named = f"object {one.number} ({one.name})" if one.name else f"object {one.number}"
        self.problems.append(Problem(kind, self.file, f"{named}: {what}", remedy, self.image_id))

    def _label(self, one: Object) -> int:
        if not one.name:
            raise Unusable("object without a class", "it has no <name>", f"{_SKIP}.")
        if one.name not in self.labels:
            known = ", ".join(list(self.labels)[:5]) + (", ..." if len(self.labels) > 5 else "")
            remedy = "It is left out: correct its <name>, or give a file with all classes with --classes."
            raise Unusable("unknown class", f"{short(one.name)} is none of {known}", remedy)
        return self.labels[one.name]

    def _box(self, one: Object) -> tuple[float, float, float, float]:
        if one.box is None:
            raise Unusable("object without a box", "it has no <bndbox>", f"{_SKIP}.")
        numbers = [number(text) for text in one.box]
        if any(value is None for value in numbers):
            texts = ", ".join(
                f"no {side}" if text is None else f"{side} {short(text)}"
                for side, text, value in zip(SIDES, one.box, numbers, strict=True)
                if value is None
            )
            raise Unusable("box is not four finite numbers", f"its <bndbox> has {texts}", f"{_SKIP}.")
        ymin, xmin, ymax, xmax = (value for value in numbers if value is not None)
        height, width = self.size
        given = f"xmin {xmin:g}, ymin {ymin:g}, xmax {xmax:g}, ymax {ymax:g}"
        if ymax < ymin or xmax < xmin:
            remedy = f"{_SKIP}; if minimum and maximum only changed places, swap them."
            raise Unusable("box with a negative side", given, remedy)
        if ymax == ymin or xmax == xmin:
            raise Unusable("box without area", given, f"{_SKIP}.")
        low, high = TO_EDGES[self.coordinates]
        y1, x1, y2, x2 = ymin + low, xmin + low, ymax + high, xmax + high
        inside = max(y1, 0.0), max(x1, 0.0), min(y2, float(height)), min(x2, float(width))
        if inside == (y1, x1, y2, x2):
            return inside
        what = f"{given} in an image {height} high and {width} wide"
        if inside[0] >= inside[2] or inside[1] >= inside[3]:
            raise Unusable("box outside the image", what, f"{_SKIP}.")
        remedy = "It is cut at the border; correct the XML."
        if self.coordinates == "voc" and min(ymin, xmin) == 0:
            remedy = "It is cut at the border; if the files count pixels from 0, say so with --coordinates."
        self._report(one, "box partly outside the image", what, remedy)
        return inside

    def _mark(self, one: Object, mark: str) -> bool:
        text = (getattr(one, mark) or "").lower()
        if text not in _TRUE + _FALSE:
            what = f"{mark} is {short(text)}, which is neither 0 nor 1"
            self._report(one, "mark that is neither 0 nor 1", what, "It counts as 0; correct the XML.")
        return text in _TRUE


def stated_size(annotation: Annotation) -> tuple[int, int] | None:
    """(height, width) that the file states; None where it has none, or none of two whole positive numbers."""
    values = [number(text) for text in annotation.size or (None, None)]
    sides = [int(value) for value in values if value is not None and value >= 1 and value == int(value)]
    return (sides[0], sides[1]) if len(sides) == 2 else None


def number(text: str | None) -> float | None:
    """The finite number of a text; None if it is none."""
    try:
        value = float(text) if text is not None and "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def short(text: str) -> str:
    """The text in quotes, of a length for messages."""
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}..."
