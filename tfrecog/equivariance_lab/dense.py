"""Maps under M_g: features, logits and label maps."""

from dataclasses import dataclass

import numpy as np

from tfrecog.equivariance_lab import transforms
from tfrecog.equivariance_lab.subject import Measures
from tfrecog.equivariance_lab.transforms import Change, Move

# Pixel of the centre of the first cell, in continuous pixels, where it is not that of a network that halves its maps
# by poolings of 2x2: those whose convolutions and poolings are not padded, or not by half of their size.
_FIRST = {"LeNet5": 6.0, "LeCun1989": 0.5, "AlexNet": 15.5}


@dataclass(frozen=True)
class Map:
    """Values [h, w, C] of cells `stride` pixels apart, the first of which is centred at the point (first, first)."""

    values: np.ndarray
    stride: float = 1.0
    first: float = 0.5

    @property
    def cells(self) -> np.ndarray:
        """Points [h, w, 2] of the centres."""
        return transforms.centres(*self.values.shape[:2], self.stride, self.first)

    def moved(self, move: Move) -> np.ndarray:
        """M_g of the values, read bilinearly; exact where cells come to lie on cells."""
        return transforms.read(self.values, move.back(self.cells), "linear", self.stride, self.first)

    def reached(self, move: Move) -> np.ndarray:
        """Cells [h, w] bool whose M_g is read from the map, or half a cell beyond: not all maps cover the image."""
        at = (move.back(self.cells) - self.first) / self.stride
        return np.all((at >= -0.5) & (at <= np.array(self.values.shape[:2]) - 0.5), axis=-1)

    def counted(self, visible: np.ndarray) -> np.ndarray:
        """Cells [h, w] bool all of whose pixels are visible [H, W], as far as the middle and the corners tell."""
        cells, reach = self.cells, (self.stride - 1) / 2
        counted = np.ones(cells.shape[:2], bool)
        for corner in ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)):
            points = cells + np.array(corner) * reach
            index = np.floor(points).astype(int)
            inside = np.all((index >= 0) & (index < visible.shape), axis=-1)
            index = np.clip(index, 0, np.array(visible.shape) - 1)
            counted &= inside & visible[index[..., 0], index[..., 1]]
        return counted


def levels(backbone, features: dict, zeros: int = 0, strides: dict | None = None) -> dict[str, Map]:
    """Maps by name of features {level: [1, h, w, C]} of a backbone, or of a neck on it that has other `strides`.

    The image has `zeros` around it.
    """
    halves = getattr(backbone, "half_pixels", type(backbone).__name__ != "MobileNetV3")
    found = {}
    for level, values in features.items():
        stride = (strides or backbone.strides)[level]
        first = _FIRST.get(type(backbone).__name__, stride / 2 if halves else 0.5) - zeros
        found[f"level{level}"] = Map(np.asarray(values[0], np.float32), stride, first)
    return found


def compare(name: str, before: Map, after: Map, change: Change) -> Measures:
    """`name`_equivariance_error, ‖f(g(x)) - M_g f(x)‖ / ‖M_g f(x)‖ where all is visible, and `name`_invariance_error.

    The latter is ‖f(g(x)) - f(x)‖ / ‖f(x)‖ over all cells. Of unrelated vectors of one length it is the root of 2, if
    their mean is 0.
    """
    expected, counted = before.moved(change.move), before.counted(change.visible) & before.reached(change.move)
    return {
        f"{name}_equivariance_error": relative(after.values[counted], expected[counted]),
        f"{name}_invariance_error": relative(after.values, before.values),
    }


def map_floor(name: str, before: Map, change: Change) -> Measures:
    """What is left of `name`_equivariance_error if there and back again only M_g moves the map."""
    there = Map(before.moved(change.move), before.stride, before.first)
    back = there.moved(change.move.inverse)
    grid = transforms.centres(*change.visible.shape)
    visible = transforms.within(change.move.forth(grid), change.visible.shape)
    counted = before.counted(visible)
    return {f"{name}_equivariance_error": relative(back[counted], before.values[counted])}


def relative(values: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Norm of the difference of two arrays as a share of the norm of the second, as a measure; nothing of nothing."""
    size = float(np.linalg.norm(np.asarray(expected, np.float64)))
    if not size:
        return 0.0, 0.0
    return float(np.linalg.norm(np.asarray(values, np.float64) - expected)) / size, 1.0
