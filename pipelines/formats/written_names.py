"""Names of the files that are written for records: whatever a record says, its file lies in the folder that was named.

A name is one part of a path, without a separator, a dot before it or a control character, and an image's ends with an
extension of `EXTENSIONS`.
"""

import re
import sys
from collections.abc import Iterable

from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy
from tfrecog.data.records import Record

from .class_folders import EXTENSIONS

_MOST_BYTES = 200  # of a name; file systems have room for 255, and drafts and numbers take some of them


class Names:
    """Names in one folder: no two are the same, nor differ in case alone, which some systems do not tell apart."""

    def __init__(self, *, by_stem: bool = False, taken: Iterable[str] = ()):
        """With `by_stem` no two are the same without their extensions either; those `taken` are given to none."""
        self.by_stem = by_stem
        self._taken = {*taken}
        self.changed: list[str] = []  # those that are not what was asked for

    def of_image(self, record: Record, mark: str) -> str:
        """Name of a record's image: that of its file, with an extension; UserError where it holds no image."""
        name = _part(record.filename.replace("\\", "/").rpartition("/")[2])
        extension = next((one for one in EXTENSIONS if name.lower().endswith(one)), "")
        stem = name[: len(name) - len(extension)]
        return self._free(stem, name[len(stem) :] or _extension(record), mark, record.filename)

    def of_class(self, name: str, mark: str) -> str:
        """Name of the folder of a class."""
        return self._free(_part(re.sub(r"[/\\]", "_", name)), "", mark, name)

    def _free(self, stem: str, extension: str, mark: str, wanted: str) -> str:
        """The stem and extension, with the mark before them if they are taken or there is no stem."""
        made = (stem or mark) + extension
        while self._key(made, extension) in self._taken:
            made = f"{mark}-{made}"
        self._taken.add(self._key(made, extension))
        if wanted and made.removesuffix(extension) != wanted.rpartition("/")[2].removesuffix(extension):
            self.changed.append(made)
        return made

    def _key(self, name: str, extension: str) -> str:
        return (name.removesuffix(extension) if self.by_stem else name).casefold()


def report(what: str, names: Iterable[Names]) -> None:
    """Says how many of `what` are written under other names than they had."""
    changed = [made for those in names for made in those.changed]
    if changed:
        shown = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        print(f"{len(changed):,} {what} could not have their names, or had that of another: {shown}", file=sys.stderr)


def _part(name: str) -> str:
    """A name as one part of a path that can be written; "" where nothing is left."""
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f/]", "_", name).lstrip(".")
    return clean.encode(errors="replace")[-_MOST_BYTES:].decode(errors="ignore").lstrip(".")


def _extension(record: Record) -> str:
    """The extension of a record's format, or where that is none of EXTENSIONS, of the format of its image."""
    stated = f".{record.format.lower()}"
    if stated in EXTENSIONS:
        return stated
    try:
        kind = str(image_numpy.header(record.encoded).format)
        return {"MPO": ".jpeg", "JPEG2000": ".jp2"}.get(kind, f".{kind.lower()}")  # MPO: a JPEG with others behind it
    except image_numpy.Unreadable as error:
        raise UserError(f"the record of {record.filename!r} holds no image: {error}; run pipelines.check") from error
