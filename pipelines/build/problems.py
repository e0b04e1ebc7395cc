"""What is wrong with a dataset: each problem says where it is, what it is, and what to do."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from tfrecog.cli import files
from tfrecog.cli.errors import Status, UserError


class Refused(UserError):
    """The command cannot go on; the message says what is wrong, where, and what to do."""


class NoClass(Refused):
    """Objects have no class, neither in the annotations nor by `--class_name`."""


class MostlyLost(Refused):
    """More of the objects would be left out than may be."""

    status = Status.MOSTLY_LOST


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an image or an annotation."""

    kind: str  # a few words, the same for all problems of the kind
    file: str
    what: str
    remedy: str
    image_id: str = ""
    annotation_id: int | None = None

    def __str__(self) -> str:
        where = [self.file, f"image {self.image_id}" if self.image_id else ""]
        where.append(f"annotation {self.annotation_id}" if self.annotation_id is not None else "")
        return _written(f"{', '.join(part for part in where if part)}: {self.what}. {self.remedy}")


class LeftOut(Exception):
    """An image or an object that cannot be used; the reason is among the problems."""


@dataclass(frozen=True)
class Reporter:
    """Adds the problems with one file to a list."""

    found: list[Problem]
    file: str
    image_id: str = ""
    annotation_id: int | None = None
    prefix: str = ""  # of what is reported, such as "object 2: "

    def __call__(self, kind: str, what: str, remedy: str) -> None:
        self.found.append(Problem(kind, self.file, self.prefix + what, remedy, self.image_id, self.annotation_id))

    def leave_out(self, kind: str, what: str, remedy: str) -> NoReturn:
        """Reports why an image or an object cannot be used, and raises LeftOut."""
        self(kind, what, remedy)
        raise LeftOut


@dataclass(frozen=True)
class Collect:
    """Makes a record of an item, None if the item is left out, and the problems [Problem] with it; picklable."""

    make: Callable[[Any, list[Problem]], Any]  # adds to the problems, and may raise LeftOut

    def __call__(self, item: Any) -> tuple[Any, list[Problem]]:
        found: list[Problem] = []
        try:
            return self.make(item, found), found
        except LeftOut:
            return None, found


def short(value: object) -> str:
    """A value of a file in quotes, of a length for messages."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def table(problems: list[Problem], first: int = 3) -> str:
    """Counts of each kind, and the first few of it."""
    kinds = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    lines = []
    for kind, those in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"{len(those):7,}  {kind}")
        lines.extend(f"           {problem}" for problem in those[:first])
        if len(those) > first:
            lines.append(f"           ... and {len(those) - first:,} more")
    return "\n".join(lines)


def no_image(out: str, problems: list[Problem]) -> str:
    """The message of a build of the dataset `out` that would write no record."""
    if not problems:
        return f"{out}: nothing to write; the folder, file or list that the images come from names none"
    return f"{out}: no image can be used:\n{table(problems)}"


def refuse_losses(
    out: str, problems: list[Problem], kept: int, total: int, most: float, objects: str = "objects"
) -> None:
    """MostlyLost if a larger share than `most` of all `objects` of a build, or images, is not kept."""
    lost = total - kept
    if lost > most * total:
        what = f"{lost:,} of {total:,} {objects} cannot be used, and --max_left_out={most:g} is the largest share"
        remedy = "Nothing is written: correct the files, or allow a larger share."
        raise MostlyLost(f"{out}: {what}:\n{table(problems)}\n{remedy}")


def save(path: str, problems: list[Problem]) -> None:
    """Writes one JSON object a line, all or nothing."""
    with files.write(path) as file:
        file.writelines(_written(json.dumps(asdict(problem), ensure_ascii=False)) + "\n" for problem in problems)


def _written(text: str) -> str:
    """A text with what no file or terminal can hold, such as half of a character, as an escape."""
    return text.encode(errors="backslashreplace").decode()
