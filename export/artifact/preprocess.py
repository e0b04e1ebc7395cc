"""A photo on the canvas that a TFLite file sees, and its outputs back on the photo; NumPy and Pillow alone."""

from typing import NamedTuple

import numpy as np

from tfrecog.data import image_numpy
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
        seen = image_numpy.middle(picture, int(given["short_side"]), canvas, by)
    elif given["fit"] == "pad":
        size = fitted(photo, canvas)
        seen = image_numpy.resize(picture, size, by)
        seen = np.pad(seen, [(0, canvas[0] - size[0]), (0, canvas[1] - size[1]), (0, 0)])
    else:
        seen = image_numpy.resize(picture, canvas, by)
    seen = np.rint(seen).astype(np.uint8) if given["dtype"] == "uint8" else seen
    return Placed(np.ascontiguousarray(seen), size, (photo[0], photo[1]))


def fitted(photo: tuple[int, ...], canvas: tuple[int, int]) -> tuple[int, int]:
    """Size of a photo of a size (height, width) when it fills a canvas as far as its shape lets it."""
    factor = min(canvas[0] / photo[0], canvas[1] / photo[1])
    height, width = (min(max(int(side * factor + 0.5), 1), most) for side, most in zip(photo, canvas, strict=True))
    return height, width


def proposal_slots(proposals: np.ndarray, placed: Placed, count: int) -> np.ndarray:
    """Proposals [P, 4] in pixels of the photo as float32 [count, 4] in pixels of the canvas; the rest is 0."""
    moved = (proposals * np.tile(placed.scale, 2))[:count]
    return np.pad(moved, [(0, count - len(moved)), (0, 0)]).astype(np.float32)


def detections(outputs: dict, placed: Placed, keypoint_shift: float = 0.0) -> dict:
    """The filled slots of a detector's outputs by their names, moved from the canvas to the photo.

    Args:
        outputs: boxes [D, 4], labels [D], scores [D], and masks [D, S, S] and keypoints [D, J, 3] where it has them.
        keypoint_shift: what is added to a keypoint's y and x (pixels of the photo): 0.5 where a network's are pixel
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
