"""Files that are there whole or not at all, and texts that a person gives."""

import codecs
import contextlib
import errno
import fcntl
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tfrecog.cli.errors import UserError

_ASKING = threading.Lock()  # Two threads that ask at once would leave none.
DRAFT = ".draft-"  # The name of a folder that is not whole begins so.


class CannotWrite(OSError):
    """The system's reason, with the name of the file and what to do."""

    def __str__(self):
        return f"cannot write {self.filename}: {self.strerror}. Make room, or choose a folder that can be written to."


@contextlib.contextmanager
def write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """A file that gets its name when all of it is written and on the disk; CannotWrite if that fails."""
    path = Path(path)
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o666 & ~umask())
        os.replace(draft, path)
        sync(path.parent)
    except BaseException as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        told = isinstance(error, CannotWrite)  # of another file, written while this one was open
        if isinstance(error, OSError) and error.errno and not told:  # The system names the draft, or nothing.
            raise CannotWrite(error.errno, os.strerror(error.errno), str(path)) from error
        raise


@contextlib.contextmanager
def folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to write to, which gets its name when all of it is on the disk; `replace` one that is there already."""
    draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=DRAFT))
    try:
        yield draft
        for part in [*draft.rglob("*"), draft]:
            sync(part)
        draft.chmod(0o777 & ~umask())
        old = draft.with_name(f"{draft.name}-old")
        if replace and path.exists():
            path.rename(old)
        draft.rename(path)
        shutil.rmtree(old, ignore_errors=True)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def remove_drafts(folder: Path) -> None:
    """Removes what a process that was killed had begun to write to a folder."""
    for rubbish in folder.glob(f"{DRAFT}*"):
        shutil.rmtree(rubbish, ignore_errors=True)


def claim(path: str | Path, taken: str) -> IO:
    """A file at `path` that no other process can claim until this one closes it; UserError `taken` if one has it."""
    file = open(path, "a")  # noqa: SIM115  It stays open as long as the claim is held.
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(taken) from error
    return file


@contextlib.contextmanager
def alone(path: str | Path) -> Iterator[None]:
    """A context in which one process is at a time, by a lock on a file that is at `path` as long; it waits its turn."""
    while True:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a")  # noqa: SIM115  The errors of what is done with it are others.
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror, str(path)) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(file, path):  # Else who was before took it away, and another file may be the lock.
                try:
                    yield
                finally:
                    os.unlink(path)
                return


def is_at(file: IO, path: str | Path) -> bool:
    """Whether `path` is still the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def read_text(path: str | Path, give: str, flag: str = "") -> str:
    """The text of a file that a person gives, in UTF-8, or in UTF-16 with the byte order mark that says so.

    Raises:
        UserError: it cannot be read; the message says what to `give`, and `flag` where the path is from.
    """
    try:
        data = Path(path).read_bytes()
        encoding = "utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{flag}{path} cannot be read ({error}); give {give}") from error


def check(folder: str | Path, flag: str) -> None:
    """UserError if files cannot be written to a folder, which need not be there yet; `--flag=value` asked for it."""
    path = Path(folder).absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{flag}: {there} is no folder that can be written to; choose another")


def umask() -> int:
    """The permissions that this process takes from the files it makes."""
    with _ASKING:
        mask = os.umask(0)
        os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Writes a file, or the names in a folder, to the disk: what is renamed keeps its new name if the power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # Some network disks flush no folder.
            raise
    finally:
        os.close(descriptor)
