"""What a person calls a picture, as pixels: a file, an address, bytes, an array, or an image of Pillow."""

import contextlib
import glob
import http.client
import mimetypes
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from tfrecog.cli import files
from tfrecog.cli.errors import Status, UserError
from tfrecog.data import depth, image_numpy
from tfrecog.data.reading import Reading
from tfrecog.inference import image_files

_ARRAYS = "give uint8 [H, W, 3] in the order red, green, blue"
_SAFE = "%/:=&?~#+!$,;'@()*[]"  # of an address, which may have other characters as a person types them
_PATIENCE = 30  # seconds without a byte from an address
_MOST_BYTES, _MOST_BYTES_OF_FILM = 2**28, 2**32  # of a picture from an address, and of what is kept in a file
_PIECE, _LONGEST = 2**20, 100  # bytes read at once; bytes of the name of a file


class CutOff(UserError):
    """A download that ended before its end."""

    status = Status.CONTINUES


def is_several(pictures: Any) -> bool:
    """Whether these are pictures, and not one: a list, a tuple or a generator; an array or a tensor is one."""
    one = str | Path | bytes | bytearray | memoryview | Image.Image
    alone = isinstance(pictures, one) or hasattr(pictures, "__array__") or hasattr(pictures, "read")
    return isinstance(pictures, Iterable) and not alone


def is_address(source: Any) -> bool:
    """Whether this is an address of the web."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def load(picture: Any, reading: Reading) -> tuple[np.ndarray, str]:
    """Pixels uint8 [H, W, 3] of a picture, and what it is called; UserError if it is none.

    A file, an address and bytes are read as `reading`, that of the data set that a model learned from, has it: most
    often turned upright. Arrays and images of Pillow are taken as their pixels stand.
    """
    if isinstance(picture, str | Path) and not is_address(picture):
        path = Path(picture).expanduser()
        if path.is_dir() or (glob.has_magic(str(path)) and not path.exists()):
            raise UserError(f"{path} is not one picture: give folders and patterns to `stream`, and files to `predict`")
        return _explained(str(path), lambda: image_files.load(path, reading)), str(path)
    if is_address(picture):
        return _explained(picture, lambda: reading.decode(fetch(picture))), picture
    if hasattr(picture, "read"):
        picture = picture.read()
    if isinstance(picture, bytes | bytearray | memoryview):
        return _explained("bytes", lambda: reading.decode(bytes(picture))), ""
    if isinstance(picture, Image.Image):
        return _explained("the image of Pillow", lambda: _of_pillow(picture, reading)), getattr(
            picture, "filename", ""
        ) or ""
    if hasattr(picture, "__array__"):  # also a tensor
        return _of_array(np.asarray(picture), reading.ranges), ""
    raise UserError(
        f"a {type(picture).__name__} is not a picture: give the name of a file, bytes of one, an image of Pillow, a "
        "NumPy array [H, W, 3], or a list of these"
    )


def is_film(address: str) -> bool:
    """Whether the server says that there is a film, or a camera's endless row of pictures, at an address."""
    try:
        with _opened(address) as answer:
            kind = answer.headers.get_content_maintype()
    except OSError:
        return False  # `fetch` says why.
    return kind in ("video", "multipart")


def fetch(address: str) -> bytes:
    """What is at an address of the web; OSError if it cannot be had, or is too large."""
    with _opened(address) as answer:
        return b"".join(_pieces(answer, _MOST_BYTES))


def download(address: str, folder: Path) -> Path:
    """The file in `folder` of what is at an address of the web, by its name there.

    Raises:
        UserError: it cannot be had; CutOff if it ended too early.
    """
    try:
        with _opened(address) as answer:
            path = folder / _file_name(address, answer.headers.get_content_type())
            with files.write(path, "wb") as file:
                for piece in _pieces(answer, _MOST_BYTES_OF_FILM):
                    file.write(piece)
    except files.CannotWrite:
        raise
    except ConnectionError as error:
        raise CutOff(f"{address} {error}; the same command tries again") from error
    except OSError as error:
        raise UserError(f"{address} {error}") from error
    return path


def _file_name(address: str, kind: str) -> str:
    """The name of the file at an address, with an ending if it has none, or not that of the film it is."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(address).path).rpartition("/")[2].lstrip(".")
    name = name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
    named_otherwise = kind.startswith("video/") and not (mimetypes.guess_type(name)[0] or "").startswith("video/")
    ending = mimetypes.guess_extension(kind) or "" if named_otherwise or not Path(name).suffix else ""
    return f"{name or 'picture'}{ending}"


def _pieces(answer: http.client.HTTPResponse, most: int) -> Iterator[bytes]:
    """What a server sends; ConnectionError if it ends before the length that is stated, OSError if it is too large."""
    size, piece = 0, b"..."
    while piece:
        try:
            piece = answer.read(_PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(f"stopped after {size:,} bytes ({error})") from error
        size += len(piece)
        if size > most:
            raise OSError(f"has more than {most:,} bytes; give a smaller file")
        yield piece
    if answer.length:
        raise ConnectionError(f"stopped after {size:,} of {size + answer.length:,} bytes")


@contextlib.contextmanager
def _opened(address):
    try:
        request = urllib.request.Request(urllib.parse.quote(address, safe=_SAFE), headers={"User-Agent": "tfrecog"})
        answer = urllib.request.urlopen(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        raise OSError(f"the server responds {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OSError(f"cannot be reached ({error.reason}): no network?") from error
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"cannot be fetched: {error}") from error
    with answer:
        yield answer


def _explained(name, read):
    try:
        return read()
    except FileNotFoundError as error:
        raise UserError(f"{name}: there is no such file") from error
    except image_files.UNREADABLE as error:
        raise UserError(f"{name} cannot be read as a picture: {error}") from error


def _of_pillow(picture: Image.Image, reading: Reading) -> np.ndarray:
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    if reading.upright and orientation in range(2, 9):
        warnings.warn(
            f"this image of Pillow has EXIF orientation {orientation} and is taken as its pixels stand: to see it as "
            "viewers show it, give PIL.ImageOps.exif_transpose(image), or the name of its file",
            stacklevel=6,
        )
    return image_numpy.Opened(picture.copy(), picture.format or "", 1).rgb(reading.ranges)


def _of_array(pixels: np.ndarray, ranges: depth.Ranges) -> np.ndarray:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)) or not pixels.size:
        raise UserError(f"an array of shape {list(pixels.shape)} is not a picture: {_ARRAYS}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels)
    if pixels.dtype.name in ranges:
        return depth.rgb(pixels, ranges)
    raise UserError(f"an array of {pixels.dtype} is not a picture: {_ARRAYS} (0 is black, 255 is white)")
