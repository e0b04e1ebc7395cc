"""Anchors by the boxes of a data set, judged by how many boxes they reach.

The wide default loses thin or crowded sizes, and clusters of all boxes together lose the rare class. So the sizes are
clusters of as many boxes of each class, and they replace what a network comes with only where more boxes are reached.
"""

from dataclasses import dataclass

import numpy as np

SAMPLES, ALL_SAMPLES = 1000, 5000  # boxes of a class, and of all
FEW = 50  # boxes, from which no clusters are made
SMALLEST = 4.0  # pixels; smaller boxes teach nothing
APART = 1.26  # the least quotient of neighbouring sizes
SQUARE = (0.6, 1.7)  # ratios of objects that need no anchors of 0.5 and 2
DEFAULT_RATIOS = (0.5, 1.0, 2.0)
_OFFSETS = 2  # random places of the grid for each box


@dataclass(frozen=True)
class Anchors:
    """Of the levels of a pyramid, and the share of the boxes with at least this IoU with one of them."""

    sizes: tuple[int, ...]
    ratios: tuple[float, ...]
    reached: float  # with an IoU of 0.5
    close: float  # with one of 0.7


def chosen(boxes: np.ndarray, scale: float, levels: int, *, first: int = 2) -> Anchors:
    """The anchors of a pyramid from level `first` on.

    Args:
        boxes: [m, 3] of label, height, width in shares of the short side.
        scale: pixels of the short side.
    """
    drawn = balanced(boxes)
    drawn = drawn[(drawn[:, 1:] * scale).min(axis=1, initial=np.inf) >= SMALLEST] if len(drawn) else drawn
    usual = tuple(int(4 * 2 ** (first + level)) for level in range(levels))  # 16, 32, ... for the levels 2, 3, ...
    if not len(drawn):
        return Anchors(usual, DEFAULT_RATIOS, 0.0, 0.0)
    height, width = (drawn[:, 1:] * scale).T
    sizes = np.sqrt(height * width)
    candidates = [usual, tuple(2 * one for one in usual), spaced(geometric(sizes, levels))]
    if len(drawn) >= FEW and len(np.unique(np.round(sizes))) >= 2 * levels:
        candidates.append(spaced(clustered(np.log(sizes), levels)))
    shapes = dict.fromkeys((_ratios(height / width), DEFAULT_RATIOS))
    tried = [judged(drawn, scale, one, ratios, first=first) for ratios in shapes for one in candidates]
    best = tried[0]
    for one in tried[1:]:
        if one.reached + one.close > best.reached + best.close + 0.01 and one.reached >= best.reached - 0.01:
            best = one
    return best


def balanced(boxes: np.ndarray) -> np.ndarray:
    """As many boxes [m, 3] of each class, SAMPLES at most and together ALL_SAMPLES; rare ones several times."""
    labels, counts = np.unique(boxes[:, 0], return_counts=True)
    most = min(SAMPLES, int(counts.max(initial=0)), max(1, ALL_SAMPLES // max(1, len(labels))))
    random, drawn = np.random.default_rng(0), [np.zeros((0, 3))]
    for label in labels:
        own = random.permutation(boxes[boxes[:, 0] == label])
        # A handful of boxes may be mistakes: they count ten times at most.
        drawn.append(np.resize(own, (min(most, 10 * len(own)), 3)))
    return np.concatenate(drawn)


def geometric(sizes: np.ndarray, levels: int) -> np.ndarray:
    """Sizes [levels] in equal quotients over those of the boxes."""
    low, high = np.percentile(sizes, [5, 95])
    middle = np.sqrt(low * high)
    # Of one size alone, half an octave apart around it.
    low, high = min(low * 1.2, middle * 2 ** (-(levels - 1) / 4)), max(high / 1.2, middle * 2 ** ((levels - 1) / 4))
    return np.geomspace(low, high, levels)


def clustered(logs: np.ndarray, levels: int) -> np.ndarray:
    """Sizes [levels] of the clusters of logarithms [m] (k-means in one dimension, from the quantiles)."""
    centres = np.quantile(logs, (np.arange(levels) + 0.5) / levels)
    for _ in range(50):
        nearest = np.abs(logs[:, None] - centres).argmin(axis=1)
        moved = np.array([logs[nearest == k].mean() if (nearest == k).any() else centres[k] for k in range(levels)])
        if np.allclose(moved, centres, atol=1e-6):
            break
        centres = moved
    return np.exp(np.sort(centres))


def spaced(sizes: np.ndarray) -> tuple[int, ...]:
    """Whole sizes, ascending, neighbours at least APART."""
    found: list[int] = []
    for size in np.sort(sizes):
        least = found[-1] * APART if found else SMALLEST
        found.append(int(np.ceil(max(least, size) - 0.5)))
        if len(found) > 1 and found[-1] <= found[-2]:
            found[-1] = found[-2] + 1
    return tuple(found)


def judged(
    boxes: np.ndarray, scale: float, sizes: tuple[int, ...], ratios: tuple[float, ...], *, first: int = 2
) -> Anchors:
    """The anchors, with the share of the boxes [m, 3] that they reach from a random place of the grid."""
    random, best = np.random.default_rng(0), np.zeros(len(boxes) * _OFFSETS)
    height, width = np.repeat(boxes[:, 1:] * scale, _OFFSETS, axis=0).T
    for level, size in enumerate(sizes, first):
        # How far a box lies from the next anchor, at most half a cell each way.
        dy, dx = random.uniform(-0.5, 0.5, [2, len(height)]) * 2.0**level
        for ratio in ratios:
            tall, wide = size * np.sqrt(ratio), size / np.sqrt(ratio)
            together = _common(height, tall, dy) * _common(width, wide, dx)
            best = np.maximum(best, together / (height * width + tall * wide - together))
    return Anchors(sizes, ratios, round(float((best >= 0.5).mean()), 3), round(float((best >= 0.7).mean()), 3))


def _common(one, other, offset):
    """Length that two segments share whose middles are `offset` apart."""
    return np.clip((one + other) / 2 - np.abs(offset), 0, np.minimum(one, other))


def _ratios(ratios: np.ndarray) -> tuple[float, ...]:
    """Three ratios of the boxes where they are all about square, or the usual ones."""
    low, middle, high = np.percentile(ratios, [10, 50, 90])
    if SQUARE[0] <= low and high <= SQUARE[1]:
        return tuple(dict.fromkeys(round(float(one), 2) for one in (low, middle, high)))
    return DEFAULT_RATIOS
