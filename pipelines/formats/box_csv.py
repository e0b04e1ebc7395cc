"""CSV files of boxes, a row each: of OpenImages, of Kaggle's competitions, of TensorFlow's and Keras' examples."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ..build.problems import LeftOut, Problem, Refused, Reporter, short
from . import csv_file, tool_values
from .drawn import Drawing, Picture, Shape
from .named_images import NamedImages

# The names of columns, in small letters and without anything between.
_KNOWN = {
    "image": "imageid image filename file path imagename imagepath filepath imgname img fname imgid imagefile name",
    "class": "labelname classname class label category labels classes object categoryname species classid categoryid",
    "xmin": "xmin x1 left xtl bboxxmin bbx1 minx xstart",
    "ymin": "ymin y1 top ytl bboxymin bby1 miny ystart",
    "xmax": "xmax x2 right xbr bboxxmax bbx2 maxx xend",
    "ymax": "ymax y2 bottom ybr bboxymax bby2 maxy yend",
    "x": "x bboxx bbx",
    "y": "y bboxy bby",
    "width": "w boxwidth bboxwidth bboxw bbwidth width",
    "height": "h boxheight bboxheight bboxh bbheight height",
    "bbox": "bbox box boundingbox coordinates",
    "crowd": "isgroupof iscrowd",
}
NAMES = tuple(_KNOWN)
_CORNERS, _SIDES = ("xmin", "ymin", "xmax", "ymax"), ("x", "y", "width", "height")
_WAYS = (_CORNERS, ("bbox",), _SIDES, ("xmin", "ymin", "width", "height"))


def read(
    path: str,
    images: NamedImages,
    columns: Sequence[str],
    units: str,
    class_name: str,
    named: Mapping[str, str],
    found: list[Problem],
) -> Drawing:
    """What the rows of a file say of the images.

    Args:
        path: of the CSV.
        images: of the folder; names of images need no extension.
        columns: NAME=COLUMN of those of NAMES whose column has another name.
        units: "pixels", "fractions", or "" for fractions where no number is above 1.
        class_name: of all rows, where no column says it.
        named: names of the classes by what is in that column; a class without one keeps that, and is reported.
        found: takes the problems.

    Raises:
        Refused: a column that is needed is not known, or says the classes beside `class_name`.
    """
    rows, header = _rows(path)
    place = columns_of(path, header, columns)
    _check_classes(path, rows, header, place, class_name)
    boxes: dict[str, list[tuple[int, Shape]]] = {}
    lost_of: dict[str, int] = {}
    for line, row in rows:
        name = row[place["image"]].strip() if place["image"] < len(row) else ""
        report = Reporter(found, path, name, prefix=f"line {line}: ")
        if name:
            boxes.setdefault(name, [])
        try:
            csv_file.check(row, header, name, report)
            shape = _shape(row, place, line, class_name, named, report)
            if shape:
                boxes[name].append((line, shape))
        except LeftOut:
            lost_of[name] = lost_of.get(name, 0) + 1
    unnamed = {shape.class_name for those in boxes.values() for _, shape in those} - {*named.values()} if named else ()
    for name in sorted(unnamed):
        what, remedy = f"--descriptions has no name of {short(name)}", "It keeps this name: add a line for it."
        found.append(Problem("class without a name", path, what, remedy))
    numbers = [side for those in boxes.values() for _, shape in those for side in shape.box or ()]
    fractions = units == "fractions" or (units == "" and bool(numbers) and max(numbers) <= 1)
    names = list(boxes)
    reports = [Reporter(found, path, name) for name in names]
    drawing = Drawing(left_out=sum(lost_of.values()))
    known = _with_extension(images)
    taken = images.take([known.get(name, name) for name in names], reports)
    for name, image in zip(names, taken, strict=True):
        shapes = tuple(shape for _, shape in boxes[name])
        if image is None:
            drawing.left_out += len(shapes)
        else:
            drawing.pictures.append(Picture(image.name, image, path, shapes, fractions=fractions))
    drawing.unnamed = images.rest()
    return drawing


def _check_classes(path, rows, header, place, class_name) -> None:
    """Refused where neither a column nor `class_name` says the classes, or both do."""
    if "class" not in place and not class_name:
        raise Refused(
            f"{path} has the columns {', '.join(header)}, none of which is known as the class: name it by "
            "--columns=class=COLUMN, or that of all rows by --class_name"
        )
    if class_name and "class" in place and any(row[place["class"] :][:1] not in ([], [""]) for _, row in rows):
        what = f"{path} has the class of a row in its column {header[place['class']]}: leave --class_name out"
        raise Refused(f"{what}, or rename classes by --rename")


def descriptions(path: str) -> dict[str, str]:
    """Names of classes by OpenImages' keys, of a CSV of both; Refused where a line has not two cells."""
    listed = csv_file.rows(path, "--descriptions")
    bad = [line for line, row in listed if len(row) != 2 or not all(cell.strip() for cell in row)]
    if bad:
        raise Refused(
            f"{path}, line {bad[0]}: a line is the key and the name of a class, such as /m/01yrx,Cat; correct it"
        )
    return {key.strip(): name.strip() for _, (key, name) in listed}


def _with_extension(images: NamedImages) -> dict[str, str]:
    """Names of the images by those without the extension, and without folders where no other has that."""
    stems = [(os.path.splitext(file.name)[0], file.name) for file in images.files]
    bases = Counter(os.path.basename(stem) for stem, _ in stems)
    return {os.path.basename(stem): name for stem, name in stems if bases[os.path.basename(stem)] == 1} | dict(stems)


def columns_of(path: str, header: Sequence[str], given: Sequence[str]) -> dict[str, int]:
    """Place of each column that is known, or named by `given`; Refused where some are missing."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    place = {}
    for name, words in _KNOWN.items():
        known = [plain.index(word) for word in words.split() if word in plain]
        place |= {name: known[0]} if known else {}
    for text in given:
        name, _, column = text.partition("=")
        if name not in NAMES or column not in header:
            what = f"--columns: {text!r} is not NAME=COLUMN with one of {', '.join(NAMES)}"
            raise Refused(f"{what}, and a column of {path}: {', '.join(header)}")
        place[name] = list(header).index(column)
    ways = [way for way in _WAYS if set(way) <= set(place)]
    if "image" not in place or not ways:
        missing = "the image" if "image" not in place else "the sides of a box"
        raise Refused(
            f"{path} has the columns {', '.join(header)}, none of which is known as {missing}: name them by "
            f"--columns=image=...,xmin=...,ymin=...,xmax=...,ymax=... (or x, y, width, height, or bbox)"
        )
    return {name: place[name] for name in ("image", "class", "crowd", *ways[0]) if name in place}


def _rows(path: str) -> tuple[list[csv_file.Row], list[str]]:
    """The rows, and the names of the columns."""
    rows = csv_file.rows(path)
    header = [cell.strip() for cell in rows[0][1]]
    if len(header) == 6 and all(tool_values.number(cell) is not None or not cell for cell in header[1:5]):
        return rows, ["path", "x1", "y1", "x2", "y2", "class"]  # keras-retinanet's files have no names
    return rows[1:], header


def _shape(
    row: Sequence[str], place: dict[str, int], line: int, class_name: str, named: Mapping[str, str], report: Reporter
) -> Shape | None:
    """The object of a row; None where it only names an image, which has none."""
    keys = [key for key in (*_CORNERS, *_SIDES, "bbox") if key in place]
    cells = [row[place[key]].strip() for key in keys]
    if not any(cell and cell.lower() not in ("nan", "none", "null") for cell in cells):
        return None
    if keys == ["bbox"]:
        cells = [cell for cell in re.split(r"[\s,;]+", cells[0].strip("[](){} ")) if cell]
    values = tool_values.numbers(cells, 4)
    if values is None:
        report.leave_out("box is not four finite numbers", f"it has {short(', '.join(cells))}", csv_file.SKIP)
    x1, y1, x2, y2 = values
    if "xmax" not in place:
        x2, y2 = x1 + x2, y1 + y2
    name = class_name or row[place["class"]].strip()
    if not name:
        report.leave_out("row without a class", "its class is empty", csv_file.SKIP)
    crowd = bool(tool_values.flag(row[place["crowd"]])) if "crowd" in place else False
    return Shape(f"line {line}", named.get(name, name), (x1, y1, x2, y2), crowd=crowd)
