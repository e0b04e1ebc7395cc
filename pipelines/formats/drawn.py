"""What people drew with a tool for annotation, whichever it was: pictures, and shapes in them → objects of a record.

A reader of a format gives a `Drawing`; coordinates are those that its tool writes to COCO JSON too. `coco_annotation`
judges them, so a set of images gives the same records and the same problems in every format.
"""

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfrecog.ops import rle

from ..build.image_records import Instance
from ..build.problems import Problem, Reporter, short
from . import coco_annotation
from .tar_files import File

_UPRIGHT = (
    "Its mask is the rotated rectangle, and its box the upright one around that: if it is too large, draw polygons."
)
MOST_PIXELS = 2**28  # of a mask; no larger picture is decoded
_ARC = 72  # corners of the polygon of an ellipse: it lies within 0.1 % of the radius


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixels of a file that have one value, or 0 for all that are not 0: an object as the workers read it."""

    file: File
    value: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """An object as it was drawn, in pixels of its picture or in fractions of its sides (see Picture).

    The box of run lengths is in pixels.
    """

    place: str  # in the file, for problems, such as "line 3"
    class_name: str
    box: tuple[float, float, float, float] | None = None  # x1, y1, x2, y2; None: that around the rest
    polygons: tuple[tuple[float, ...], ...] = ()  # x, y, x, y, ... of each
    # COCO's counts, or their compressed text, and (height, width).
    run_lengths: tuple[tuple[int, ...] | str, tuple[int, int]] | None = None
    points: tuple[tuple[str, float, float, float], ...] = ()  # name, x, y, visibility of keypoints, as in COCO's files
    crowd: bool = False
    rotated: str = ""  # how far, in words, where the polygon is a rotated box
    pixels: Pixels | None = None  # run lengths that are read later, by `mask_files`


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and what was drawn in it."""

    name: str
    file: File
    source: str  # name of the file that says so
    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None  # height, width, where the file says them
    fractions: bool = False
    first_id: int = 1  # of the objects

    def fingerprint(self) -> str:
        return repr(self)


@dataclass
class Drawing:
    """All that the files of a split say."""

    pictures: list[Picture] = field(default_factory=list)
    classes: tuple[str, ...] = ()  # in the order of the file, or alphabetical where it has none
    keypoints: tuple[str, ...] = ()  # in the order of the file; (): alphabetical
    flip_pairs: tuple[tuple[int, int], ...] | None = None  # None: by the names of the keypoints
    skeleton: tuple[tuple[int, int], ...] = ()
    left_out: int = 0  # objects that the files hold and that are no shapes; they are reported
    unnamed: list[File] = field(default_factory=list)  # images of the folder of which the files say nothing

    @property
    def masks(self) -> bool:
        """Whether a shape is more than a box and keypoints."""
        shapes = (shape for picture in self.pictures for shape in picture.shapes)
        return any(shape.polygons or shape.run_lengths or shape.pixels for shape in shapes)


def folder_of(path: str) -> str:
    """The folder of an annotation file, or the path if it is one."""
    return path if os.path.isdir(path) else os.path.dirname(path) or "."


def completed(drawing: Drawing, negatives: bool, found: list[Problem]) -> Drawing:
    """The drawing with its classes, keypoints and numbers of objects.

    Images that no file names become ones without objects if `negatives` are wanted, or go to `found`. What is drawn
    twice is taken once.
    """
    pictures, number = [], 1
    for file in drawing.unnamed:
        if negatives:
            drawing.pictures.append(Picture(file.name, file, file.name, ()))
        else:
            remedy = "It is left out: annotate it, or keep such images as ones without objects by --negatives."
            found.append(Problem("image without annotations", file.name, "no annotation names it", remedy, file.name))
    for picture in sorted(drawing.pictures, key=lambda one: one.name):
        shapes: dict[Shape, Shape] = {}
        for shape in picture.shapes:
            if shapes.setdefault(dataclasses.replace(shape, place=""), shape) is not shape:
                what, remedy = f"{shape.place}: the same object came before", "It is left out: remove one of them."
                found.append(Problem("object given twice", picture.source, what, remedy, picture.name))
        pictures.append(dataclasses.replace(picture, shapes=tuple(shapes.values()), first_id=number))
        number += len(shapes)
    drawn = [shape for picture in pictures for shape in picture.shapes]
    classes = drawing.classes or tuple(sorted({shape.class_name for shape in drawn}))
    keypoints = drawing.keypoints or tuple(sorted({name for shape in drawn for name, *_ in shape.points}))
    return dataclasses.replace(drawing, pictures=pictures, classes=classes, keypoints=keypoints, unnamed=[])


def instances(
    picture: Picture,
    labels: dict[str, int],
    size: tuple[int, int],
    report: Reporter,
    *,
    masks: bool,
    keypoints: Sequence[str],
) -> list[Instance]:
    """The objects of a picture of a size (height, width) that can be used; the others go to the report.

    Args:
        picture: with its shapes.
        labels: 1..K by class name.
        size: of the image.
        report: takes the problems with the picture's source.
        masks: records have masks.
        keypoints: names of those of an object; (): records have none.
    """
    scale = (size[1], size[0]) if picture.fractions else (1, 1)
    objects = []
    for number, shape in enumerate(picture.shapes, picture.first_id):
        its_report = dataclasses.replace(report, prefix=f"{shape.place}: ")
        if shape.class_name not in labels:
            known = ", ".join(list(labels)[:5]) + (", ..." if len(labels) > 5 else "")
            remedy = "It is left out: correct its class, or give a file with all classes with --classes."
            its_report("unknown class", f"{short(shape.class_name)} is none of {known}", remedy)
            continue
        if shape.rotated:
            its_report("rotated box", f"the box is rotated {shape.rotated}", _UPRIGHT)
        annotation = _annotation(shape, scale, keypoints, its_report) | {"id": number, "category_id": 0}
        label_of, has = {0: labels[shape.class_name]}, {"masks": masks, "joints": len(keypoints)}
        objects += coco_annotation.read([annotation], label_of, size, its_report, **has)
    return objects


def reach(picture: Picture) -> tuple[float, float] | None:
    """The largest y and x of the boxes in pixels; None where there are none."""
    boxes = [] if picture.fractions else [shape.box or _around(shape) for shape in picture.shapes]
    return (max(box[3] for box in boxes), max(box[2] for box in boxes)) if boxes else None


def _annotation(shape: Shape, scale: tuple[int, int], keypoints: Sequence[str], report: Reporter) -> dict[str, Any]:
    """A shape as an annotation of COCO's JSON; `scale` is that of x and y."""
    of_box = (1, 1) if shape.run_lengths else scale
    x1, y1, x2, y2 = (side * of_box[place % 2] for place, side in enumerate(shape.box or _around(shape)))
    annotation: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(shape.crowd)}
    if shape.run_lengths:
        counts, size = shape.run_lengths
        annotation["segmentation"] = {"counts": counts if isinstance(counts, str) else list(counts), "size": list(size)}
    elif shape.polygons:
        scaled = ([value * scale[place % 2] for place, value in enumerate(polygon)] for polygon in shape.polygons)
        annotation["segmentation"] = list(scaled)
    if shape.points and keypoints:
        point_of = {name: (x * scale[0], y * scale[1], seen) for name, x, y, seen in shape.points}
        annotation["keypoints"] = [value for name in keypoints for value in point_of.pop(name, (0, 0, 0))]
        if point_of:
            what = f"{', '.join(map(short, point_of))} is no keypoint; those are {short(', '.join(keypoints))}"
            report("unknown keypoint", what, "It is left out: correct its name, or name all with --keypoints.")
    return annotation


def _around(shape: Shape) -> tuple[float, float, float, float]:
    """The box around what is drawn of a shape; one without area where nothing is."""
    if shape.polygons:
        xs = [x for polygon in shape.polygons for x in polygon[::2]]
        ys = [y for polygon in shape.polygons for y in polygon[1::2]]
    else:
        xs = [x for _, x, _, seen in shape.points if seen]
        ys = [y for _, _, y, seen in shape.points if seen]
    return (min(xs), min(ys), max(xs), max(ys)) if xs and ys else (0.0, 0.0, 0.0, 0.0)


def of_mask(place: str, class_name: str, mask: np.ndarray, size: tuple[int, int], top: int = 0, left: int = 0) -> Shape:
    """The shape of a mask [h, w] bool that has a pixel, and lies from (top, left) on in a picture of a size."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    first, last = (int(rows[0]), int(columns[0])), (int(rows[-1]) + 1, int(columns[-1]) + 1)
    window = mask[first[0] : last[0], first[1] : last[1]]
    counts = rle.encode_crop(window, top + first[0], left + first[1], *size).tolist()
    box = (left + first[1], top + first[0], left + last[1], top + last[0])
    return Shape(place, class_name, box, run_lengths=(tuple(counts), size))


def rectangle(
    centre: tuple[float, float], size: tuple[float, float], degrees: float, aspect: float = 1.0
) -> tuple[float, ...]:
    """Corners x, y, x, y, ... of a rectangle (x, y) of a size (width, height), turned clockwise about its centre.

    `aspect` is height / width of a picture in whose fractions all of them are.
    """
    half_width, half_height = size[0] / 2, size[1] / 2
    corners = (
        (-half_width, -half_height),
        (half_width, -half_height),
        (half_width, half_height),
        (-half_width, half_height),
    )
    return _turned(centre, corners, degrees, aspect)


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0.0, aspect: float = 1.0
) -> tuple[float, ...]:
    """Polygon x, y, x, y, ... of an ellipse; as `rectangle`."""
    around = ((2 * math.pi * k / _ARC) for k in range(_ARC))
    return _turned(centre, [(radii[0] * math.cos(a), radii[1] * math.sin(a)) for a in around], degrees, aspect)


def _turned(centre, offsets: Iterable[tuple[float, float]], degrees: float, aspect: float) -> tuple[float, ...]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = ((dx * cos - dy * sin * aspect, dx * sin / aspect + dy * cos) for dx, dy in offsets)
    return tuple(value for dx, dy in turned for value in (centre[0] + dx, centre[1] + dy))


def is_upright(corners: Sequence[float]) -> bool:
    """Whether the four corners x, y, x, y, ... are those of an upright rectangle, to a thousandth of a pixel."""
    xs, ys = corners[::2], corners[1::2]
    ends = {(x, y) for x in (min(xs), max(xs)) for y in (min(ys), max(ys))}
    return all(any(max(abs(x - a), abs(y - b)) < 1e-3 for x, y in zip(xs, ys, strict=True)) for a, b in ends)
