"""VIA's files (VGG Image Annotator 1 to 3): the JSON of a project, or its annotations alone as JSON or CSV."""

import math
from collections.abc import Sequence
from typing import Any

from tfrecog.cli import json_values

from ..build.problems import LeftOut, NoClass, Problem, Refused, Reporter, short
from . import csv_file, drawn, json_file, tool_values, via3
from .drawn import Drawing, Picture, Shape
from .named_images import NamedImages, reporters

_SKIP = "It is left out: correct the region, or remove it."
COLUMNS = ("region_shape_attributes", "region_attributes")  # of the CSV, beside filename or #filename
_CLASS = ("class", "label", "name", "category", "type", "object", "class_name")  # attributes that are called so


def read(path: str, images: NamedImages, attribute: str, class_name: str, found: list[Problem]) -> Drawing:
    """What a file says of the images.

    Args:
        path: of the JSON or CSV.
        images: of the folder.
        attribute: of the regions, which has the class; "": the only one, or the one that is called so.
        class_name: of all regions, where no attribute says it.
        found: takes the problems.

    Raises:
        Refused: it is not VIA's, which attribute is the class is not known, or it is there beside `class_name`.
    """
    is_csv, drawing = path.lower().endswith(".csv"), Drawing()
    tree = None if is_csv else json_file.of_path(path)
    entries = _of_csv(path, drawing, found) if is_csv else entries_of(tree)
    if entries is None:
        raise Refused(f"{path} is not VIA's JSON, which has an entry with filename and regions for each image")
    regions_of = [_regions(entry) for entry in entries]
    attributes = [_attributes(one) for regions in regions_of for one in regions]
    chosen = attribute or _class_attribute(path, attributes, class_name)
    if class_name and any(_text(one.get(chosen)) for one in attributes):
        what = f"the regions of {path} have a class in their attribute {chosen}: leave --class_name out"
        raise Refused(f"{what}, or rename classes by --rename")
    names = [str(entry["filename"]) for entry in entries]
    reports = reporters(found, path, names, [f"image {number}" for number in range(1, len(names) + 1)])
    for regions, report, image in zip(regions_of, reports, images.take(names, reports), strict=True):
        shapes = []
        for number, region in enumerate(regions, 1):
            its_report = Reporter(found, path, report.image_id, prefix=f"region {number}: ")
            try:
                if image is None:
                    raise LeftOut
                name = class_name or _name(_attributes(region), chosen, its_report)
                shapes.append(_shape(region, name, f"region {number}", its_report))
            except LeftOut:
                drawing.left_out += 1
        if image:
            drawing.pictures.append(Picture(image.name, image, path, tuple(shapes)))
    drawing.unnamed = images.rest()
    return drawing


def entries_of(tree: Any) -> list[dict] | None:
    """The entries of the images of VIA's JSON; None where it is something else."""
    if via3.is_project(tree):
        return via3.entries_of(tree)
    if isinstance(tree, dict) and "_via_img_metadata" in tree:
        tree = tree["_via_img_metadata"]
    entries = list(tree.values()) if isinstance(tree, dict) else None
    known = entries is not None and all(
        isinstance(one, dict)
        and tool_values.is_text(one.get("filename"))
        and isinstance(one.get("regions"), list | dict)
        for one in entries
    )
    return entries if known and entries else None


def _of_csv(path: str, drawing: Drawing, found: list[Problem]) -> list[dict]:
    """The entries of the images of VIA's CSV, which has a row for each region, and one for an image without any.

    A row of another length, or without the name of an image, is left out, and counted in the drawing.
    """
    (_, header), *rows = csv_file.rows(path)
    place = {name.strip().lstrip("#"): number for number, name in enumerate(header)}
    needed = ("filename", *COLUMNS)
    if not {*needed} <= place.keys():
        what = f"the columns {', '.join(header)}, and not {', '.join(needed)}"
        raise Refused(f"{path} is not VIA's CSV: it has {what}; export it again, or use --format=csv")
    entries: dict[str, dict] = {}
    for line, row in rows:
        name = row[place["filename"]].strip() if place["filename"] < len(row) else ""
        report = Reporter(found, path, name, prefix=f"line {line}: ")
        if name:
            entries.setdefault(name, {"filename": name, "regions": []})
        try:
            csv_file.check(row, header, name, report)
        except LeftOut:
            drawing.left_out += 1
            continue
        cells = {column: row[number].strip() for column, number in place.items()}
        shape, attributes = (_parsed(cells[name]) for name in COLUMNS)
        if shape or attributes:
            entries[name]["regions"].append({"shape_attributes": shape, "region_attributes": attributes})
    return list(entries.values())


def _parsed(text: str) -> Any:
    """The JSON of a cell, or its text where that is broken."""
    try:
        return json_values.parse(text.encode(errors="surrogatepass"), Any) if text else {}
    except json_values.NotValid:
        return text


def _regions(entry: dict) -> list[Any]:
    regions = entry["regions"]
    return list(regions.values()) if isinstance(regions, dict) else regions


def _attributes(region: Any) -> dict[str, Any]:
    attributes = region.get("region_attributes") if isinstance(region, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _class_attribute(path: str, attributes: Sequence[dict], class_name: str) -> str:
    """The attribute that has the class; "" where there is no region, or none is known and all are of `class_name`."""
    names = sorted({name for those in attributes for name in those})
    called = [name for name in names if name.strip().lower() in _CLASS]
    if len(names) == 1 or len(called) == 1:
        return (called or names)[0]
    if class_name or not attributes:
        return next(iter(called), "")
    if not names:
        raise NoClass(f"the regions of {path} have no attributes; name the class of all by --class_name")
    said = [{_text(one.get(name)) for name in names} for one in attributes]
    if all(len(one) == 1 and "" not in one for one in said):
        return names[0]  # All of them say the same.
    raise Refused(
        f"the regions of {path} have the attributes {', '.join(names)}: say which is the class by --class_attribute"
    )


def _name(attributes: dict[str, Any], attribute: str, report: Reporter) -> str:
    """The class of a region."""
    name = _text(attributes.get(attribute))
    if not name:
        what = f"its attribute {attribute} is {short(attributes.get(attribute))}"
        report.leave_out("region without a class", what, _SKIP)
    return name


def _text(value: Any) -> str:
    """What an attribute says: its text, or the one option that is checked; "" where it says nothing."""
    if isinstance(value, dict):
        checked = [option for option, on in value.items() if tool_values.flag(on)]
        value = checked[0] if len(checked) == 1 else None
    return str(value).strip() if tool_values.is_text(value) else ""


def _shape(region: dict, name: str, place: str, report: Reporter) -> Shape:
    geometry = region.get("shape_attributes", {}) if isinstance(region, dict) else region
    if not isinstance(geometry, dict):
        report.leave_out("region is not of numbers", f"its shape is {short(geometry)}", _SKIP)
    kind = geometry.get("name")

    def values(*keys: str) -> list[float]:
        read = tool_values.numbers([geometry.get(key) for key in keys])
        if read is None:
            report.leave_out("region is not of numbers", f"its shape is {short(geometry)}", _SKIP)
        return read

    if kind == "rect":
        x, y, width, height = values("x", "y", "width", "height")
        return Shape(place, name, (x, y, x + width, y + height))
    if kind == "circle":
        x, y, radius = values("cx", "cy", "r")
        return Shape(
            place, name, (x - radius, y - radius, x + radius, y + radius), (drawn.ellipse((x, y), (radius, radius)),)
        )
    if kind == "ellipse":
        x, y, wide, high = values("cx", "cy", "rx", "ry")
        turn = tool_values.number(geometry.get("theta")) or 0.0  # radians
        return Shape(place, name, polygons=(drawn.ellipse((x, y), (wide, high), math.degrees(turn)),))
    if kind == "polygon":
        xs, ys = (tool_values.numbers(geometry.get(key)) for key in ("all_points_x", "all_points_y"))
        if xs is None or ys is None or len(xs) != len(ys):
            report.leave_out("region is not of numbers", f"its shape is {short(geometry)}", _SKIP)
        if len(xs) < 3:
            report.leave_out("polygon with fewer than three points", f"a polygon has {len(xs)} points", _SKIP)
        return Shape(place, name, polygons=(tuple(value for point in zip(xs, ys, strict=True) for value in point),))
    remedy = "It is left out: draw a rectangle or a polygon if it is to be an object."
    report.leave_out("shape without an area", f"it is a {short(kind)}", remedy)
