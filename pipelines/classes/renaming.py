"""Classes that get other names, become one, or are left out, before they have labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from tfrecog.cli.facts import Length

from ..build.problems import Problem, Refused

Flag = Annotated[
    tuple[str, ...],
    "OLD:NEW of classes, by their names in the files. Several OLD with one NEW are one class; OLD: is left out.",
    Length(),
]


def of_flag(texts: Sequence[str]) -> dict[str, str]:
    """The new name by the old one, empty for a class that is left out; Refused where a text is not OLD:NEW."""
    renames: dict[str, str] = {}
    for text in texts:
        old, _, new = text.rpartition(":")
        if not old:
            raise Refused(f"--rename={text} is not OLD:NEW, such as lorry:truck, or OLD: to leave a class out")
        if old in renames:
            raise Refused(f"--rename={','.join(texts)} names {old!r} twice: give each class one new name")
        renames[old] = new
    return renames


def names(
    old: Iterable[str], renames: Mapping[str, str], place: str, found: list[Problem], used: Iterable[str] = ()
) -> tuple[str, ...]:
    """The names of the classes that are left, in the order of the old ones in `place`.

    What is to be renamed and is not there, nor among the `used` names of objects, goes to `found`.
    """
    old = list(old)
    for name in sorted(renames.keys() - {*old, *used}):
        what = f"--rename has the class {name!r}, and it has none of that name"
        remedy = "It renames nothing: correct it, unless only other splits have it."
        found.append(Problem("class to rename is not there", place, what, remedy))
    left = tuple(name for name in dict.fromkeys(renames.get(name, name) for name in old) if name)
    if old and not left:
        raise Refused(f"--rename leaves out all classes of {place}: keep one")
    return left


def labels(label_of: Mapping[str, int], renames: Mapping[str, str]) -> dict[str, int]:
    """Labels by the names in the files; `label_of` has them by the new names."""
    renamed = {old: label_of.get(new, 0) for old, new in renames.items()}
    return {name: label for name, label in ({**label_of, **renamed}).items() if label}
