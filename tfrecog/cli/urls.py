"""Folders of records at URLs, such as gs://bucket/coco, read by TensorFlow; a path is read without TensorFlow.

Whatever reads a file of a data set reads it here, by text: a `pathlib.Path` of a URL would lose one of its slashes.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tfrecog.cli.errors import Status, UserError

READ = ("gs", "ram")  # file systems of TensorFlow's wheel; ram:// is the memory of one process, for tests
IN_FLIGHT = 16  # reads at once: one of an object store takes some 50 ms, whatever the size
_OTHERS = ("abfs", "abfss", "az", "file", "ftp", "hdfs", "http", "https", "s3", "viewfs", "wasb", "wasbs")
_URL = re.compile(rf"([A-Za-z][A-Za-z0-9+.-]+)://|({'|'.join(READ + _OTHERS)}):/")
_BUFFER = "GCS_READAHEAD_BUFFER_SIZE_BYTES"


class Unreachable(UserError):
    """A file at a URL could not be read now, whatever is in it; the message has the URL and the reason."""

    status = Status.CONTINUES


def is_url(place: str | Path) -> bool:
    """Whether a place is a URL and no path."""
    return bool(_URL.match(str(place)))


def problem(place: str | Path, schemes: tuple[str, ...] | None) -> str:
    """Why a place cannot be given where URLs of some schemes may be, of any (none named), or none (None); "" if it can.

    A path always can.
    """
    found = _URL.match(str(place))
    if not found or schemes == ():
        return ""
    scheme, rest = (found[1] or found[2]).lower(), str(place)[found.end() :]
    if scheme == "file":
        return f"give the path alone: /{rest.lstrip('/')}"
    if schemes is None:
        return (
            "is a URL, and only finished records are read from one, by --data.records and by --data of pipelines.check "
            "and pipelines.extract: give a local path, and copy the folder from there or to there, as with "
            "`gcloud storage cp -r FOLDER gs://BUCKET`"
        )
    if scheme not in schemes:
        plugin = ", as without the plugin tensorflow-io" if scheme == "s3" else ""
        return (
            f"TensorFlow cannot read from {scheme}://{plugin}; give a folder at gs://, or copy the folder to a disk "
            "or mount it, and give its path"
        )
    if found[2]:
        return f"has one slash behind {scheme}:, as pathlib.Path makes of a URL; give it as text: {scheme}://{rest}"
    return "" if rest.strip("/") else f"names no folder; give {scheme}://BUCKET/FOLDER"


def check_local(place: str | Path, name: str) -> None:
    """UserError if a place that is written to is a URL; `name` is that of the flag or argument."""
    if found := problem(place, None):
        raise UserError(f"{name}={place}: {found}")


def absolute(place: str | Path) -> str:
    """The place as it is called in every folder."""
    return str(place).rstrip("/") if is_url(place) else str(Path(place).expanduser().resolve())


def expanded(place: str | Path) -> str:
    """The place with the home folder in place of ~."""
    return str(place) if is_url(place) else str(Path(place).expanduser())


def prefer_small_reads() -> None:
    """Has gs:// fetch 1 MB with a read and not 64 MB, of which a record is a small part; before TensorFlow is there."""
    os.environ.setdefault(_BUFFER, str(2**20))


def is_file(path: str) -> bool:
    """Whether there is a file."""
    return size(path) is not None


@contextlib.contextmanager
def open_to_read(path: str) -> Iterator[IO[bytes]]:
    """A file, read from its beginning on; FileNotFoundError, or Unreachable."""
    if not is_url(path):
        with open(path, "rb") as file:
            yield file
        return
    with _in_words(path) as gfile, gfile.GFile(path, "rb") as file:
        yield file


def read(path: str) -> bytes:
    """All bytes of a file."""
    with open_to_read(path) as file:
        return file.read()


def read_part(path: str, offset: int, length: int) -> bytes:
    """The bytes of a part of a file; fewer where it ends before."""
    if not is_url(path):
        with open(path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)
    import tensorflow as tf

    with open_to_read(path) as file:
        try:
            file.seek(offset)
        except tf.errors.OutOfRangeError:
            return b""
        return file.read(length)


def sizes(folder: str, names: Sequence[str]) -> list[int | None]:
    """Bytes of files of a folder, None of those that are not there."""
    return each(folder, size, [os.path.join(folder, name) for name in names])


def names(folder: str) -> list[str]:
    """Names of what is in a folder."""
    if not is_url(folder):
        return sorted(os.listdir(folder))
    with _in_words(folder) as gfile:
        return sorted(name.rstrip("/") for name in gfile.listdir(folder))


def write(path: str, content: bytes) -> None:
    """Writes a file at a URL, which object stores show whole or not at all; OSError if that fails."""
    try:
        with _in_words(path) as gfile:
            if gfile.exists(path):
                gfile.remove(path)  # Not all file systems replace one: ram:// appends.
            with gfile.GFile(path, "wb") as file:
                file.write(content)
    except UserError as error:
        raise OSError(str(error)) from error


def each(folder: str, function: Callable[[Any], Any], items: Iterable) -> list:
    """Results of a function that reads files of a folder; of one at a URL, several at once."""
    if not is_url(folder):
        return [function(item) for item in items]
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return list(pool.map(function, items))


def size(path: str) -> int | None:
    """Bytes of a file; None where there is none."""
    if not is_url(path):
        return os.path.getsize(path) if os.path.isfile(path) else None
    try:
        with _in_words(path) as gfile:
            return gfile.stat(path).length
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _in_words(url):
    """TensorFlow's file systems; what they raise names the URL. They retry by themselves what a network may cure."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f"{url} is missing") from error
    except (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError) as error:
        raise UserError(
            f"{url} cannot be read with the credentials of this machine ({_reason(error)}): give them with `gcloud "
            "auth application-default login`, or the file of a service account in GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    except tf.errors.OpError as error:
        raise Unreachable(
            f"{url} could not be read ({_reason(error)}): its storage or the network failed, which says nothing of the "
            "file. The same command continues when it can be reached again."
        ) from error


def _reason(error):
    return " ".join(str(error.message).split())[:300]
