"""Shapes of one group are parts of one object: polygons that belong together, and keypoints beside their object."""

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from ..build.problems import Reporter, short
from .drawn import Shape


@dataclass(frozen=True)
class Part:
    """A shape, or a keypoint, as it was drawn."""

    shape: Shape
    group: Hashable = None  # None: it is an object of its own
    is_keypoint: bool = False  # its class is the keypoint's name, and its only point its place


def objects(parts: Iterable[Part], report: Reporter) -> tuple[list[Shape], int]:
    """The objects of a picture, and how many parts are none; those go to the report."""
    alone, grouped = [], defaultdict(list)
    for part in parts:
        grouped[part.group].append(part)
    lost = 0
    for group, those in grouped.items():
        keypoints = [part.shape for part in those if part.is_keypoint]
        shapes = [part.shape for part in those if not part.is_keypoint]
        if group is not None:
            shapes = _joined(shapes)
        if keypoints and (group is None or len(shapes) != 1):
            for one in keypoints:
                what = f"{one.place}: the point {short(one.class_name)} is in no group with one object"
                remedy = "It is left out: give the point and the box or polygon of its object one group."
                report("keypoint without an object", what, remedy)
            lost += len(keypoints)
        elif keypoints:
            named = tuple(point for one in keypoints for point in one.points)
            shapes = [dataclasses.replace(shapes[0], points=shapes[0].points + named)]
        alone += shapes
    return alone, lost


def _joined(shapes: Iterable[Shape]) -> list[Shape]:
    """Objects of shapes of a group: those of one class are one."""
    made: dict[str, Shape] = {}
    others = []
    for shape in shapes:
        first = made.get(shape.class_name)
        if first is None:
            made[shape.class_name] = shape
        elif (
            shape.run_lengths or first.run_lengths or (shape.box and first.box)
        ):  # Two boxes, or masks, are two objects.
            others.append(shape)
        else:
            box = first.box or shape.box
            parts = {"polygons": first.polygons + shape.polygons, "points": first.points + shape.points}
            made[shape.class_name] = dataclasses.replace(first, box=box, **parts)
    return [*made.values(), *others]
