"""Groups of images that shares keep together: by a pattern in their names, or by a column of a CSV file."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from tfrecog.cli import files

from . import csv_rows
from .problems import Problem, Refused


def of_pattern(names: Sequence[str], pattern: str, found: list[Problem]) -> list[str]:
    """The group of each image: what `pattern` matches in its name. Without a match, or a pattern, it is the name."""
    if not pattern:
        return list(names)
    try:
        matches = [re.search(pattern, name) for name in names]
    except re.error as error:
        raise Refused(f"--group={pattern} is not a regular expression: {error}; correct it") from error
    return _known(names, [match and match.group() for match in matches], f"--group={pattern}", found)


def of_column(names: Sequence[str], given: str, found: list[Problem]) -> list[str]:
    """The group of each image, by the row of FILE:NAMES:COLUMN that names it.

    The name there may have no extension, fewer folders, or more of them, where that leaves no doubt.
    """
    flag, parts = f"--group_column={given}", given.rsplit(":", 2)
    if len(parts) < 3:
        raise Refused(f"{flag} is not FILE:NAMES:COLUMN, such as patients.csv:image:patient")
    group_of = _of_rows(*parts, flag)
    ends: dict[str, set[str]] = defaultdict(set)  # what the rows that end so say
    for row, group in group_of.items():
        folders = row.replace("\\", "/").split("/")
        for first in range(1, len(folders)):
            ends["/".join(folders[first:])].add(group)
    bases = Counter(map(os.path.basename, names))

    def of(name: str) -> str | None:
        alone = [os.path.basename(name)] if bases[os.path.basename(name)] == 1 else []
        tries = (one for known in (name, *alone) for one in (known, os.path.splitext(known)[0]))
        exact = next((group_of[one] for one in tries if one in group_of), None)
        below = ends.get(name) or ends.get(os.path.splitext(name)[0]) or ()
        return next(iter(below)) if exact is None and len(below) == 1 else exact

    return _known(names, [of(name) for name in names], flag, found)


def _of_rows(path: str, names: str, column: str, flag: str) -> dict[str, str]:
    """The group by the name in each row that has both."""
    text = files.read_text(path, "a CSV file", f"{flag}: ")
    (_, header), *rows = csv_rows.of_text(text, f"{flag}: {path}") or [(0, [])]
    columns = [cell.strip() for cell in header]
    for one in (names, column):
        if one not in columns:
            raise Refused(f"{flag}: {path} has the columns {', '.join(columns)}, and none is {one!r}")
    groups: dict[str, str] = {}
    places = columns.index(names), columns.index(column)
    for line, row in rows:
        name, group = (row[place].strip() if place < len(row) else "" for place in places)
        if name and group and groups.setdefault(name, group) != group:
            what = f"{flag}: line {line} says that {name} is of {group}, and one before of {groups[name]}"
            raise Refused(f"{what}; correct it")
    return groups


def _known(names: Sequence[str], groups: Sequence[str | None], flag: str, found: list[Problem]) -> list[str]:
    """The groups; an image without one is a group of its own, which goes to `found`."""
    alone = [name for name, group in zip(names, groups, strict=True) if group is None]
    if len(alone) == len(names):
        raise Refused(f"{flag} matches no name of an image, such as {names[0]}: correct it")
    if alone:
        what = f"{flag} does not match it, nor {len(alone) - 1:,} others of {len(names):,} names"
        remedy = "Each is a group of its own: correct it if it belongs to others."
        found.append(Problem("image without group", alone[0], what, remedy))
    return [f"alone: {name}" if group is None else f"of: {group}" for name, group in zip(names, groups, strict=True)]
