"""Pictures of a request: looked at before they are decoded, and decoded as `tfrecog.predict` does it (Pillow)."""

from dataclasses import dataclass

import numpy as np

from tfrecog.data import depth, image_numpy
from tfrecog.data.image_numpy import Unreadable

from .errors import Refused


@dataclass(frozen=True)
class Picture:
    """One picture of a request: the bytes of a file, or pixels; `place` says where in the request it stands."""

    place: str
    content: bytes | np.ndarray
    pixels: int  # how many it will have, known before it is decoded

    def decode(self, ranges: depth.Ranges = depth.WHOLE) -> np.ndarray:
        """Image uint8 [H, W, 3], upright by its EXIF, more than 8 bits by `ranges`; Refused if it is damaged."""
        if isinstance(self.content, np.ndarray):
            return self.content
        try:
            return image_numpy.decode(self.content, ranges, upright=True)
        except Unreadable as error:
            raise Refused(
                f"{self.place}: the picture cannot be decoded ({error}); was all of the file sent?"
            ) from error


def of(place: str, content: bytes | np.ndarray, max_megapixels: float) -> Picture:
    """A picture of pixels, or of a file's bytes, whose header alone is read; Refused if it is none or too large."""
    if isinstance(content, np.ndarray):
        content = _whole_numbers(place, content)
        height, width = content.shape[:2]
    else:
        height, width = _size(place, content, max_megapixels)
    check_size(place, height, width, max_megapixels)
    return Picture(place, content, height * width)


def _size(place, content, max_megapixels):
    """Height and width of the picture in a file's bytes."""
    listed = f"{', '.join(image_numpy.FORMATS[:-1])} or {image_numpy.FORMATS[-1]}"
    if not content:
        raise Refused(f"{place}: no bytes; send those of a {listed} file")
    try:
        width, height = image_numpy.header(content).size
    except Unreadable as error:
        if error.kind == "unknown":
            raise Refused(
                f"{place}: not an image; it starts with {content[:12]!r}, and a {listed} file is expected"
            ) from error
        if error.kind == "too large":
            raise Refused(
                f"{place}: the picture has more pixels than Pillow reads ({error}); this server takes up to "
                f"{max_megapixels:g} megapixels (--max_megapixels). Send a smaller one.", 413,
            ) from error  # fmt: skip
        raise Refused(f"{place}: the header of the picture cannot be read ({error})") from error
    return height, width


def _whole_numbers(place, pixels):
    """Pixels as uint8 [H, W, 3]."""
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise Refused(f"{place}: pixels have the shape {list(pixels.shape)}; expected [height, width, 3] (RGB)")
    if pixels.dtype.kind not in "iu":
        kind = {"f": "fractions", "b": "true and false"}.get(pixels.dtype.kind, "something else than numbers")
        raise Refused(f"{place}: pixels are {kind}; expected whole numbers in 0..255 (uint8, RGB)")
    if pixels.dtype != np.uint8 and pixels.size and (pixels.min() < 0 or pixels.max() > 255):
        raise Refused(f"{place}: pixels are in {pixels.min()}..{pixels.max()}; expected 0..255 (uint8, RGB)")
    return pixels.astype(np.uint8, copy=False)


def check_size(place: str, height: int, width: int, max_megapixels: float) -> None:
    """Refused if a picture has no pixels, or more than the server takes."""
    if not height or not width:
        raise Refused(f"{place}: a picture of {height} x {width} pixels has nothing in it")
    if height * width > max_megapixels * 1e6:
        raise Refused(
            f"{place}: a picture of {width} x {height} pixels has {height * width / 1e6:.1f} megapixels; this server "
            f"takes up to {max_megapixels:g} (--max_megapixels). Send a smaller one.", 413,
        )  # fmt: skip
