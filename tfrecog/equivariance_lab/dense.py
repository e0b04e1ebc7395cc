"""Maps under M_g: what becomes of the features and logits of a network."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tfrecog.equivariance_lab.moves import Change, Grid

# A measure is the sum of its totals over all images (or objects) divided by that of its counts: name → total, count.
Measures = dict[str, tuple[float, float]]
# Pixel of the centre of the first cell, in continuous pixels, where it is not that of a network that halves its maps
# by poolings of 2x2: those whose convolutions and poolings are not padded, or not by half of their size.
_FIRST = {"LeNet5": 6.0, "LeCun1989": 0.5, "AlexNet": 15.5}


def levels(backbone, features: dict, zeros: int = 0, strides: dict | None = None) -> dict[str, Grid]:
    """Maps by name of features {level: [1, h, w, C]} of a backbone, or of a neck on it that has other `strides`.

    The image has `zeros` around it.
    """
    halves = getattr(backbone, "half_pixels", type(backbone).__name__ != "MobileNetV3")
    found = {}
    for level, values in features.items():
        stride = (strides or backbone.strides)[level]
        first = _FIRST.get(type(backbone).__name__, stride / 2 if halves else 0.5) - zeros
        found[f"level{level}"] = Grid(np.asarray(values[0], np.float32), stride, first)
    return found


def compare(before: Mapping[str, Grid], after: Mapping[str, Grid], change: Change) -> Measures:
    """`NAME_equivariance_error` and `NAME_invariance_error` of each map.

    The former is ‖f(g(x)) - M_g f(x)‖ / ‖M_g f(x)‖ where all is visible, the latter ‖f(g(x)) - f(x)‖ / ‖f(x)‖ over all
    cells. Of unrelated vectors of one length it is the root of 2, if their mean is 0.
    """
    found: Measures = {}
    for name, one in before.items():
        values = after[name].values
        # Cells whose M_g is read from the map, or half a cell beyond: not all maps cover the image.
        at = (change.move.back(one.centres) - one.first) / one.stride
        reached = np.all((at >= -0.5) & (at <= np.array(values.shape[:2]) - 0.5), axis=-1)
        seen = reached & visible_cells(one, change.visible)
        found[f"{name}_equivariance_error"] = relative(values[seen], one.moved(change.move)[seen])
        found[f"{name}_invariance_error"] = relative(values, one.values)
    return found


def map_floor(before: Mapping[str, Grid], change: Change) -> Measures:
    """What is left of `NAME_equivariance_error` of each map if there and back again only M_g moves the map."""
    found = {}
    for name, one in before.items():
        back = dataclasses.replace(one, values=one.moved(change.move)).moved(change.move.inverse)
        seen = visible_cells(one, change.kept)
        found[f"{name}_equivariance_error"] = relative(back[seen], one.values[seen])
    return found


def visible_cells(one: Grid, visible: np.ndarray) -> np.ndarray:
    """Cells [h, w] bool of a map all of whose pixels are visible [H, W], as far as the middle and the corners tell."""
    reach = (one.stride - 1) / 2 * np.array([(0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)])
    pixels = np.floor(one.centres[..., None, :] + reach).astype(int)
    inside = np.all((pixels >= 0) & (pixels < visible.shape), axis=-1)
    rows, columns = np.moveaxis(np.clip(pixels, 0, np.array(visible.shape) - 1), -1, 0)
    return np.all(inside & visible[rows, columns], axis=-1)


def relative(values: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """Norm of the difference of two arrays as a fraction of the norm of the second, as a measure; 0 / 0 is left out."""
    size = float(np.linalg.norm(np.asarray(expected, np.float64)))
    if not size:
        return 0.0, 0.0
    return float(np.linalg.norm(np.asarray(values, np.float64) - expected)) / size, 1.0
