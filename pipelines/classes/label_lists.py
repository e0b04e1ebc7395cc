"""Lists of labels: what class each image of a folder without classes is of."""

import re
from collections.abc import Sequence

from tfrecog.cli import files
from tfrecog.data.info import Category

from ..build.problems import Problem, Refused
from . import wordnet

OUTSIDE = "label outside the list"
_LEFT_OUT = "The image is left out: correct the list."


def of_names(names: Sequence[str]) -> dict[str, str] | None:
    """WordNet ids of ILSVRC's validation images, which are known by their file names; None for other images."""
    matches = {name: wordnet.VALIDATION_NAME.match(name.rpartition("/")[2]) for name in names}
    if not names or not all(matches.values()):
        return None
    known, numbers = wordnet.validation(), {name: int(match[1]) for name, match in matches.items() if match}
    if not all(0 < number <= len(known) for number in numbers.values()):
        return None
    return {name: known[number - 1] for name, number in numbers.items()}


def read(path: str, names: Sequence[str], order: Sequence[Category], found: list[Problem]) -> dict[str, str]:
    """The class (name or WordNet id) of each image, as a list says.

    A line is a label, in the order of the names, or the name of an image and its label. Labels may be numbers: those of
    ILSVRC's own list of its 50,000 validation images, and otherwise places in `order`: from 0 if there is a 0, or from
    1.

    Args:
        path: the list.
        names: of the images, sorted.
        order: the classes that numbers count.
        found: takes the problems.
    """
    lines = [line.strip() for line in files.read_text(path, "a text file with a label a line").splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "ImageId,"))]
    pairs = [re.split(r"\s*[,\t]\s*|\s+", line, maxsplit=1) for line in lines]
    known = {_stem(name): name for name in names}
    named = [(known.get(_stem(pair[0])), pair[1], pair[0]) for pair in pairs if len(pair) == 2]
    if sum(name is not None for name, _, _ in named) * 2 > len(lines):
        label_of = _named(path, names, named, found)
    elif len(lines) != len(names):
        raise Refused(
            f"{path} has {len(lines):,} labels, and there are {len(names):,} images; give the list of these images, a "
            "label a line in the order of the file names, or lines of a name and a label"
        )
    else:
        label_of = dict(zip(names, lines, strict=True))
    if label_of and all(label.isdecimal() for label in label_of.values()):
        return _numbered(path, label_of, order, found)
    return label_of


def _stem(name: str) -> str:
    return re.sub(r"\.\w+$", "", name.rpartition("/")[2])


def _named(path: str, names: Sequence[str], named: list, found: list[Problem]) -> dict[str, str]:
    label_of: dict[str, str] = {}
    for name, label, _ in named:
        # ILSVRC's boxes may follow: n03995372 85 1 499 272 ...
        label = label.split()[0] if wordnet.ID.match(label) else label
        if name is not None and label_of.setdefault(name, label) != label:
            what = f"{path} says it is {label_of[name]}, and that it is {label}"
            raise Refused(f"{name}: {what}; correct the list")
    for name in names:
        if name not in label_of:
            found.append(Problem("image without label", name, f"{path} has no line for it", _LEFT_OUT, name))
    missing = [given for name, _, given in named if name is None]
    if missing:
        what = f"there are no images of {len(missing):,} lines, such as {missing[0]}"
        found.append(Problem("label without image", path, what, "Add the images, or take the lines out."))
    return label_of


def _numbered(path: str, label_of: dict[str, str], order: Sequence[Category], found: list) -> dict[str, str]:
    numbers = {name: int(label) for name, label in label_of.items()}
    known = of_names(list(numbers))
    if known and len(known) == len(wordnet.validation()):
        # Whatever the numbers count, such as the ids of ILSVRC's meta.mat: each stands for one class, or it is no such
        # list.
        if len({(number, known[name]) for name, number in numbers.items()}) == len(set(known.values())):
            return known
        raise Refused(f"{path} is not the list of ILSVRC's validation images; leave --labels out, as they are known")
    if not order:
        hint = "; or leave --labels out: the classes of these images are known by their names" if known else ""
        raise Refused(f"{path} has numbers: give the classes that they count, one a line, with --classes=FILE{hint}")
    first = 0 if 0 in numbers.values() else 1
    classes: dict[str, str] = {}
    for name, number in numbers.items():
        place = number - first
        if place < len(order):
            classes[name] = order[place].key or order[place].name
        else:
            what = f"its label is {number}; the classes are {first} to {len(order) - 1 + first}"
            found.append(Problem(OUTSIDE, name, what, _LEFT_OUT, name))
    return classes
