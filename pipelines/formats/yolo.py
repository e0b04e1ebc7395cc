"""YOLO's label files, a text file beside each image: of ultralytics, Roboflow, darknet, and the tools that write them.

A line is a class number and fractions of the image: `class x y width height` (of the centre) for a box,
`class x y x y x y ...` for a polygon, and `class x y width height` with `x y` or `x y visibility` of each keypoint
for a pose, of which data.yaml has the numbers (kpt_shape).
"""

import math
from collections import Counter
from collections.abc import Sequence

from ..build.problems import LeftOut, Problem, Reporter, short
from . import yolo_folder
from .drawn import Drawing, Picture, Shape
from .small_file import text_of
from .yolo_folder import Facts

_SKIP = "It is left out: correct the line, or remove it."
_FARTHEST = 10.0  # fractions: beyond, numbers are something else, such as pixels


def read(folder: yolo_folder.Folder, found: list[Problem]) -> Drawing:
    """What the label files of a split say; images without one are `unnamed`."""
    facts = folder.facts
    drawing = Drawing(classes=facts.names, keypoints=facts.keypoints, flip_pairs=facts.flip_pairs)
    corners: Counter = Counter()
    for image, label in folder.pairs:
        if label is None:
            drawing.unnamed.append(image)
            continue
        try:
            text = text_of(label, Reporter(found, label.name, image.name))
        except LeftOut:
            continue
        shapes = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    shape = _shape(
                        line.split(), number, facts, Reporter(found, label.name, image.name, prefix=f"line {number}: ")
                    )
                    shapes.append(shape)
                except LeftOut:
                    drawing.left_out += 1
        corners.update(len(shape.polygons[0]) // 2 for shape in shapes if shape.polygons)
        drawing.pictures.append(Picture(image.name, image, label.name, tuple(shapes), fractions=True))
    if set(corners) == {4}:
        what = f"all {corners[4]:,} polygons have 4 corners, as those of rotated boxes (OBB)"
        remedy = (
            "Masks are these polygons, and boxes the upright ones around them: nothing needs to be done if that fits."
        )
        found.append(Problem("rotated boxes", folder.path, what, remedy))
    return drawing


def _shape(words: Sequence[str], number: int, facts: Facts, report: Reporter) -> Shape:
    """The object of a line; LeftOut where it is none."""
    values = [_number(word) for word in words]
    bad = [word for word, value in zip(words, values, strict=True) if not math.isfinite(value)]
    if bad:
        report.leave_out("line is not of numbers", f"{short(bad[0])} is not a finite number", _SKIP)
    label, coordinates = values[0], values[1:]
    if label != int(label) or not 0 <= label < len(facts.names):
        what = f"there is no class {words[0]}, only 0 to {len(facts.names) - 1}, {facts.names[-1]}"
        remedy = f"It is left out: correct the line, or add the class to {facts.source}."
        report.leave_out("unknown class number", what, remedy)
    farthest = max(map(abs, coordinates), default=0)
    if farthest > _FARTHEST:
        what = f"it has the coordinate {farthest:g}, and coordinates are fractions of the image, from 0 to 1"
        report.leave_out(
            "coordinates are not fractions", what, "It is left out: divide them by the image's width and height."
        )
    place, name, count = f"line {number}", facts.names[int(label)], len(coordinates)
    if facts.values_of_pose and count in (facts.values_of_pose, facts.values_of_pose + 1):
        points = _points(coordinates[4 : facts.values_of_pose], facts)
        return Shape(place, name, _box(coordinates), points=points)
    if count in (4, 5):
        if count == 5:
            what = "it has six numbers, as predictions have, the last of which is a score"
            report("line with a score", what, "The score is not read: a label has five numbers.")
        return Shape(place, name, _box(coordinates))
    if facts.values_of_pose:
        what = f"it has {len(words)} numbers; with {len(facts.keypoints)} keypoints it has {1 + facts.values_of_pose}"
        report.leave_out("broken keypoints", what, _SKIP)
    if count < 6 or count % 2:
        what = (
            f"it has {len(words)} numbers; a box has 5, and a polygon a class and the x and y of three points or more"
        )
        kind = "polygon with fewer than three points" if count < 4 else "line of an odd length"
        report.leave_out(kind, what, _SKIP)
    return Shape(place, name, polygons=(tuple(coordinates),))


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = values[:4]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _points(values: Sequence[float], facts: Facts) -> tuple[tuple[str, float, float, float], ...]:
    """Name, x, y, visibility of each keypoint; without a visibility, those at 0, 0 or before are not labelled."""
    points = []
    for place, name in enumerate(facts.keypoints):
        x, y, *seen = values[place * facts.dimensions : (place + 1) * facts.dimensions]
        visibility = seen[0] if seen else 2.0 if min(x, y) >= 0 and max(x, y) > 0 else 0.0
        points.append((name, x, y, visibility) if visibility else (name, 0.0, 0.0, 0.0))
    return tuple(points)


def _number(word: str) -> float:
    try:
        return float(word) if "_" not in word else math.nan
    except ValueError:
        return math.nan
