"""Label Studio's JSON and JSON-MIN: tasks with an image and results, in percent of its sides, or pixels of brushes."""

import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..build.problems import LeftOut, Problem, Refused, Reporter, short
from . import class_folders, drawn, groups, json_file, packed_runs, tool_values
from .drawn import Drawing, Picture, Shape
from .groups import Part
from .named_images import NamedImages, reporters
from .tool_values import number, whole

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_SKIP = "It is left out: correct the region, or remove it."
_OF_MIN = {"annotation_id", "completion_id", "annotator"}  # of an entry of JSON-MIN
MARKS = {"annotations", "completions", *_OF_MIN}  # keys of a task
_SHAPES = ({"x", "y", "width"}, {"x", "y", "radiusX"}, {"points"}, {"rle"})  # keys of a value that is drawn
_GEOMETRY = ("x", "y", "width", "height", "rotation", "radiusX", "radiusY", "points", "rle")
_ATTRIBUTES = ("choices", "text", "rating", "number", "taxonomy", "datetime")  # of a region, which stands apart
_NO_OBJECTS = ("choices", "textarea", "rating", "number", "taxonomy", "relation", "pairwise", "datetime")


def read(path: str, images: NamedImages, found: list[Problem]) -> Drawing:
    """What a file says of the images; those that nobody annotated are `unnamed`. Refused if it is of another tool."""
    tasks = tasks_of(json_file.of_path(path))
    if tasks is None:
        what = "a list of tasks with data and annotations"
        raise Refused(f"{path} is not Label Studio's JSON, {what}: export it as JSON, or as JSON-MIN")
    uploaded = {os.path.basename(file.name) for file in images.files}
    names = [_image(task, uploaded) for task in tasks]
    reports = reporters(found, path, names, [f"task {number}" for number in range(1, len(names) + 1)])
    results = [_result(task, report) for task, report in zip(tasks, reports, strict=True)]
    drawing = Drawing()
    for result, image in zip(results, images.take(names, reports), strict=True):
        if image is None:
            drawing.left_out += len(result or ())
        elif result is None:
            drawing.unnamed.append(image)
        else:
            shapes, lost = _shapes(result, Reporter(found, path, image.name))
            drawing.left_out += lost
            drawing.pictures.append(Picture(image.name, image, path, tuple(shapes), fractions=True))
    drawing.unnamed += images.rest()
    return drawing


def tasks_of(tree: Any) -> list[dict] | None:
    """The tasks of Label Studio's JSON, or those that its JSON-MIN stands for; None where it is something else."""
    if not isinstance(tree, list) or not tree or not all(isinstance(task, dict) for task in tree):
        return None
    if all("data" not in task and _OF_MIN & task.keys() for task in tree):
        joined: dict[str | int, dict] = {}
        for place, task in enumerate(map(_of_min, tree)):
            first = joined.setdefault(_image(task, ()) or place, task)
            if first is not task:
                first["annotations"] += task["annotations"]
        return list(joined.values())
    known = all(
        isinstance(task.get("data"), dict) and isinstance(task.get("annotations", task.get("completions")), list)
        for task in tree
    )
    return tree if known else None


def _of_min(entry: dict) -> dict:
    """The task of an entry of JSON-MIN, which is its data, and of one annotation the values of the regions.

    Values of one geometry are of one region: its shape and its labels, which may be those of two tags.
    """
    result, known = [], {}
    for listed in entry.values():
        before: Counter[int] = Counter()  # A tag that has a geometry twice has two regions.
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict) or not _is_region(one):
                continue
            number = known.setdefault(repr([one.get(key) for key in _GEOMETRY]), len(known))
            kind = next(_kinds(one), "")
            result.append(one | ({"type": kind} if kind else {}) | {"value": one, "id": f"{number} {before[number]}"})
            before[number] += 1
    data = {key: value for key, value in entry.items() if isinstance(value, str) and not key.endswith("_at")}
    return {"data": data, "annotations": [{"result": result}]}


def _is_region(value: dict) -> bool:
    """Whether a value in JSON-MIN is a shape or its labels, and not data or an attribute of a region."""
    if any(_kinds(value)):
        return True
    return any(keys <= value.keys() for keys in _SHAPES) and not any(kind in value for kind in _ATTRIBUTES)


def _kinds(value: dict) -> Iterator[str]:
    """The keys of labels: rectanglelabels, or labels of a shape that is drawn first."""
    return (key for key in value if key.endswith("labels"))


def _image(task: dict, uploaded: Container[str]) -> str:
    """The name of the image of a task, without what Label Studio puts before that of an uploaded file."""
    values = [value for value in (*task["data"].values(), task.get("file_upload")) if isinstance(value, str)]
    values = sorted(values, key=lambda value: not value.lower().endswith(class_folders.EXTENSIONS))
    name = next((value for value in values if "/" in value or "." in value), "").replace("\\", "/")
    try:
        parts = urlsplit(name)
    except ValueError:  # e.g. "//[a"
        return name
    local = parse_qs(parts.query).get("d", [""])[0]  # /data/local-files/?d=folder/a.jpg
    name = (local or (parts.path if parts.scheme or name.startswith("/") else name)).lstrip("/")
    folder, base = os.path.split(name.removeprefix("data/"))
    short_base = _UPLOADED.sub("", base)
    return os.path.join(folder, short_base if base not in uploaded and short_base in uploaded else base)


def _result(task: dict, report: Reporter) -> list | None:
    """What the annotation of a task holds that counts; None where nobody has annotated it."""
    listed = task.get("annotations", task.get("completions")) or ()
    done = [one for one in listed if isinstance(one, dict) and not one.get("was_cancelled")]
    done = [one for one in done if isinstance(one.get("result"), list)]
    if not done:
        return None
    truths = [one for one in done if one.get("ground_truth")] or done
    if len(truths) > 1:
        what, remedy = (
            f"its task has {len(truths)} annotations",
            "The last is taken: mark the one that counts as ground truth.",
        )
        report("image annotated several times", what, remedy)
    return truths[-1]["result"]


def _shapes(result: Iterable, report: Reporter) -> tuple[list[Shape], int]:
    """The objects of a result, and how many are none."""
    regions: dict[Any, dict] = {}
    for place, one in enumerate(result):
        if not isinstance(one, dict) or str(one.get("type")) in _NO_OBJECTS or "value" not in one:
            continue  # A class or a text of the whole image, or how two objects relate.
        key = one.get("id") if isinstance(one.get("id"), str) else place
        known = regions.setdefault(key, {})
        value = one["value"] if isinstance(one["value"], dict) else {}
        regions[key] = known | one | {"value": known.get("value", {}) | value}  # Labels may stand beside the shape.
    parts, lost = [], 0
    parents = {one.get("parentID") for one in regions.values() if isinstance(one.get("parentID"), str)}
    for count, (key, one) in enumerate(regions.items(), 1):
        place = f"region {count}"
        its_report = Reporter(report.found, report.file, report.image_id, prefix=f"{place}: ")
        try:
            parent = one.get("parentID") if isinstance(one.get("parentID"), str) else None
            shape, is_keypoint = _shape(one, place, its_report)
            group = parent if is_keypoint else key if key in parents else None
            parts.append(Part(shape, None if group is None else (group,), is_keypoint))
        except LeftOut:
            lost += 1
    objects, without = groups.objects(parts, report)
    return objects, lost + without


def _shape(one: dict, place: str, report: Reporter) -> tuple[Shape, bool]:
    """A region as a shape, and whether it is a keypoint."""
    value, kind = one["value"], str(one.get("type"))
    labels = next((value[key] for key in (kind, *_kinds(value)) if key.endswith("labels") and value.get(key)), None)
    name = labels[0] if isinstance(labels, list) and len(labels) == 1 else None
    if not tool_values.is_text(name) or not name.strip():
        report.leave_out("region without one label", f"its labels are {short(labels)}", _SKIP)
    if number(one.get("image_rotation") or 0) != 0:
        what = f"it was drawn while the image was turned by {short(one['image_rotation'])} degrees"
        report.leave_out(
            "image was turned in the tool", what, "It is left out: turn the image file itself, and draw again."
        )

    def fractions(*keys: str) -> list[float]:
        values = tool_values.numbers([value.get(key) for key in keys])
        if values is None:
            report.leave_out("region is not of numbers", f"its value is {short(value)}", _SKIP)
        return [percent / 100 for percent in values]

    turn = number(value.get("rotation")) or 0.0
    aspect = _aspect(one, turn, report)
    if "imageDataURL" in value:
        remedy = "It is left out: label with brushes (BrushLabels), or save the masks as PNGs, for --format=masks."
        report.leave_out("mask at an address", f"its pixels are at {short(value['imageDataURL'])}", remedy)
    if "rle" in value:
        return _brush(one, place, name, report), False
    if "points" in value:
        return Shape(place, name, polygons=(_polygon(value["points"], report),)), False
    if "radiusX" in value:
        x, y, wide, high = fractions("x", "y", "radiusX", "radiusY")
        return Shape(place, name, polygons=(drawn.ellipse((x, y), (wide, high), turn, aspect),)), False
    if kind.startswith("keypoint"):
        x, y = fractions("x", "y")
        return Shape(place, name, points=((name, x, y, 2.0),)), True
    if {"x", "y", "width", "height"} <= set(value):
        x, y, width, height = fractions("x", "y", "width", "height")
        if not turn % 360:
            return Shape(place, name, (x, y, x + width, y + height)), False
        # It turns about its first corner.
        (dx, dy) = drawn.rectangle((0, 0), (2 * width, 2 * height), turn, aspect)[4:6]
        corners = drawn.rectangle((x + dx / 2, y + dy / 2), (width, height), turn, aspect)
        return Shape(place, name, polygons=(corners,), rotated=f"by {turn:g} degrees"), False
    remedy = "It is left out: draw a rectangle, a polygon or an ellipse if it is to be an object."
    report.leave_out("shape without an area", f"its type is {short(kind)}", remedy)


def _brush(one: dict, place: str, name: str, report: Reporter) -> Shape:
    """The pixels of a brush."""
    size = _size(one)
    if size is None:
        what = "its original_width and original_height are missing, or more than those of any image"
        report.leave_out("mask without a size", what, _SKIP)
    try:
        mask = packed_runs.mask(one["value"]["rle"], size)
    except packed_runs.Broken as error:
        report.leave_out("broken run lengths", str(error), _SKIP)
    if not mask.any():
        report.leave_out("mask without a pixel", "its run lengths have none", _SKIP)
    return drawn.of_mask(place, name, mask, size)


def _size(one: dict) -> tuple[int, int] | None:
    """Height and width of the image, as a region says them."""
    height, width = (whole(one.get(key)) for key in ("original_height", "original_width"))
    known = height and width and min(height, width) > 0 and height * width <= drawn.MOST_PIXELS
    return (height, width) if known else None  # type: ignore[return-value]


def _polygon(points: Any, report: Reporter) -> tuple[float, ...]:
    listed = points if isinstance(points, list) else []
    read = [tool_values.numbers(point, 2) for point in listed]
    if None in read:
        report.leave_out("points are not pairs of numbers", f"points are {short(points)}", _SKIP)
    if len(read) < 3:
        report.leave_out("polygon with fewer than three points", f"a polygon has {len(read)} points", _SKIP)
    return tuple(value / 100 for point in read for value in point or ())


def _aspect(one: dict, turn: float, report: Reporter) -> float:
    """Height / width of the image, which only what is rotated needs."""
    size = _size(one)
    if turn and size is None:
        what = "it is rotated, and its original_width and original_height are missing"
        report.leave_out("rotation in an image of unknown size", what, _SKIP)
    return size[0] / size[1] if size else 1.0
