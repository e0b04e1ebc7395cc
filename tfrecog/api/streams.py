"""Films, cameras, folders and addresses as pictures, one after the other; in the memory of one of them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfrecog.api import pictures
from tfrecog.cli.errors import UserError
from tfrecog.data.reading import Reading
from tfrecog.inference import image_files

FILMS = (
    ".3gp", ".avi", ".flv", ".m3u8", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
)  # fmt: skip

_RATE, _MOST_RATE = 25.0, 1000.0  # frames a second of a film that states none, or nonsense

OF_FOLDERS = tuple(ending for ending in FILMS if ending not in (".mts", ".ts"))  # Most .ts files are TypeScript.

Frame = tuple[np.ndarray, str]  # uint8 [H, W, 3], and what it is called


class UnreadableFilm(UserError):
    """What is no film, or one that OpenCV cannot read."""


def pictures_of(source: Any, reading: Reading, every: int, broken: Callable[[str, str], object]) -> Iterator[Frame]:
    """The pictures of a source; see `Model.stream`. `broken` is told the name and the reason of unreadable ones.

    `reading` is that of `pictures.load`. UserError where the source itself is none.
    """
    if every < 1:
        raise UserError(f"every={every}: give 1 for each frame, 2 for every second one, ...")
    if isinstance(source, int):
        return _frames(source, every, broken)
    if pictures.is_several(source):
        return _of_each(source, reading, every, broken)
    if not isinstance(source, str | Path):
        return iter([pictures.load(source, reading)])
    if "://" in str(source) or Path(source).expanduser().is_file():
        return _of_one(str(source), reading, every, broken)
    try:
        paths = image_files.find(str(source), also=OF_FOLDERS)
    except FileNotFoundError as error:
        raise UserError(str(error).removeprefix("--images: ").replace("--images=", "")) from error
    return _of_each(paths, reading, every, broken)


def _of_each(sources, reading, every, broken):
    """Yields the pictures of each of several sources; `broken` is told of those that are none."""
    for number, one in enumerate(sources):
        try:
            if isinstance(one, str | Path):
                yield from _of_one(str(one), reading, every, broken)
            else:
                yield pictures.load(one, reading)
        except UserError as error:
            broken(str(one) if isinstance(one, str | Path) else f"picture {number}", str(error))


def _of_one(source: str, reading, every, broken):
    """Yields the picture of a file or an address, or the frames of a film; UserError if it is neither."""
    name = source.partition("?")[0].lower()
    if pictures.is_address(source):
        is_film = name.endswith(FILMS) or pictures.is_film(source)
    else:
        is_film = name.endswith(FILMS) or "://" in source  # such as rtsp
    if is_film:
        yield from _frames(source if "://" in source else str(Path(source).expanduser()), every, broken)
    else:
        yield pictures.load(source, reading)


def _frames(source: int | str, every: int, broken) -> Iterator[Frame]:
    """Yields the frames of a film or a camera, as OpenCV reads them: upright."""
    cv2 = opencv()
    if isinstance(source, str) and "://" not in source and not Path(source).is_file():
        raise UnreadableFilm(f"{source}: there is no such file")
    film = cv2.VideoCapture(source)
    try:
        if not film.isOpened():
            what = f"camera {source}" if isinstance(source, int) else source
            raise UnreadableFilm(f"{what} cannot be opened as a film: is it there, and does OpenCV know its kind?")
        number = 0
        while film.grab():
            if number % every == 0:
                there, frame = film.retrieve()
                if there:
                    yield np.ascontiguousarray(frame[..., ::-1]), f"{source}:{number}"
                else:
                    broken(f"{source}:{number}", "the frame cannot be decoded")
            number += 1
        stated = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        if isinstance(source, int):
            broken(f"camera {source}", f"it ended after {number} frames: is it still connected?")
        elif number == 0 or number < 0.9 * stated:  # What a film states is often a frame or two more than it has.
            broken(source, f"it ended after {number} of {stated} frames; it may be cut off")
    finally:
        film.release()


def downloaded(addresses: Sequence[str], folder: Path) -> list[Path]:
    """The files in `folder` of addresses of the web, each once; UserError names one that fails.

    Each of several has a folder of its own, since names may be the same.
    """
    each = dict.fromkeys(addresses)
    folders = [folder / str(number) for number in range(1, len(each) + 1)] if len(each) > 1 else [folder]
    return [pictures.download(*one) for one in zip(each, folders, strict=False)]


def length_of(film: Path, every: int) -> tuple[int, float]:
    """How many frames a film states to have of which every so many are taken, and how many of them are a second."""
    cv2 = opencv()
    film_ = cv2.VideoCapture(str(film))
    count, rate = film_.get(cv2.CAP_PROP_FRAME_COUNT), film_.get(cv2.CAP_PROP_FPS)
    film_.release()
    known = 0 < rate < _MOST_RATE
    return max(0, -(-int(count) // every)), (rate if known else _RATE) / every


def opencv() -> ModuleType:
    """The module cv2; UserError where it is not installed."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise UserError("films and cameras are read with OpenCV: pip install 'tfrecog[video]'") from error
    return cv2
