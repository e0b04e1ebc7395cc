"""LabelMe's JSON, a file beside each image: polygons, boxes, circles, masks, and keypoints in an object's group."""

import base64
import binascii
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.data import image_numpy

from ..build.problems import LeftOut, Problem, Reporter, short
from . import class_folders, drawn, groups, json_file, named_images, tool_values
from .drawn import Drawing, Picture, Shape
from .groups import Part
from .named_images import NamedImages
from .tar_files import File

_MOST_BYTES = 2**27  # the JSON may hold the image
_SKIP = "It is left out: correct the shape, or remove it."


@dataclass(frozen=True, slots=True)
class _InJson(File):
    """A picture that no file but the JSON has."""

    def read(self, most: int | None = None) -> bytes:
        text = _text_of(json.loads(File.read(self, _MOST_BYTES).decode("utf-8-sig")))
        text = text.partition(",")[2] if text.startswith("data:") else text
        return base64.b64decode("".join(text.split()), validate=True)


def _text_of(tree: dict[str, Any]) -> str:
    """The picture in the JSON, in base64; "" where there is none."""
    text = tree.get("imageData")
    return str(text) if tool_values.is_text(text) else ""


def read(folder: str, images: NamedImages, found: list[Problem]) -> Drawing:
    """What the JSON files of a folder say of the images, each of which a file has, or the JSON itself."""
    files, _ = class_folders.listing(folder, found, "--annotations", (".json",))
    trees = []
    for file in files:
        report = Reporter(found, file.name)
        try:
            tree = json_file.of_file(file, report, _MOST_BYTES)
            if not isinstance(tree, dict) or not isinstance(tree.get("shapes"), list):
                remedy = "It is left out: take it away, if it is of another tool."
                report.leave_out("JSON without shapes", "it has no list 'shapes', as LabelMe's files have", remedy)
            trees.append((file, tree | {"imageData": bool(_text_of(tree))}))
        except LeftOut:
            continue
    of_stem = {os.path.splitext(image.name)[0]: image.name for image in reversed(images.files)}
    names = [_image_of(file, tree, of_stem) for file, tree in trees]
    missing: list[list[Problem]] = [[] for _ in trees]
    taken = images.take(
        names, [Reporter(*one) for one in zip(missing, (file.name for file, _ in trees), names, strict=True)]
    )
    drawing = Drawing()
    for (file, tree), image, why in zip(trees, taken, missing, strict=True):
        if image is None and tree["imageData"] and why[0].kind == named_images.MISSING:
            image = _InJson(_name_in(file, tree), file.path, size=file.size, time=file.time)
        if image is None:
            found += why
            drawing.left_out += len(tree["shapes"])
            continue
        report = Reporter(found, file.name, image.name)
        sides = [tool_values.whole(tree.get(key)) for key in ("imageHeight", "imageWidth")]
        size = (sides[0], sides[1]) if sides[0] and sides[1] else None
        shapes, lost = _shapes(tree["shapes"], size, report)
        drawing.left_out += lost
        drawing.pictures.append(Picture(image.name, image, report.file, tuple(shapes), size))
    drawing.unnamed = images.rest()
    return drawing


def _name_in(file: File, tree: dict[str, Any]) -> str:
    """The name of the picture in a JSON file: its own, with the extension that the picture had."""
    extension = os.path.splitext(str(tree.get("imagePath")))[1].lower()
    return os.path.splitext(file.name)[0] + (extension if extension in class_folders.EXTENSIONS else ".png")


def _image_of(file: File, tree: dict[str, Any], of_stem: dict[str, str]) -> str:
    """Name of the image of a file: its own with another extension, or else what it says."""
    stem, path = os.path.splitext(file.name)[0], tree.get("imagePath")
    said = path if tool_values.is_text(path) and not path.lower().endswith(".json") else ""
    return of_stem.get(stem) or said or f"{stem}.jpg"


def _shapes(listed: list, size: tuple[int, int] | None, report: Reporter) -> tuple[list[Shape], int]:
    parts, lost = [], 0
    for number, one in enumerate(listed, 1):
        its_report = Reporter(report.found, report.file, report.image_id, prefix=f"shape {number}: ")
        try:
            if not isinstance(one, dict) or not tool_values.is_text(one.get("label")) or not one["label"]:
                its_report.leave_out("shape without a label", f"it is {short(one)}", _SKIP)
            group = one.get("group_id")
            group = None if group is None or isinstance(group, list | dict) else (str(group),)
            parts.append(_part(one, f"shape {number}", group, size, its_report))
        except LeftOut:
            lost += 1
    objects, without = groups.objects(parts, report)
    return objects, lost + without


def _part(one: dict, place: str, group: Any, size: tuple[int, int] | None, report: Reporter) -> Part:
    """A shape as it is drawn; LeftOut where it has no area."""
    kind, name = one.get("shape_type") or "polygon", one["label"]
    points = [tool_values.numbers(point, 2) for point in one["points"]] if isinstance(one.get("points"), list) else []
    if not points or None in points:
        report.leave_out("points are not pairs of numbers", f"points are {short(one.get('points'))}", _SKIP)
    flat = tuple(value for point in points for value in point or ())
    wanted = {"rectangle": (2, 4), "rotation": (4,), "circle": (2,), "point": (1,), "mask": (2,)}.get(str(kind))
    if wanted and len(points) not in wanted:
        report.leave_out("shape of another number of points", f"a {kind} has {len(points)} points", _SKIP)
    if kind == "point":
        described = (one.get("flags") or {}).get("occluded") if isinstance(one.get("flags"), dict) else False
        return Part(Shape(place, name, points=((name, *flat, 1.0 if described else 2.0),)), group, is_keypoint=True)
    if kind == "circle":
        radius = math.dist(flat[:2], flat[2:])
        box = (flat[0] - radius, flat[1] - radius, flat[0] + radius, flat[1] + radius)
        polygon = drawn.ellipse((flat[0], flat[1]), (radius, radius))
        return Part(Shape(place, name, box, (polygon,)), group)
    if kind in ("rectangle", "rotation"):
        xs, ys = flat[::2], flat[1::2]
        if len(points) == 4 and not drawn.is_upright(flat):
            return Part(Shape(place, name, polygons=(flat,), rotated="(see its four corners)"), group)
        return Part(Shape(place, name, (min(xs), min(ys), max(xs), max(ys))), group)
    if kind == "polygon":
        if len(points) < 3:
            what = f"a polygon has {len(points)} points"
            report.leave_out("polygon with fewer than three points", what, _SKIP)
        return Part(Shape(place, name, polygons=(flat,)), group)
    if kind == "mask":
        return Part(_mask(one, flat, place, size, report), group)
    remedy = "It is left out: draw a polygon or a rectangle if it is to be an object."
    report.leave_out("shape without an area", f"it is a {short(kind)}", remedy)


def _mask(one: dict, flat: Sequence[float], place: str, size: tuple[int, int] | None, report: Reporter) -> Shape:
    """The pixels of a PNG in the JSON, which lies in the box of its points: those of its first and last pixel."""
    if size is None:
        report.leave_out("mask without a size", "the JSON has no imageHeight and imageWidth", _SKIP)
    try:
        png = base64.b64decode(str(one.get("mask")), validate=True)
        crop = np.asarray(image_numpy.opened(png).picture.convert("L")) > 0
    except (binascii.Error, ValueError, image_numpy.Unreadable) as error:
        report.leave_out("mask cannot be decoded", f"its PNG: {error}", _SKIP)
    left, top = round(min(flat[::2])), round(min(flat[1::2]))
    first = max(-top, 0), max(-left, 0)
    inside = crop[first[0] : max(size[0] - top, 0), first[1] : max(size[1] - left, 0)]
    if not inside.any():
        report.leave_out("mask without a pixel", "no pixel of the image is in it", _SKIP)
    return drawn.of_mask(place, one["label"], inside, size, max(top, 0), max(left, 0))
