"""A PNG beside each image whose values are its instances: PennFudan, DAVIS, Cityscapes' instanceIds."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecog.cli.progress import Bar

from .. import classes
from ..build.problems import LeftOut, Problem, Reporter, short
from ..classes import pixel_classes
from . import mask_files, pairs, presets
from .drawn import Drawing, Picture, Pixels, Shape

FACTOR = 1000  # Cityscapes' value of an instance is 1000 times its class, and its number
VOID = 255
_FIRST_THING = 24  # of the classes that Cityscapes' benchmark evaluates, the first that has instances
_OTHERS = range(_FIRST_THING + 10)  # with Cityscapes' classes without instances, or that its benchmark leaves out
_IGNORED = (29, 30)  # caravan and trailer: they have instances, and Cityscapes' benchmark leaves them out
_MOST = 10_000  # objects of a map
MASK_FILE = pairs.Kind("a mask", "--annotations", mask_files.EXTENSIONS, "add it")
# Of the image and of the map, as in `presets`, without the files of Cityscapes that have classes alone.
SUFFIXES = (
    ("_leftImg8bit", "_gtFine_instanceIds"),
    ("_leftImg8bit", "_gtCoarse_instanceIds"),
    *(both for both in presets.SUFFIXES if not both[1].endswith("_labelIds")),
)


@dataclass(frozen=True)
class Values:
    """What the values of pixels mean."""

    classes: dict[int, str]  # names by number; of maps of one class it is 0
    others: Container[int] = ()  # numbers of classes that have no instances
    factor: int = 0  # 0: a value is the number of an instance
    ignored: Container[int] = ()  # numbers of classes whose instances are no objects

    def shape(self, value: int) -> tuple[str, bool] | None:
        """Class of an instance and whether it is a crowd; None of what is no object, KeyError of what is no class."""
        if not self.factor:
            return self.classes[0], False
        crowd = value < self.factor
        number = value if crowd else value // self.factor
        return None if crowd and number in self.others else (self.classes[number], crowd)


def of_one_class(name: str) -> Values:
    """Of maps whose values are the numbers of instances."""
    return Values({0: name})


def of_cityscapes(path: str) -> Values:
    """Of maps whose values are class * 1000 + instance; by the table of a file, or else the things of Cityscapes.

    Values below 1000 of classes that are not in the file are no objects.
    """
    table = pixel_classes.of_file(path or Path(classes.__file__).parent / "cityscapes.txt", ())
    things = {one.id: one.name for one in table.categories if path or one.id >= _FIRST_THING}
    return Values(things, set(range(FACTOR) if path else _OTHERS) - set(things), FACTOR, () if path else _IGNORED)


def read(images: str, masks: str, meaning: Values, found: list[Problem]) -> Drawing:
    """What the maps of a folder say of the images of another; an image without one is `unnamed`."""
    own: list[Problem] = []
    folders = pairs.of_folders(images, masks, MASK_FILE, own, SUFFIXES)
    chosen, own = pairs.chosen(folders.pairs, own, ())
    found += [one for one in own if one.kind != f"image without {MASK_FILE.one}"]
    drawing = Drawing(classes=tuple(dict.fromkeys(meaning.classes.values())))
    drawing.left_out = sum(one.kind == f"{MASK_FILE.noun} without an image" for one in own)  # objects, at least
    end = folders.suffixes[1]
    used = {file.span for pair in folders.pairs for file in (pair.image, pair.other)}
    used |= {file.span for file in (pairs.keyed(folders.others, end) if end else ())}
    drawing.unnamed = [image for image in folders.images if image.span not in used]
    there: dict[pairs.Pair, list[int]] = {}
    for pair in Bar(chosen, unit="mask", desc="reading masks", leave=False, delay=1):
        try:
            there[pair] = _values(pair, Reporter(found, pair.other.name, pair.image.name))
        except LeftOut:
            drawing.left_out += 1
    void = not meaning.factor and marks_borders(there.values())
    for pair, values in there.items():
        report = Reporter(found, pair.other.name, pair.image.name)
        shapes, lost = _shapes(pair, [value for value in values if not (void and value == VOID)], meaning, report)
        drawing.left_out += lost
        drawing.pictures.append(Picture(pair.image.name, pair.image, pair.other.name, shapes))
    return drawing


def _values(pair: pairs.Pair, report: Reporter) -> list[int]:
    """The values of a map; LeftOut if it is none."""
    there = numbers(mask_files.values(pair.other, report))
    if len(there) > _MOST:
        what = f"it has {len(there):,} values, and no map has more than {_MOST:,} objects"
        report.leave_out("mask of too many values", what, "It is left out: give a map whose values are instances.")
    return there


def _shapes(
    pair: pairs.Pair, values: Sequence[int], meaning: Values, report: Reporter
) -> tuple[tuple[Shape, ...], int]:
    """The objects of a map that has some values, and how many instances of it are none."""
    shapes, unknown, ignored = [], [], []
    for value in values:
        if value // FACTOR in meaning.ignored:
            ignored.append(value)
            continue
        try:
            kind = meaning.shape(value)
        except KeyError:
            unknown.append(value)
            continue
        if kind:
            shapes.append(Shape(f"value {value}", kind[0], crowd=kind[1], pixels=Pixels(pair.other, value)))
    if unknown:
        what = f"the values {short(unknown)} are of no class"
        remedy = "They are no objects: name all classes, a line of id and name each, by --classes."
        report("value of no class", what, remedy)
    if ignored:
        what = f"the values {short(ignored)} are caravans and trailers, which Cityscapes' benchmark leaves out"
        report("instances that the benchmark leaves out", what, "They are no objects: to have them, give --classes.")
    return tuple(shapes), sum(value >= meaning.factor for value in unknown)


def numbers(values: np.ndarray) -> list[int]:
    """The values [H, W] that are there, without 0."""
    return [value for value in np.unique(values).tolist() if value]


def marks_borders(maps: Iterable[Sequence[int]]) -> bool:
    """Whether 255 marks borders in the maps of a folder, given the values of each, as in the objects of Pascal VOC.

    It does if in at least half of those that have it the others are 1, 2, 3, ...
    """
    having = [values for values in maps if VOID in values]
    alike = sum(1 < len(values) < VOID and list(values) == [*range(1, len(values)), VOID] for values in having)
    return bool(having) and 2 * alike >= len(having)
