"""A PNG beside each image whose values are its instances: PennFudan, DAVIS, Cityscapes' instanceIds."""

import os
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import classes
from ..build.problems import LeftOut, Problem, Reporter, short
from ..classes import pixel_classes
from . import mask_files, pairs, presets
from .drawn import Drawing, Picture, Pixels, Shape

FACTOR = 1000  # Cityscapes' value of an instance is 1000 times its class, and its number
_VOID = 255
_FIRST_THING = 24  # of the classes that Cityscapes' benchmark evaluates, the first that has instances
_OTHERS = range(_FIRST_THING + 10)  # with Cityscapes' classes without instances, or that its benchmark leaves out
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
    return Values(things, set(range(FACTOR) if path else _OTHERS) - set(things), FACTOR)


def read(images: str, masks: str, meaning: Values, found: list[Problem]) -> Drawing:
    """What the maps of a folder say of the images of another; an image without one is `unnamed`."""
    own: list[Problem] = []
    folders = pairs.of_folders(images, masks, MASK_FILE, own, SUFFIXES)
    chosen, own = pairs.chosen(folders.pairs, own, ())
    found += [one for one in own if one.kind != f"image without {MASK_FILE.one}"]
    drawing = Drawing(classes=tuple(dict.fromkeys(meaning.classes.values())))
    drawing.left_out = sum(one.kind == f"{MASK_FILE.noun} without an image" for one in own)  # objects, at least
    paired, paths = {pair.image for pair in folders.pairs}, {os.path.realpath(mask.path) for mask in folders.others}
    alone = (image for image in folders.images if image not in paired)
    drawing.unnamed = [image for image in alone if os.path.realpath(image.path) not in paths]
    for pair in tqdm(chosen, unit="mask", desc="reading masks", leave=False, delay=1):
        report = Reporter(found, pair.other.name, pair.image.name)
        try:
            shapes, lost = _shapes(pair, meaning, report)
            drawing.left_out += lost
            drawing.pictures.append(Picture(pair.image.name, pair.image, pair.other.name, shapes))
        except LeftOut:
            drawing.left_out += 1
    return drawing


def _shapes(pair: pairs.Pair, meaning: Values, report: Reporter) -> tuple[tuple[Shape, ...], int]:
    """The objects of a map, and how many instances of it are none."""
    shapes, unknown = [], []
    for value in numbers(mask_files.values(pair.other, report), void=not meaning.factor):
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
    return tuple(shapes), sum(value >= meaning.factor for value in unknown)


def numbers(values: np.ndarray, *, void: bool) -> list[int]:
    """The values [H, W] that are there, without 0; and with `void` without 255 where that marks borders.

    It does where the others are 1, 2, 3, ..., as in the objects of Pascal VOC.
    """
    there = np.unique(values).tolist()
    there = [value for value in there if value]
    if void and there[-1:] == [_VOID] and 1 < len(there) < _VOID and there[:-1] == list(range(1, len(there))):
        return there[:-1]
    return there
