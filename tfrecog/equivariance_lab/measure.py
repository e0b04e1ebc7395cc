"""The laboratory's experiment: g with growing strength on every image, and what becomes of the outputs."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.model_under_test import Accuracy, Measures, ModelUnderTest, Sample
from tfrecog.equivariance_lab.moves import Change
from tfrecog.equivariance_lab.transforms import Around, Variation

_LEAST = 0.2  # fraction of x that must be left in g(x) for an image to count


class Row(NamedTuple):
    """One number: the mean of a measure over the images, under one variation at one strength.

    `floor` is the same measure for g and its inverse, one after the other, so nothing but what g interpolates, twice;
    `map_floor` is what M_g and its inverse change of the outputs for x alone. NaN where there is none.
    """

    variation: str
    strength: float
    measure: str
    value: float
    floor: float = math.nan
    map_floor: float = math.nan


class _Sums:
    def __init__(self):
        self.sums: dict[tuple, list[float]] = {}

    def add(self, key: tuple, measures: Measures) -> None:
        for name, (total, count) in measures.items():
            sums = self.sums.setdefault((*key, name), [0.0, 0.0])
            sums[0] += total
            sums[1] += count

    def mean(self, key: tuple) -> float:
        total, count = self.sums.get(key, (0.0, 0.0))
        return total / count if count else math.nan


def measure(
    model: ModelUnderTest,
    samples: Sequence[Sample],
    strengths: Mapping[Variation, Sequence[float]],
    *,
    margin: int = 0,
    floors: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[Row], dict[str, list[np.ndarray]]]:
    """Rows of all variations and strengths over all samples; and of the first sample a picture of each, by variation.

    Args:
        strengths: of each variation that is applied; its `still` one comes in addition.
        margin: pixels along the edges of x and of g(x) that do not count.
        floors: whether the floors of g are measured, at the cost of one more output for each g that moves points.
        advance: called after each image.
    """
    values, floor, map_floor = _Sums(), _Sums(), _Sums()
    accuracies: dict[tuple[str, float], Accuracy] = {}
    pictures: dict[str, list[np.ndarray]] = {}
    for number, sample in enumerate(samples):
        unchanged = moves.in_place(sample.image)
        before = model.outputs(sample, unchanged)
        # What the model sees is moved as objects where nothing is known of them.
        around = Around(sample.boxes if len(sample.boxes) else before.boxes, _other(samples, number), seed=number)
        for variation, strength, change in _changes(sample.image, unchanged, strengths, around):
            key = variation.name, strength
            after = before if change is unchanged else model.outputs(sample, change)
            counted = _without_margin(change, margin)
            values.add(key, compare(model, before, after, counted))
            if sample.truth is not None:
                accuracies.setdefault(key, model.accuracy()).add(after, sample, counted)
            if change.moves and floors:
                undone = moves.undone(change)
                back = model.outputs(sample, undone)
                floor.add(key, compare(model, before, back, _without_margin(undone, margin)))
                map_floor.add(key, dense.map_floor(before.maps, change))
            if number == 0:
                pictures.setdefault(variation.name, []).append(model.picture(after, change))
        advance()
    rows = [
        Row(*key, values.mean(key), floor.mean(key), map_floor.mean(key))
        for key in values.sums  # in the order of the variations and their strengths
    ]
    for key, accuracy in accuracies.items():
        rows += [Row(*key, name, value) for name, value in accuracy.numbers().items()]
    return rows, pictures


def compare(model: ModelUnderTest, before: Any, after: Any, change: Change) -> Measures:
    """Differences of the outputs for g(x) from those for x: of the model's task, and of the maps."""
    return model.compare(before, after, change) | dense.compare(before.maps, after.maps, change)


def _changes(image, unchanged, strengths, around):
    """Yields each variation and strength, rising, with its change, if that leaves enough of x."""
    for variation, chosen in strengths.items():
        for strength in sorted({variation.still, *chosen}):
            change = unchanged if strength == variation.still else variation.change(image, strength, around)
            if _left(change) >= _LEAST:
                yield variation, strength, change


def _left(change):
    """Fraction of x that g(x) shows."""
    if not change.moves:
        return 1.0
    size = change.visible.shape
    return float(np.mean(moves.within(change.move.forth(moves.centres(*size)), size)))


def _without_margin(change, margin):
    """The change, where what lies within a margin of an edge, in x or in g(x), is not visible."""
    if not margin:
        return change
    grid = moves.centres(*change.visible.shape)
    far = moves.within(change.move.back(grid), change.visible.shape, margin)
    return dataclasses.replace(change, visible=moves.shrunk(change.visible, margin) & far)


def _other(samples, number):
    """Another image, of the size of this one, with its middle at the corners; of a single one, itself upside down."""
    image = samples[number].image
    other = samples[(number + 1) % len(samples)].image if len(samples) > 1 else image[::-1]
    rows, columns = (np.arange(n) * o // n for n, o in zip(image.shape[:2], other.shape[:2], strict=True))
    other = other[rows][:, columns]
    return np.roll(other, [n // 2 for n in image.shape[:2]], axis=(0, 1))
