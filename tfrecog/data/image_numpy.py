"""What data/image.py does to whole images, in NumPy and Pillow: for devices, servers and pipelines.

`decode` is the one reader of image files outside of TensorFlow's graph. It gives the pixels of `image.decode`, which
reads records (docs/decisions/0021-two-decoders-of-images.md).
"""

import contextlib
import io
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tfrecog.cli.errors import UserError


class Unreadable(UserError):
    """Bytes that are no picture; the message says why, and not of which file."""

    def __init__(self, kind: Literal["empty", "unknown", "too large", "damaged"], what: str):
        super().__init__(what)
        self.kind = kind


def decode(data: bytes, *, upright: bool = False) -> np.ndarray:
    """Image uint8 [H, W, 3] of the bytes of a file, whatever Pillow reads; Unreadable if they are none.

    Of 16 bits a pixel the upper 8 are taken. `upright` turns it as its EXIF data say, as viewers do.
    """
    picture = opened(data)
    with _explained(data):
        return to_rgb(ImageOps.exif_transpose(picture) if upright else picture)


def opened(data: bytes) -> Image.Image:
    """The decoded picture of the bytes of a file, in the mode that it has there; Unreadable if they are none."""
    picture = header(data)
    with _explained(data):
        picture.load()
    return picture


def header(data: bytes, formats: tuple[str, ...] | None = None) -> Image.Image:
    """A picture of which only the header is read, for its size and mode; Unreadable if it is none of the formats."""
    with _explained(data):
        return Image.open(io.BytesIO(data), formats=formats)


def orientation(picture: Image.Image) -> object:
    """How its EXIF data say that a picture is to be turned: 1 not at all, 2 to 8, or whatever somebody wrote there."""
    with _explained(b""):
        return picture.getexif().get(ExifTags.Base.Orientation, 1)


def to_rgb(picture: Image.Image) -> np.ndarray:
    """Image uint8 [H, W, 3] of a picture of any mode."""
    if picture.mode.startswith("I"):  # 16 bits a pixel, which Pillow would cut off at 255
        picture = Image.fromarray((np.asarray(picture) / 256).clip(0, 255).astype(np.uint8))
    return np.asarray(picture.convert("RGB"))


@contextlib.contextmanager
def _explained(data):
    try:
        yield
    except Image.DecompressionBombError as error:
        raise Unreadable("too large", str(error)) from error
    except UnidentifiedImageError as error:  # Pillow's words name an object in memory.
        if not data:
            raise Unreadable("empty", "it has no bytes") from error
        raise Unreadable("unknown", f"{len(data):,} bytes that are no image of a known format") from error
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds.
        raise Unreadable("damaged", str(error) or type(error).__name__) from error


def pillow(picture: np.ndarray, size) -> np.ndarray:
    """Image uint8 [h, w, 3] of a size (h, w) of an image uint8 [H, W, 3], by Pillow's filter BILINEAR."""
    height, width = map(int, size)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def resize(picture: np.ndarray, size: tuple[int, int], by: str = "bilinear") -> np.ndarray:
    """Image [h, w, 3] float32 of a size of a picture uint8 [H, W, 3], as `image.resize` has it.

    TensorFlow's bilinear kernel in the same order and precision, so that the same pixels come out.
    """
    if by == "pillow":
        return pillow(picture, size).astype(np.float32)
    (top, bottom, down), (left, right, across) = (_reading(*one) for one in zip(picture.shape, size, strict=False))
    down, across = down[:, None, None], across[:, None]

    def line(rows):
        here = picture[rows]
        first = here[:, left].astype(np.float32)
        return first + (here[:, right].astype(np.float32) - first) * across

    upper = line(top)
    return upper + (line(bottom) - upper) * down


def middle(picture: np.ndarray, short: int, crop: tuple[int, int], by: str) -> np.ndarray:
    """The middle [h, w, 3] float32 of a picture whose short side is resized to `short`: `image.middle`."""
    least = min(picture.shape[:2])
    size = (picture.shape[0] * short // least, picture.shape[1] * short // least)
    # A half is rounded to the even number, as there.
    top, left = (int(np.rint((side - part) / 2)) for side, part in zip(size, crop, strict=True))
    return resize(picture, size, by)[top : top + crop[0], left : left + crop[1]]


def _reading(length, pixels):
    """For each of so many pixels the two of `length` that it lies between, and how far from the first; float32."""
    scale = np.float32(length) / np.float32(pixels)
    at = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    low = np.floor(at)
    first = np.maximum(low.astype(int), 0)
    return first, np.minimum(np.ceil(at).astype(int), length - 1), at - low
