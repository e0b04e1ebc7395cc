"""A photo on the canvas that a TFLite file sees, and what it sees back on the photo; NumPy and Pillow alone."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from tfrecog.ops import to_original


class Placed(NamedTuple):
    """A photo as a model sees it."""

    image: np.ndarray  # [H, W, 3] in 0..255, uint8 or float32
    size: tuple[int, int]  # rows and columns of it that are photo, from the top left corner on
    photo: tuple[int, int]  # height and width of the photo

    @property
    def scale(self) -> np.ndarray:
        """Pixels of the canvas for one of the photo, float32 [2] (y, x)."""
        return np.asarray(self.size, np.float32) / np.asarray(self.photo, np.float32)


def place(picture: np.ndarray, given: dict, by: str) -> Placed:
    """A photo uint8 [H, W, 3] as the `input` of a file's metadata says.

    Args:
        given: `dtype` (uint8 or float32), `size` [height, width] of the canvas, and `fit`. pad: the photo keeps its
            shape and lies in the top left corner, the rest is 0. stretch: it is resized to the canvas. middle: it is
            resized until its short side is `short_side`, and the canvas is its middle.
        by: `bilinear` or `pillow`; see `tfrecog.data.image.resize`.
    """
    photo, canvas = picture.shape[:2], (int(given["size"][0]), int(given["size"][1]))
    size = canvas
    if given["fit"] == "middle":
        seen = middle(picture, int(given["short_side"]), canvas, by)
    elif given["fit"] == "pad":
        size = fitted(photo, canvas)
        seen = resize(picture, size, by)
        seen = np.pad(seen, [(0, canvas[0] - size[0]), (0, canvas[1] - size[1]), (0, 0)])
    else:
        seen = resize(picture, canvas, by)
    seen = np.rint(seen).astype(np.uint8) if given["dtype"] == "uint8" else seen
    return Placed(np.ascontiguousarray(seen), size, (photo[0], photo[1]))


def fitted(photo: tuple[int, ...], canvas: tuple[int, int]) -> tuple[int, int]:
    """Size of a photo of a size (height, width) when it fills a canvas as far as its shape lets it."""
    factor = min(canvas[0] / photo[0], canvas[1] / photo[1])
    height, width = (min(max(int(side * factor + 0.5), 1), most) for side, most in zip(photo, canvas, strict=True))
    return height, width


def resize(picture: np.ndarray, size: tuple[int, int], by: str = "bilinear") -> np.ndarray:
    """Image [h, w, 3] float32 of a size of a picture uint8 [H, W, 3]: `tfrecog.data.image.resize`, without TensorFlow.

    Its bilinear kernel in the same order and precision, so that the same pixels come out.
    """
    if by == "pillow":
        resized = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR)
        return np.asarray(resized).astype(np.float32)
    (top, bottom, down), (left, right, across) = (_reading(*one) for one in zip(picture.shape, size, strict=False))
    down, across = down[:, None, None], across[:, None]

    def line(rows):
        here = picture[rows]
        first = here[:, left].astype(np.float32)
        return first + (here[:, right].astype(np.float32) - first) * across

    upper = line(top)
    return upper + (line(bottom) - upper) * down


def _reading(length, pixels):
    """For each of so many pixels the two of `length` that it lies between, and how far from the first; float32."""
    scale = np.float32(length) / np.float32(pixels)
    at = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    low = np.floor(at)
    first = np.maximum(low.astype(int), 0)
    return first, np.minimum(np.ceil(at).astype(int), length - 1), at - low


def middle(picture: np.ndarray, short: int, crop: tuple[int, int], by: str) -> np.ndarray:
    """The middle [h, w, 3] float32 of a picture whose short side is resized to `short`: `tfrecog.data.image.middle`."""
    least = min(picture.shape[:2])
    size = (picture.shape[0] * short // least, picture.shape[1] * short // least)
    # A half is rounded to the even number, as there.
    top, left = (int(np.rint((side - part) / 2)) for side, part in zip(size, crop, strict=True))
    return resize(picture, size, by)[top : top + crop[0], left : left + crop[1]]


def detections(outputs: dict, placed: Placed, keypoint_shift: float = 0.0) -> dict:
    """The filled slots of a detector's outputs by their names, moved from the canvas to the photo.

    Args:
        outputs: boxes [D, 4], labels [D], scores [D], and masks [D, S, S] and keypoints [D, J, 3] where it has them.
        keypoint_shift: what is added to a keypoint's y and x (pixels of the photo): 0.5 where a network speaks of pixel
            indices.
    """
    filled = outputs["labels"] > 0
    found = {name: value[filled] for name, value in outputs.items()}
    found["boxes"] = to_original.boxes(found["boxes"], placed.scale, placed.photo)
    if "keypoints" in found:
        found["keypoints"] = to_original.keypoints(found["keypoints"], placed.scale)
        found["keypoints"][..., :2] += np.float32(keypoint_shift)
    return found


def label_map(labels: np.ndarray, placed: Placed) -> np.ndarray:
    """Labels [h, w] uint8 of the photo's pixels, each that of the canvas' pixel [H, W] in which its centre lies."""
    rows, columns = (
        np.minimum(((np.arange(side) + 0.5) * (seen / side)).astype(int), seen - 1)
        for side, seen in zip(placed.photo, placed.size, strict=True)
    )
    return labels[rows][:, columns].astype(np.uint8)
