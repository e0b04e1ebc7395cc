"""What is in a tar, and where: files are read by their offset, so nothing is unpacked. Tars in the tar are folders."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

from ..build.problems import Problem, Refused

_AGAIN = "Download or copy the tar again and run the same command; what is whole in it is used."
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}


@dataclass(frozen=True, slots=True)
class File:
    """A file on the disk, or a part of a tar."""

    name: str  # with the folders in the listed folder or tar: class/file
    path: str
    offset: int = -1  # of the tar's bytes; -1: the whole of `path`
    size: int = 0

    @property
    def place(self) -> str:
        """Words for where its bytes are."""
        return self.path if self.offset < 0 else f"{self.path}, byte {self.offset:,}"

    def read(self) -> bytes:
        """Its bytes; OSError, also where the tar ends before."""
        with open(self.path, "rb") as file:
            if self.offset < 0:
                return file.read()
            data = os.pread(file.fileno(), self.size, self.offset)
        if len(data) < self.size:
            raise OSError(f"the tar ends {self.size - len(data):,} bytes before the image does")
        return data


def state(path: str) -> tuple[int, int]:
    """Size and time of a file on the disk; zeros if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return 0, 0
    return found.st_size, found.st_mtime_ns


def files(path: str, found: list[Problem], folder: str = "") -> list[File]:
    """The files of a tar and of tars in it, which are folders of their names; adds what is wrong to `found`.

    A folder has a name that ends with a slash.

    Raises:
        Refused: it is no tar, or compressed.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file, tqdm(
        total=size, unit="B", unit_scale=True, desc=f"listing {os.path.basename(path)}", leave=False, delay=1
    ) as bar:  # fmt: skip
        start = file.read(6)
        for magic, tool in _COMPRESSED.items():
            if start.startswith(magic):
                raise Refused(f"{path} is compressed, and its files are read by their place: run `{tool}` on it first")
        return list(_files(file, path, 0, size, folder, path, found, bar))


def _files(file, path: str, start: int, end: int, folder: str, words: str, found: list, bar: tqdm) -> Iterator[File]:
    """Files of the tar in bytes start to end of a file; `words` say for people which it is."""
    view, last, known = _View(file, start, end), "", len(found)
    try:
        tar = tarfile.open(fileobj=view, mode="r:")  # noqa: SIM115 - the caller closes the file
    except tarfile.ReadError as error:
        if folder:
            found.append(Problem("tar cannot be read", words, f"it is no tar: {error}", _AGAIN))
            return
        raise Refused(f"{words} is no tar ({error}); give a tar, or the folder of the images") from error
    whole = True
    while whole:
        try:
            member = tar.next()
        except (tarfile.TarError, EOFError):  # an end in the middle of a header
            whole = False
            break
        if member is None:
            break
        tar.members = []  # 1.3 million of them would take a gigabyte
        last = member.name
        first = start + member.offset_data
        stop = first + (member.size if member.isreg() else 0)
        whole = stop <= end
        name = "/".join(part for part in [folder, *member.name.split("/")] if part not in ("", "."))
        # Where this tar is cut, some files of the one in it may be whole.
        if member.isreg() and name.endswith(".tar") and (whole or end - first >= 512):
            yield File(name.removesuffix(".tar") + "/", path)
            inner = f"{words}, {member.name}"
            yield from _files(file, path, first, min(stop, end), name.removesuffix(".tar"), inner, found, bar)
        elif member.isdir() and name:
            yield File(name + "/", path)
        elif member.isreg() and whole:
            yield File(name, path, first, member.size)
        bar.update(stop - bar.n)
    # A tar ends with blocks of zeros. Without, it is cut between two files, or a header is damaged: tarfile just stops.
    mark = view.at(tar.offset, 512)
    after = f", {'after' if whole else 'at'} {last}" if last else ""
    if whole and len(mark) == 512 and mark.strip(b"\0"):
        found.append(Problem("tar is damaged", words, f"no file begins at byte {start + tar.offset:,}{after}", _AGAIN))
    elif (not whole or len(mark) < 512) and len(found) == known:
        found.append(Problem("tar cut short", words, f"it ends at byte {end:,}{after}", _AGAIN))


class _View:
    """A part of an open file, as a file of its own."""

    def __init__(self, file, start: int, end: int):
        self._descriptor, self._start, self._size, self._place = file.fileno(), start, end - start, 0

    def at(self, offset: int, size: int) -> bytes:
        size = min(size, self._size - offset)
        return os.pread(self._descriptor, size, self._start + offset) if size > 0 else b""

    def read(self, size: int = -1) -> bytes:
        data = self.at(self._place, self._size if size < 0 else size)
        self._place += len(data)
        return data

    def seek(self, offset: int) -> int:
        self._place = offset
        return offset

    def tell(self) -> int:
        return self._place
