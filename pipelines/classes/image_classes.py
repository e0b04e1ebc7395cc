"""The classes of images, by the names of their folders, a list, or the other splits of a dataset."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfrecog.cli import files
from tfrecog.data import info
from tfrecog.data.info import Category

from ..build.problems import Problem, Refused
from . import wordnet

_KEYED = (".yaml", ".yml", ".json", ".xml")


def names_of(path: str | Path) -> list[str]:
    """Class names of a text file, one a line; Refused names lines that are empty or have the same name.

    A file of keys and values is no list: its first lines would be classes, and the numbers of all others would shift.
    """
    if Path(path).suffix.lower() in _KEYED:
        raise Refused(f"{path} is no list of names; write its classes to a text file, one name a line")
    text = files.read_text(path, "a text file with one class name a line")
    lines = [line.strip() for line in text.rstrip().split("\n")]
    first: dict[str, int] = {}
    for number, name in enumerate(lines, 1):
        if not name:
            raise Refused(f"{path}: line {number} is empty; give one class name a line")
        if name in first:
            raise Refused(
                f"{path}: two classes have one name, {name!r}, in lines {first[name]} and {number}; give each its own"
            )
        first[name] = number
    return lines


def write_names(path: str | Path, names: Sequence[str]) -> None:
    """Writes what `names_of` reads; Refused for a name that a line cannot have, and where a file has other names."""
    for name in names:
        if name != name.strip() or set(name) & set("\r\n"):
            what = f"the class {name!r} has spaces at its ends or a line break, and a list has one name a line"
            raise Refused(f"{path}: {what}; give it another name with --rename")
    if os.path.exists(path) and names_of(path) != list(names):
        raise Refused(f"{path} has other classes than {', '.join(names)}; give it with --classes, or remove it")
    with files.write(path) as file:
        file.write("".join(f"{name}\n" for name in names))


def named(names: Iterable[str]) -> list[Category]:
    """Categories of folders in the order given; a WordNet id becomes the key, and ILSVRC's name the name."""
    made = []
    for place, name in enumerate(names):
        key = name if wordnet.ID.fullmatch(name) else ""
        made.append(Category(wordnet.names().get(name, name) if key else name, place, key=key))
    return _told_apart(made)


def of_file(path: str, found: list[Problem]) -> list[Category]:
    """Categories of a file: a name a line, or a WordNet id and a name, which are sorted by id.

    An id alone has ILSVRC's name. Of synonyms with commas between them the first is the name. Two ids with one name are
    told apart by their ids, and reported; without ids that is an error.
    """
    lines = names_of(path)
    if not all(wordnet.ID.fullmatch(line.split(maxsplit=1)[0]) for line in lines):
        return [Category(name, place) for place, name in enumerate(lines)]
    made = []
    for line in sorted(lines):
        key, *synonyms = line.split(maxsplit=1)
        name = "".join(synonyms).partition(",")[0].strip() or wordnet.names().get(key, key)
        made.append(Category(name, len(made), key=key))
    for key, count in Counter(category.key for category in made).items():
        if count > 1:
            raise Refused(f"{path}: the WordNet id {key} is in {count} lines; it is one class")
    for name, keys in _twice(made).items():
        what = f"{' and '.join(keys)} are both called {name!r}"
        found.append(Problem("two classes with one name", path, what, "Their ids are added to tell them apart."))
    return _told_apart(made)


def other_splits(out: str, split: str) -> info.DatasetInfo | None:
    """What the other splits of a dataset share; None if it has none."""
    if not os.path.exists(os.path.join(out, info.FILE)):
        return None
    facts = info.load(out)
    return facts if set(facts.splits) - {split} else None


def of_other_splits(out: str, split: str) -> list[Category]:
    """Categories of the other splits of a dataset; [] if it has none."""
    others = other_splits(out, split)
    return list(others.categories) if others else []


def labels(categories: Iterable[Category]) -> dict[str, int]:
    """Label 1..K by name, and by WordNet id where there is one."""
    numbered = list(enumerate(categories, 1))
    return {one.name: label for label, one in numbered} | {one.key: label for label, one in numbered if one.key}


def _twice(categories: list[Category]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for category in categories:
        keys.setdefault(category.name, []).append(category.key or category.name)
    return {name: those for name, those in keys.items() if len(those) > 1}


def _told_apart(categories: list[Category]) -> list[Category]:
    twice = _twice(categories)
    return [
        dataclasses.replace(one, name=f"{one.name} ({one.key})") if one.key and one.name in twice else one
        for one in categories
    ]
