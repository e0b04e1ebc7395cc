"""Files of pictures: which are meant, what is in them, and where a picture of each goes."""

import contextlib
import glob
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.data import image_numpy
from tfrecog.data.reading import AS_SHOWN, Reading

LARGEST = 65500  # side of a JPEG
DOWNLOADS = "downloads"  # in a folder of results: what addresses named
UNREADABLE = (OSError, image_numpy.Unreadable)  # what `load` raises


def find(
    images: str | Sequence[str],
    also: tuple[str, ...] = (),
    out: str | Path = "",
    left_out: list[Path] | None = None,
) -> list[Path]:
    """Files that a pattern, a folder, a file, or several of these name, also with commas between them.

    Of a folder they are those in it, and in the folders below, that end as pictures do, or as `also` says; but for what
    is hidden. What is in `out`, where a command has written pictures before, is left out of folders and patterns.
    `left_out` gets the other files of folders. Each comes once, however many links lead to it; FileNotFoundError says
    which part names none, UserError which one is `out`.
    """
    parts = [part for one in ([images] if isinstance(images, str) else images) for part in _parts(one)]
    if not parts:
        raise FileNotFoundError("--images: name the pictures, as in --images='photos/*.jpg'")
    paths: dict[Path, Path] = {}  # by where they are
    for part in map(os.path.expanduser, parts):
        if os.path.isdir(part):
            if out and place(Path(part)) == place(Path(out)):
                raise UserError(f"--out={out} is one of the folders of --images; choose another folder")
            ends, found = (*image_numpy.EXTENSIONS, *also), []
            for path in _files_below(Path(part), Path(out).resolve() if out else None):
                if path.suffix.lower() in ends:
                    found.append(path)
                elif path.is_file():
                    _report_other(path)
                    if left_out is not None:
                        left_out.append(path)
            missing = f"the folder {part} has no file that ends in {', '.join(ends)}"
        else:
            found = [Path(part)] if os.path.isfile(part) else _matching(part, Path(out) if out else None)
            missing = f"no file is named {part!r} or matches it (looked from {os.getcwd()})"
        if not found:
            raise FileNotFoundError(f"--images: {missing}")
        shortest = {place(path): path for path in sorted(found, key=lambda path: -len(path.parts))}
        for path in sorted(shortest.values(), key=str):
            paths.setdefault(place(path), path)
    return list(paths.values())


def _parts(images: str) -> list[str]:
    there = os.path.exists(os.path.expanduser(images))
    return [images] if there else [part.strip() for part in images.split(",") if part.strip()]


def place(path: Path) -> Path:
    """Where a file is, behind all links; the last of links that lead around, of which Path.resolve makes an error."""
    return Path(os.path.realpath(path))


def called(path: Path) -> Path:
    """Where a file is, by the name that a person gave it: of a link its own, not that of the file behind it."""
    return place(path.parent) / path.name


def _files_below(folder: Path, without: Path | None) -> list[Path]:
    """The files in a folder and those below, behind links too, each folder once; but hidden ones and `without`."""
    found, seen = [], set()
    for here, folders, names in os.walk(folder, followlinks=True):
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if Path(here, name).resolve() not in {*seen, without}]
        seen |= {Path(here).resolve(), *(Path(here, name).resolve() for name in folders)}
        found += [Path(here, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _matching(pattern: str, without: Path | None) -> list[Path]:
    """The files that match a pattern, but for those in the folder `without`."""
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(name)]
    return [path for path in found if not (without and place(without) in place(path).parents)]


def _report_other(path: Path) -> None:
    """Prints that a file is left out, if it begins as a picture."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if image_numpy.begins_as_picture(file.read(12)):
            what = "it begins as a picture does, and its name has no extension of one that is read"
            print(f"left out: {path}: {what}; convert it to JPEG or PNG, or name it by itself", file=sys.stderr)


def picture_paths(paths: list[Path], out: Path, suffix: str = ".jpg", folder: str = "") -> list[Path]:
    """Where the picture of each image goes in OUT/FOLDER: as the images lie below the folder that they have in common.

    Those in OUT/downloads are as if they lay in that folder. UserError if results could replace what is not ours.
    """
    below = _below(paths, out)
    plain = [path.with_suffix(suffix) for path in below]
    # a.png and a.jpg would be one picture, so they become a.png.jpg and a.jpg.jpg.
    count = Counter(plain)
    pictures: dict[Path, None] = {}
    for path, short in zip(below, plain, strict=True):
        name = path.with_name(path.name + suffix) if count[short] > 1 else short
        numbers = itertools.count(2)
        while name in pictures:  # A download may have the name of another image.
            name = path.with_name(f"{path.name}-{next(numbers)}{suffix}")
        pictures[name] = None
    return [out / folder / name for name in pictures]


def _below(paths: list[Path], out: Path) -> list[Path]:
    """Where each image lies below the folder that all have in common, or in OUT/downloads."""
    out, named = place(out), list(map(called, paths))
    downloads = out / DOWNLOADS
    there = (path for path in (*named, *map(place, paths)) if out in path.parents and downloads not in path.parents)
    if inside := next(there, None):
        raise UserError(
            f"--out={out}: {inside} is in it, and results could replace files of yours; choose a folder of its own"
        )
    own = [path.parent for path in named if downloads not in path.parents]
    common = os.path.commonpath(own) if own else out
    return [path.relative_to(downloads if downloads in path.parents else common) for path in named]


def legible(
    paths: list[Path], broken: dict[Path, str], reading: Reading = AS_SHOWN, starting: str = ""
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields number and image uint8 [H, W, 3] of each file that can be read; the others get a reason in `broken`.

    `reading` is that of the data set that a model learned from, see `load`; `starting` is that of the bar.
    """
    for number, path in enumerate(Bar(paths, desc="predict", starting=starting)):
        try:
            yield number, load(path, reading)
        except UNREADABLE as error:
            broken[path] = str(error)


def report_broken(paths: list[Path], broken: dict[Path, str]) -> int:
    """Prints which of the files could not be read, and returns how many could; UserError if none could."""
    for path, reason in broken.items():
        print(f"not read: {path}: {reason}", file=sys.stderr)
    if len(broken) == len(paths):
        raise UserError(f"--images: not one of {len(paths)} files could be read as an image, such as {paths[0]}")
    return len(paths) - len(broken)


def report_left_out(left_out: list[Path]) -> None:
    """Prints how many files of folders were left out, and the first of them."""
    if left_out:
        first = ", ".join(map(str, left_out[:3])) + ", ..." * (len(left_out) > 3)
        print(
            f"left out, as no pictures by name: {len(left_out)} file{'s' * (len(left_out) > 1)}, {first}",
            file=sys.stderr,
        )


def load(path: Path, reading: Reading = AS_SHOWN) -> np.ndarray:
    """Image uint8 [H, W, 3] of a file, as `reading` has it; one of UNREADABLE if it is none or is damaged."""
    return reading.decode(content(path))


def content(path: Path) -> bytes:
    """Bytes of a regular file; OSError if it is none, such as a pipe, which may never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is a folder, a pipe or a device, not a file")
    return path.read_bytes()


def save(picture: np.ndarray, path: Path) -> None:
    """Writes a picture uint8 [H, W, 3] as a JPEG, whole or not at all; smaller if it is larger than a JPEG can be."""
    drawn = Image.fromarray(picture)
    drawn.thumbnail((LARGEST, LARGEST))
    with files.write(path, "wb") as file:
        drawn.save(file, "JPEG", quality=92)
