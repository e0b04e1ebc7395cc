"""Pictures of a request: looked at before they are decoded, and decoded as `tfrecog.predict` does it (Pillow)."""

from dataclasses import dataclass

import numpy as np

from tfrecog.data import image_numpy
from tfrecog.data.image_numpy import Unreadable

from .errors import Refused, too_large

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")


@dataclass(frozen=True)
class Picture:
    """One picture of a request: the bytes of a file, or pixels; `place` says where in the request it stands."""

    place: str
    content: bytes | np.ndarray
    pixels: int  # how many it will have, known before it is decoded

    def decode(self) -> np.ndarray:
        """Image uint8 [H, W, 3], upright by its EXIF; Refused if it is damaged."""
        if isinstance(self.content, np.ndarray):
            return self.content
        try:
            return image_numpy.decode(self.content, upright=True)
        except Unreadable as error:
            raise Refused(
                f"{self.place}: the picture cannot be decoded ({error}); was all of the file sent?"
            ) from error


def of_file(place: str, content: bytes, max_megapixels: float) -> Picture:
    """A picture in a file's bytes, of which only the header is read; Refused if it is none or too large."""
    if not content:
        raise Refused(f"{place}: no bytes; send those of a {_listed()} file")
    try:
        width, height = image_numpy.header(content, FORMATS).size
    except Unreadable as error:
        if error.kind == "unknown":
            what = f"not an image; it starts with {content[:12]!r}, and a {_listed()} file is expected"
            raise Refused(f"{place}: {what}") from error
        if error.kind == "too large":
            raise too_large(
                f"{place}: the picture has more pixels than Pillow reads ({error}); this server takes up to "
                f"{max_megapixels:g} megapixels (--max_megapixels). Send a smaller one."
            ) from error
        raise Refused(f"{place}: the header of the picture cannot be read ({error})") from error
    check_size(place, height, width, max_megapixels)
    return Picture(place, content, height * width)


def of_pixels(place: str, pixels: np.ndarray, max_megapixels: float) -> Picture:
    """A picture that is given as pixels; Refused unless they are uint8 [H, W, 3]."""
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise Refused(f"{place}: pixels have the shape {list(pixels.shape)}; expected [height, width, 3] (RGB)")
    if pixels.dtype == np.uint8:
        whole = pixels
    elif pixels.dtype.kind not in "iu":
        kind = {"f": "fractions", "b": "true and false"}.get(pixels.dtype.kind, "something else than numbers")
        raise Refused(f"{place}: pixels are {kind}; expected whole numbers in 0..255 (uint8, RGB)")
    elif pixels.size and (pixels.min() < 0 or pixels.max() > 255):
        raise Refused(f"{place}: pixels are in {pixels.min()}..{pixels.max()}; expected 0..255 (uint8, RGB)")
    else:
        whole = pixels.astype(np.uint8)
    check_size(place, *pixels.shape[:2], max_megapixels)
    return Picture(place, whole, pixels.shape[0] * pixels.shape[1])


def check_size(place: str, height: int, width: int, max_megapixels: float) -> None:
    """Refused if a picture has no pixels, or more than the server takes."""
    if not height or not width:
        raise Refused(f"{place}: a picture of {height} x {width} pixels has nothing in it")
    if height * width > max_megapixels * 1e6:
        raise too_large(
            f"{place}: a picture of {width} x {height} pixels has {height * width / 1e6:.1f} megapixels; this server "
            f"takes up to {max_megapixels:g} (--max_megapixels). Send a smaller one."
        )


def _listed():
    return f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
