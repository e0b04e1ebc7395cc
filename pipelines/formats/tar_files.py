"""Files on the disk and in tars, which are read by their offset: nothing is unpacked. Tars in the tar are folders."""

import dataclasses
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from tfrecog.cli.progress import Bar

from ..build.problems import Problem, Refused

_AGAIN = "Download or copy the tar again and run the same command; what is whole in it is used."
_PACK = "It is left out: pack the files again, each as a plain file."
_MOST_LINKS = 8  # in a row
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"BZh": "bunzip2", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
_BLOCK = 512  # bytes, of a header


@dataclass(frozen=True, slots=True)
class File:
    """A file on the disk, or a part of a tar."""

    name: str  # with the folders in the listed folder or tar: class/file
    path: str
    offset: int = -1  # of the tar's bytes; -1: the whole of `path`
    size: int = 0  # bytes
    time: int = 0  # ns, of the last change of `path`
    link: str = ""  # in a tar, while it is listed: the name of the file that this one is another name of

    @property
    def span(self) -> tuple[str, int]:
        """What two files have alike if they are one, whatever the folders and links by which they were listed."""
        return os.path.realpath(self.path), self.offset

    @property
    def place(self) -> str:
        """Words for where its bytes are."""
        path = shown(self.path)
        return path if self.offset < 0 else f"{path}, byte {self.offset:,}"

    def read(self, most: int | None = None) -> bytes:
        """Its bytes; OSError, also if it is no regular file, has more than `most` bytes, or the tar ends before."""
        if self.offset < 0 and not stat.S_ISREG(os.stat(self.path).st_mode):  # A pipe may never end.
            raise OSError("it is a folder, a pipe or a device, not a file")
        if most is not None and self.size > most:
            raise OSError(f"it has {self.size:,} bytes, more than the {most:,} of any annotation file")
        with open(self.path, "rb") as file:
            if self.offset < 0:
                return file.read()
            data = os.pread(file.fileno(), self.size, self.offset)
        if len(data) < self.size:
            raise OSError(f"the tar ends {self.size - len(data):,} bytes before the image does")
        return data


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read: an error of `File.read`, ValueError where its name has a NUL."""
    return getattr(error, "strerror", None) or str(error)


def on_disk(name: str, path: str) -> File:
    """The File of a path, with its size and time if it exists."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return File(name, path)
    return File(name, path, size=state.st_size, time=state.st_mtime_ns)


def shown(name: str) -> str:
    """A name of a file in which bytes that are no UTF-8 are written as \\xe9, so that it can be written and printed."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _inside(*parts: str) -> str:
    """The name of a member of a tar in a folder: nothing leads out of it."""
    return shown(posixpath.normpath("/".join(["", *parts])).lstrip("/"))


def _resolved(listed: list[File], found: list[Problem]) -> list[File]:
    """The files, with links in the tar as what they lead to; a link that leads elsewhere is reported and left out."""
    links = {file.name: file.link for file in listed if file.link}
    wanted = {*links.values()}
    places = {file.name: file for file in listed if file.name in wanted and not file.link}
    made = []
    for file in listed:
        target, steps = file.link, 0
        while target in links and steps < _MOST_LINKS:
            target, steps = links[target], steps + 1
        if not file.link:
            made.append(file)
        elif target in places:
            made.append(dataclasses.replace(places[target], name=file.name))
        else:
            what = f"it is a link to {target}, which is no file in the tar"
            found.append(Problem("link out of the tar", f"{shown(file.path)}, {file.name}", what, _PACK))
    return made


def files(path: str, found: list[Problem], folder: str = "") -> list[File]:
    """The files of a tar and of tars in it, which are folders of their names; adds what is wrong to `found`.

    A folder has a name that ends with a slash.

    Raises:
        Refused: it is not a tar, or compressed.
    """
    whole = on_disk("", path)
    with open(path, "rb") as file, Bar(
        total=whole.size, unit="B", unit_scale=True, desc=f"listing {os.path.basename(path)}", leave=False, delay=1
    ) as bar:  # fmt: skip
        start = file.read(6)
        for magic, tool in _COMPRESSED.items():
            if start.startswith(magic):
                raise Refused(
                    f"{path} is compressed, and its files are read by their place: run `{tool} -c {path} > NEW.tar` "
                    "and give NEW.tar"
                )
        listed = list(_files(file, whole, 0, whole.size, folder, path, found, bar))
    return _resolved(listed, found)


def _files(file, whole: File, start: int, end: int, folder: str, words: str, found: list, bar: Bar) -> Iterator[File]:
    """Files of the tar in bytes start to end of the `whole` one; `words` say for people which it is."""
    last, known = "", len(found)
    file.seek(start)
    try:
        if end - start < _BLOCK:  # Behind an inner tar the outer one goes on.
            raise tarfile.ReadError("it has no whole header")
        tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  The caller closes the file.
    except tarfile.ReadError as error:
        if folder:
            found.append(Problem("tar cannot be read", words, f"it is not a tar: {error}", _AGAIN))
            return
        raise Refused(f"{words} is not a tar ({error}); give a tar, or the folder of the images") from error
    complete = True
    while complete and (not last or tar.offset < end):
        try:
            member = tar.next()
        except (tarfile.TarError, EOFError):  # an end in the middle of a header
            complete = False
            break
        if member is None:
            break
        tar.members = []  # 1.3 million of them would take a gigabyte
        last, first = shown(member.name), member.offset_data
        stop = first + (member.size if member.isreg() else 0)
        complete = stop <= end
        name = _inside(folder, member.name)
        # Where this tar is cut, some files of the one in it may be complete.
        if member.isreg() and name.endswith(".tar") and (complete or end - first >= _BLOCK):
            inner = name.removesuffix(".tar")
            yield File(f"{inner}/", whole.path)
            yield from _files(file, whole, first, min(stop, end), inner, f"{words}, {last}", found, bar)
        elif member.isdir() and name:
            yield File(f"{name}/", whole.path)
        elif member.isreg() and complete and not member.issparse():
            yield File(name, whole.path, first, member.size, whole.time)
        elif member.islnk():
            yield File(name, whole.path, link=_inside(folder, member.linkname))
        elif member.issym():
            yield File(name, whole.path, link=_inside(folder, posixpath.dirname(member.name), member.linkname))
        elif complete and not member.isdir():
            what = "it is sparse" if member.issparse() else f"it is of the type {member.type!r}, no file"
            found.append(Problem("no file in the tar", f"{words}, {last}", what, _PACK))
        bar.update(stop - bar.n)
    # A tar ends with blocks of zeros. Without, it is cut between two files, or a header is damaged: tarfile just stops.
    mark = os.pread(file.fileno(), max(0, min(_BLOCK, end - tar.offset)), tar.offset)
    after = f", {'after' if complete else 'at'} {last}" if last else ""
    if complete and len(mark) == _BLOCK and mark.strip(b"\0"):
        found.append(Problem("tar is damaged", words, f"no file begins at byte {tar.offset:,}{after}", _AGAIN))
    elif (not complete or len(mark) < _BLOCK) and len(found) == known:
        found.append(Problem("tar cut short", words, f"it ends at byte {end:,}{after}", _AGAIN))
