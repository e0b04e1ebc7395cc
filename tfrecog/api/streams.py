"""Films, cameras, folders and addresses as pictures, one after the other; in the memory of one of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.api import pictures
from tfrecog.cli.errors import UserError
from tfrecog.data import depth
from tfrecog.inference import image_files

FILMS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_LIVE = ("rtsp://", "rtmp://", "rtp://", "udp://", "tcp://")

Frame = tuple[np.ndarray, str]  # uint8 [H, W, 3], and what it is called


def pictures_of(source: Any, ranges: depth.Ranges, every: int, broken: Callable[[str, str], object]) -> Iterator[Frame]:
    """Yields the pictures of a source; see `Model.stream`. `broken` is told the name and the reason of unreadable ones.

    `ranges` are those of `pictures.load`. UserError where the source itself is none.
    """
    if every < 1:
        raise UserError(f"every={every}: give 1 for each frame, 2 for every second one, ...")
    if isinstance(source, int):
        yield from _frames(source, every, broken)
    elif isinstance(source, str | Path) and _is_film(str(source)):
        yield from _frames(str(Path(source).expanduser()) if not _is_live(source) else str(source), every, broken)
    elif isinstance(source, str | Path) and not pictures.is_address(source):
        for path in image_files.find(str(source), also=FILMS):
            yield from _of_file(path, ranges, every, broken)
    else:
        for number, one in enumerate(source if pictures.is_several(source) else [source]):
            try:
                yield pictures.load(one, ranges)
            except UserError as error:
                broken(str(one) if isinstance(one, str | Path) else f"picture {number}", str(error))


def _of_file(path, ranges, every, broken):
    if _is_film(str(path)):
        try:
            yield from _frames(str(path), every, broken)
        except UserError as error:
            broken(str(path), str(error))
        return
    try:
        pixels = image_files.load(path, ranges)
    except image_files.UNREADABLE as error:
        broken(str(path), str(error))
    else:
        yield pixels, str(path)


def _is_live(source) -> bool:
    return str(source).lower().startswith(_LIVE)


def _is_film(source: str) -> bool:
    name = source.lower().partition("?")[0] if pictures.is_address(source) else source.lower()
    return _is_live(source) or (name.endswith(FILMS) and not Path(source).is_dir())


def _frames(source: int | str, every: int, broken) -> Iterator[Frame]:
    """Yields the frames of a film or a camera, as OpenCV reads them: upright."""
    cv2 = _opencv()
    if isinstance(source, str) and "://" not in source and not Path(source).is_file():
        raise UserError(f"{source}: there is no such file")
    film = cv2.VideoCapture(source)
    try:
        if not film.isOpened():
            what = f"camera {source}" if isinstance(source, int) else source
            raise UserError(f"{what} cannot be opened as a film: is it there, and does OpenCV know its kind?")
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
        if number == 0 or number < 0.9 * stated:  # What a film states is often a frame or two more than it has.
            broken(str(source), f"it ended after {number} of {stated} frames; it may be cut off")
    finally:
        film.release()


def _opencv():
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise UserError("films and cameras are read with OpenCV: pip install 'tfrecog[video]'") from error
    return cv2
