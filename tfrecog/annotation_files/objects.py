"""The objects of an image, of a record or a prediction, as the writers of all formats take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfrecog.ops import polygons, rle


@dataclass(frozen=True)
class Objects:
    """An image and its n objects, in pixels."""

    name: str  # of the image file, below the folder of all of them, with slashes
    image_id: int
    size: tuple[int, int]  # height, width
    boxes: np.ndarray  # [n, 4] y1, x1, y2, x2
    labels: np.ndarray  # [n], 1..K
    crowd: np.ndarray  # bool [n]
    areas: np.ndarray  # [n], square pixels
    masks: Sequence[np.ndarray] | None = None  # [n] run lengths; those without a pixel stand for none
    keypoints: np.ndarray | None = None  # [n, J, 3] y, x, visibility (0: not labelled, 1: hidden, 2: visible)
    difficult: np.ndarray | None = None  # bool [n]
    scores: np.ndarray | None = None  # [n]

    def outline(self, i: int) -> np.ndarray:
        """The mask of object i as a polygon [p, 2] (x, y); [0, 2] where there is none."""
        if self.masks is None or not rle.area(self.masks[i]):
            return np.zeros([0, 2])
        y1, x1, y2, x2 = rle.box(self.masks[i], self.size[0])
        crop = rle.decode(self.masks[i], *self.size)[y1:y2, x1:x2]
        return polygons.outline(crop) + np.array([x1, y1])


def box_around(polygon: np.ndarray) -> np.ndarray:
    """Box [4] (y1, x1, y2, x2) around a polygon [p, 2] (x, y)."""
    return np.concatenate([polygon.min(axis=0)[::-1], polygon.max(axis=0)[::-1]])


def same_box(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes are the same to a thousandth of a pixel."""
    return bool(np.abs(box - other).max() <= 1e-3)
