"""What the values of label maps mean: which class has which value, or which colour, and which pixels are ignored."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecog.data import records
from tfrecog.data.info import Category

from ..build.problems import Problem, Refused
from . import image_classes, renaming

_RGB = r"(?P<r>\d{1,3})[\s,]+(?P<g>\d{1,3})[\s,]+(?P<b>\d{1,3})"
_NAME = r"(?P<name>\S(?:.*\S)?)"
# The forms of a line, the most particular first; all lines of a file have one form.
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"{_RGB}[\s,]+(?P<name>[^\d\s].*)",  # CamVid's own label_colors.txt
        rf"(?P<id>\d+)[\s,:]+(?P<name>\S(?:.*[^\s,])?)[\s,]+{_RGB}",
        rf"(?P<name>\S(?:.*[^\s,])?)[\s,]+{_RGB}",
        rf"(?P<id>\d+)[\s,:]+{_NAME}",
    )
)
# The words of a first line that names columns, as in Kaggle's class_dict.csv and Roboflow's _classes.csv.
_WORD = "pixel|values?|class(?:es)?|names?|labels?|id|index|category|colou?r|r|g|b|red|green|blue"
_HEADER = re.compile(rf"(?:(?:{_WORD})(?:[\s,;:_]+|$))+", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """The classes of label maps in the order of their labels 1..K, and what is ignored."""

    categories: tuple[Category, ...]  # `id` is the value of a pixel
    ignored: frozenset[int] = frozenset()  # values
    ignored_colours: frozenset[tuple[int, int, int]] = frozenset()  # of RGB label maps
    merged: tuple[tuple[Category, int], ...] = ()  # other values and colours with a label; 0: ignored

    @cached_property
    def label_of(self) -> dict[int, int]:
        """Label of each value; 0 of those that are ignored."""
        return dict.fromkeys(self.ignored, 0) | {one.id: label for one, label in self._labelled()}

    @cached_property
    def label_of_colour(self) -> dict[int, int]:
        """Label of each colour as the number R + 256 G + 65536 B; {} where not all classes have one."""
        colours = [(one.colour, label) for one, label in self._labelled() if one.colour]
        if len(colours) < len(self._labelled()):
            return {}
        return {number_of(colour): 0 for colour in self.ignored_colours} | {number_of(c): n for c, n in colours}

    def _labelled(self) -> list[tuple[Category, int]]:
        return [(one, label) for label, one in enumerate(self.categories, 1)] + list(self.merged)


def number_of(colour: Sequence[int]) -> int:
    """R + 256 G + 65536 B, COCO's way to write a number into a colour."""
    return int(colour[0]) + 256 * int(colour[1]) + 65536 * int(colour[2])


def to_labels(values: np.ndarray, label_of: dict[int, int]) -> tuple[np.ndarray, dict[int, int]]:
    """Labels [H, W] uint8 of values [H, W] >= 0, and how many pixels have each value that has no label (they get 0)."""
    if values.dtype == np.uint8:
        found, places, counts = np.arange(256), values, np.bincount(values.ravel(), minlength=256)
    else:
        found, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    labels = np.array([label_of.get(value, 0) for value in found.tolist()], np.uint8)
    outside = {v: n for v, n in zip(found.tolist(), counts.tolist(), strict=True) if n and v not in label_of}
    return labels[places.reshape(values.shape)], outside


def of_file(path: str | Path, ignore: Iterable[str]) -> Table:
    """Table of a class file, in which lines have one of these forms; without ids they count from 0.

    `name`, `id name`, `name r g b`, `id name r g b`, `r g b name`; lines that begin with # are comments, and a first
    line of columns is none of a class.
    """
    lines = [line for line in image_classes.names_of(path) if not line.startswith("#")]
    if len(lines) > 1 and _HEADER.fullmatch(lines[0]):
        matched = any(all(form.fullmatch(line) for line in lines[1:]) for form in _FORMS)
        lines = lines[1:] if matched else lines
    for form in _FORMS:
        matches = [form.fullmatch(line) for line in lines]
        found = [match.groupdict() for match in matches if match]
        if found and len(found) == len(lines):
            break
    else:
        found = [{"name": line} for line in lines]
    categories = []
    for place, line in enumerate(found):
        colour = tuple(int(line[channel]) for channel in "rgb") if "r" in line else None
        if colour and max(colour) > 255:
            raise Refused(f"{path}: {line['name']!r} has the colour {colour}; red, green and blue are 0 to 255")
        categories.append(Category(line["name"], int(line.get("id", place)), colour=colour))
    return of_categories(categories, ignore, path)


def of_categories(categories: Sequence[Category], ignore: Iterable[str], path: str | Path) -> Table:
    """Table of categories; a class whose value or name is in `ignore` is ignored, and not a class."""
    for what in ("name", "id", "colour"):
        seen: dict = {}
        for one in categories:
            value = getattr(one, what)
            if value is not None and seen.setdefault(value, one) is not one:
                raise Refused(
                    f"{path}: {seen[value].name!r} and {one.name!r} have one {what}, {value!r}; give each its own"
                )
    values, colours, by_name = set(), set(), {one.name: one for one in categories}
    for word in ignore:
        named = by_name.get(word)
        if named is None and not word.isdecimal():
            those = ", ".join(list(by_name)[:5])
            raise Refused(f"--ignore={word}: give values of pixels, or names of classes of {path}, such as {those}")
        values.add(named.id if named else int(word))
    colours = {one.colour for one in categories if one.id in values and one.colour}
    counted = tuple(one for one in categories if one.id not in values)
    if not counted:
        raise Refused(f"{path}: no class is left; --ignore names them all")
    if len(counted) > records.MAX_MAP_CLASSES:
        raise Refused(f"{path} has {len(counted)} classes; a label map has room for {records.MAX_MAP_CLASSES}")
    return Table(counted, frozenset(values), frozenset(colours))


def renamed(table: Table, renames: Mapping[str, str], place: str, found: list[Problem]) -> Table:
    """The table with other names of classes; see `renaming`. Pixels of classes that are left out are ignored."""
    left = renaming.names([one.name for one in table.categories], renames, place, found)
    label_of = {name: label for label, name in enumerate(left, 1)}
    categories, merged = {}, []
    for one in table.categories:
        name = renames.get(one.name, one.name)
        if name and categories.setdefault(name, replace(one, name=name)).id == one.id:
            continue
        merged.append((one, label_of.get(name, 0)))
    return replace(table, categories=tuple(categories[name] for name in left), merged=tuple(merged))
