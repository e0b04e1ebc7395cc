"""What data/image.py does to whole images, in NumPy and Pillow: for devices, and for Pillow's filter in tf.data."""

import numpy as np
from PIL import Image


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
