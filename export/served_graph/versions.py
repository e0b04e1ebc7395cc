"""Numbered versions of a model in a folder, DIR/1, DIR/2, ..., as servers watch them: each is complete or absent."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tfrecog.cli import checksums, files
from tfrecog.cli.errors import UserError

from ..artifact import metadata
from . import operations

_NUMBER = re.compile("0|[1-9][0-9]*")
_LAST = "variables/variables.index"  # of the files in the list of checksums


class Version(NamedTuple):
    """A version that is being written: the folder to write to, and the one that it becomes."""

    draft: Path
    final: Path


def numbers(folder: str | Path) -> list[int]:
    """The versions in a folder, in order; 007 or a number in other digits is none, for no address has it."""
    path = Path(folder)
    if not path.is_dir():
        return []
    return sorted(int(part.name) for part in path.iterdir() if _NUMBER.fullmatch(part.name) and part.is_dir())


def latest(folder: str | Path) -> Path:
    """The folder of the newest version in a folder, or the folder itself if it is a version."""
    path = Path(folder)
    if (path / "saved_model.pb").is_file():
        return path
    known = numbers(path)
    if not known:
        raise FileNotFoundError(
            f"there is no SavedModel in {path}: name the folder that python -m export.saved_model --out=DIR wrote"
        )
    return path / str(known[-1])


def check_whole(version: str | Path) -> None:
    """UserError names what a version lacks that is still being copied, or was cut off.

    The list of checksums is written last, in the order of the names, of which that of the variables' index is the last:
    so a list that was cut off has no such line.
    """
    path = Path(version) / metadata.EXTRA / checksums.SUMS
    if not path.is_file():
        raise UserError(f"it is not whole: {path} is not there yet, which the export writes last")
    last = f"  {_LAST}\n".encode()
    if not path.read_bytes().endswith(last):
        raise UserError(f"it is not whole: {path} ends before {_LAST}")
    checksums.check(Path(version), metadata.EXTRA, "copy it again")


def load(version: str | Path):
    """The SavedModel in the folder of a version; UserError if it is not complete, or may do other than compute."""
    import tensorflow as tf

    checksums.check(Path(version), metadata.EXTRA, "copy the folder again, or export the model again")
    operations.check(version)
    try:
        return tf.saved_model.load(str(version))
    except Exception as error:  # Of a file that was cut off TensorFlow raises almost anything.
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(f"{version} cannot be loaded as a SavedModel ({reason}); export it again") from error


def check(folder: str | Path) -> None:
    """UserError if a folder can hold no versions: a file, one with other things in it, or that of another export."""
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise UserError(f"--out={folder} is a file; choose a folder")
    files.check(path, f"--out={folder}")
    if path.is_dir():
        with _claimed(path):
            others = [part.name for part in path.iterdir() if not part.name.startswith(".")]
        if others and not numbers(path):
            raise UserError(f"--out={folder} contains other files, such as {others[0]}; choose an empty or new folder")


@contextlib.contextmanager
def new(folder: str | Path) -> Iterator[Version]:
    """A folder to write a version to, which gets the next number when all of it is on the disk."""
    path = Path(folder)
    check(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out={folder} cannot be written to ({error.strerror}); choose another folder") from error
    with _claimed(path):
        files.remove_drafts(path)
        final = path / str(max([0, *numbers(path)]) + 1)
        with files.folder(final) as draft:  # Servers load folders whose names are numbers.
            yield Version(draft, final)


@contextlib.contextmanager
def _claimed(path):
    """A context in which no other export writes to a folder; UserError if one does already."""
    claim = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another export is writing to {path}: wait for it, or choose another --out") from error
        yield
    finally:
        os.close(claim)
