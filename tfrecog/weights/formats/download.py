"""Published files, downloaded once into a cache and checked by their digest."""

import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tfrecog.cli import files
from tfrecog.cli.errors import Status, UserError
from tfrecog.cli.progress import Bar

_PIECE = 1 << 20  # bytes
_ELSEWHERE = "name another folder with the environment variable TFRECOG_CACHE"
_PATIENCE = 30  # seconds without a byte


class DownloadError(UserError):
    """A file cannot be had; the message says how to get it by hand."""

    status = Status.FAILED


class CutOff(DownloadError):
    """A download stopped halfway; what has come is kept, and the same command continues from there."""

    status = Status.CONTINUES


def folder() -> Path:
    """The cache: the folder that TFRECOG_CACHE names, or ~/.cache/tfrecog/weights."""
    return Path(os.environ.get("TFRECOG_CACHE") or "~/.cache/tfrecog/weights").expanduser()


def fetch(url: str, digest: str, algorithm: str = "sha256") -> Path:
    """Path of the file at `url` in the cache, downloaded if it is not there.

    A download that breaks off goes on where it was with the next call. `digest` may be the first digits alone.

    Raises:
        DownloadError: no network, no such file, or another one than `digest` says; or the cache cannot be written.
    """
    path = folder() / url.rpartition("/")[2]
    part = path.with_name(f"{path.name}.part")
    while not path.is_file():
        with _alone(part) as file:
            if files.is_at(file, part):  # Else another process has finished or deleted it while this one waited.
                _download(url, file, path)
                _check(part, digest, algorithm, url, path)
                part.replace(path)
    _check(path, digest, algorithm, url, path)
    return path


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, to which one process at a time adds."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = open(part, "ab")  # noqa: SIM115  The errors of what is done with it are others.
    except OSError as error:
        raise DownloadError(f"cannot write to the cache {part.parent} ({error.strerror}): {_ELSEWHERE}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _download(url, file, path):
    start = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": "tfrecog"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_PATIENCE) as answer:
            if start and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                file.truncate(0)
                if answer.status == 206:  # Another part than was asked for: now all of it is.
                    return _download(url, file, path)
                start = 0  # All of it comes again.
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else None
            print(f"downloading {url} to {path}", flush=True)
            with Bar(total=total, initial=start, unit="B", unit_scale=True, desc=path.name) as bar:
                while piece := answer.read(_PIECE):
                    with _making_room(path):
                        file.write(piece)
                    bar.update(len(piece))
        with _making_room(path):
            file.flush()
            os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # There is nothing beyond what is here.
            return
        raise DownloadError(f"{url}: the server responds {error.code} {error.reason}. {_by_hand(url, path)}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"cannot download {url} ({reason}): no network? {_by_hand(url, path)}") from error
    if total is not None and file.tell() < total:
        raise CutOff(
            f"the download of {url} stopped after {file.tell():,} of {total:,} bytes. The same command continues from "
            f"there. {_by_hand(url, path)}"
        )


@contextmanager
def _making_room(path):
    try:
        yield
    except OSError as error:
        raise DownloadError(f"cannot write {path} ({error.strerror}): make room, or {_ELSEWHERE}") from error


def _check(path, wanted, algorithm, url, final):
    """DownloadError, and no file, if it is not what it should be."""
    if not path.stat().st_size:
        found = "an empty file"
    else:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        if digest.startswith(wanted):
            return
        name = "SHA-256" if algorithm == "sha256" else algorithm.upper()
        found = f"a file with the {name} {digest[: max(8, len(wanted))]}…"
    path.unlink()
    raise DownloadError(
        f"{path} was {found}, and should have {wanted}…; it is deleted. It was damaged on the way, or is another file "
        f"by now: try again. {_by_hand(url, final)}"
    )


def _by_hand(url, path):
    return (
        f"By hand: open {url} in a browser, put the file at {path}, and give the same command; or name the file with "
        "--weights=FILE."
    )
