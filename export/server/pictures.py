"""Pictures of a request, in base64 or lists: looked at before they are decoded, and decoded as in `tfrecog.predict`."""

import base64
import binascii
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.data import image_numpy
from tfrecog.data.image_numpy import Unreadable
from tfrecog.data.reading import AS_SHOWN, Reading

from .errors import Refused, typed

_LISTED = f"{', '.join(image_numpy.FORMATS[:-1])} or {image_numpy.FORMATS[-1]}"


@dataclass(frozen=True)
class Picture:
    """One picture of a request: the bytes of a file, or pixels; `place` says where in the request it stands."""

    place: str
    content: bytes | np.ndarray
    pixels: int  # how many it will have, known before it is decoded

    def decode(self, reading: Reading = AS_SHOWN) -> np.ndarray:
        """Image uint8 [H, W, 3]; Refused if it is damaged."""
        if isinstance(self.content, np.ndarray):
            return self.content
        try:
            return reading.decode(self.content)
        except Unreadable as error:
            raise Refused(
                f"{self.place}: the picture cannot be decoded ({error}); was all of the file sent?"
            ) from error


def of(place: str, content: bytes | np.ndarray, max_megapixels: float) -> Picture:
    """A picture of pixels uint8, or of a file's bytes, whose header is read; Refused if it is none or too large."""
    if isinstance(content, bytes):
        height, width = _size(place, content, max_megapixels)
    elif content.ndim == 3 and content.shape[2] == 3:
        height, width = content.shape[:2]
    else:
        raise Refused(f"{place}: pixels have the shape {list(content.shape)}; expected [height, width, 3] (RGB)")
    check_size(place, height, width, max_megapixels)
    return Picture(place, content, height * width)


def _size(place: str, content: bytes, max_megapixels: float) -> tuple[int, int]:
    """Height and width of the picture in a file's bytes."""
    if not content:
        raise Refused(f"{place}: no bytes; send those of a {_LISTED} file")
    try:
        width, height = image_numpy.header(content).size
    except Unreadable as error:
        if error.kind in ("too large", "too many parts"):
            most = f"; this server takes up to {max_megapixels:g} megapixels (--max_megapixels)"
            sentence = f"{place}: the picture is not decoded: {error}{most if error.kind == 'too large' else ''}"
            raise Refused(sentence, 413) from error
        if error.kind == "unknown":
            what = f"not an image; it starts with {content[:12]!r}"
        else:
            what = f"the header of the picture cannot be read ({error})"
        raise Refused(f"{place}: {what}, and a {_LISTED} file is expected") from error
    return height, width


def check_size(place: str, height: int, width: int, max_megapixels: float) -> None:
    """Refused if a picture has no pixels, or more than the server takes."""
    if not height or not width:
        raise Refused(f"{place}: a picture of {height} x {width} pixels has nothing in it")
    if height * width > max_megapixels * 1e6:
        raise Refused(
            f"{place}: a picture of {width} x {height} pixels has {height * width / 1e6:.1f} megapixels; this server "
            f"takes up to {max_megapixels:g} (--max_megapixels). Send a smaller one.", 413,
        )  # fmt: skip


def from_base64(place: str, text: Any) -> bytes:
    """The bytes that a text stands for, which may have line breaks."""
    try:
        text = typed(str, text, place, "expected the base64 of an image file")
        return base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Refused(f"{place} is not base64 ({str(error)[:80]})") from error


def from_lists(place: str, values: list) -> np.ndarray:
    """Nested lists of whole numbers in 0..255 as an array uint8 of any shape."""
    kinds, level = set(), values
    while level:
        kinds |= {*map(type, level)}
        level = list(itertools.chain.from_iterable(one for one in level if isinstance(one, list)))
    if not kinds <= {list, int}:  # Of texts NumPy would make an array as wide as the longest.
        numbers = "fractions" if kinds <= {list, int, float} else "something else than numbers"
        what = "true and false" if kinds <= {list, bool} else numbers
        raise Refused(f"{place}: pixels are {what}; expected whole numbers in 0..255 (uint8, RGB)")
    try:
        array = np.array(values)
    except ValueError as error:
        raise Refused(f"{place}: the lists of pixels do not all have the same length, or are too deep") from error
    if array.size and (array.min() < 0 or array.max() > 255):
        raise Refused(f"{place}: pixels are in {array.min()}..{array.max()}; expected 0..255 (uint8, RGB)")
    return array.astype(np.uint8)
