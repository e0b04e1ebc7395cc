"""The laboratory's experiment: g with growing strength on every image, and what becomes of the outputs."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tfrecog.equivariance_lab import transforms
from tfrecog.equivariance_lab.subject import Measures, Sample, Subject
from tfrecog.equivariance_lab.transforms import Around, Change, Variation

_LEAST = 0.2  # share of x that must be left in g(x) for an image to count


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
    subject: Subject,
    samples: Sequence[Sample],
    chosen: Sequence[Variation],
    *,
    margin: int = 0,
    floors: bool = True,
    objects: Callable[[object], np.ndarray] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Row], dict[str, list[np.ndarray]]]:
    """Rows of all variations and strengths over all samples; and of the first sample a picture of each, by variation.

    Args:
        margin: pixels along the edges of x and of g(x) that do not count.
        floors: whether the floors of g are measured, at the cost of one more output for each g that moves points.
        objects: boxes [n, 4] of the outputs for x, where a sample has none of its own.
        advance: called after each image.
    """
    values, floor, map_floor = _Sums(), _Sums(), _Sums()
    accuracies: dict[tuple[str, float], object] = {}
    pictures: dict[str, list[np.ndarray]] = {}
    for number, sample in enumerate(samples):
        nothing = unchanged(sample.image)
        before = subject.see(sample, nothing)
        boxes = objects(before) if objects and not len(sample.boxes) else sample.boxes
        around = Around(boxes, _other(samples, number), seed=number)
        for variation in chosen:
            for strength in sorted({variation.still, *variation.strengths}):
                key = variation.name, strength
                still = strength == variation.still
                change = nothing if still else variation.change(sample.image, strength, around)
                if _left(change) < _LEAST:
                    continue
                after = before if still else subject.see(sample, change)
                inner = _inner(change, margin)
                values.add(key, subject.compare(before, after, inner))
                if sample.truth is not None:
                    accuracy = accuracies.setdefault(key, subject.accuracy())
                    accuracy.add(after, sample, inner)
                if change.moves and floors:
                    undone = transforms.undone(change)
                    floor.add(key, subject.compare(before, subject.see(sample, undone), _inner(undone, margin)))
                    map_floor.add(key, subject.map_floor(before, change))
                if number == 0:
                    pictures.setdefault(variation.name, []).append(subject.picture(after, change))
        advance()
    rows = [
        Row(*key, values.mean(key), floor.mean(key), map_floor.mean(key))
        for key in values.sums  # in the order of the variations and their strengths
    ]
    for (name, strength), accuracy in accuracies.items():
        rows += [Row(name, strength, number, value) for number, value in accuracy.numbers().items()]
    return rows, pictures


def _left(change):
    """Share of x that g(x) shows."""
    if not change.moves:
        return 1.0
    size = change.visible.shape
    return float(np.mean(transforms.within(change.move.forth(transforms.centres(*size)), size)))


def unchanged(image: np.ndarray) -> Change:
    """x itself."""
    everywhere = np.ones(image.shape[:2], bool)
    return Change(image, transforms.STILL, everywhere, everywhere)


def _inner(change, margin):
    """The change, where what lies within a margin of an edge, in x or in g(x), is not visible."""
    if not margin:
        return change
    grid = transforms.centres(*change.visible.shape)
    far = transforms.within(change.move.back(grid), change.visible.shape, margin)
    return dataclasses.replace(change, visible=transforms.shrunk(change.visible, margin) & far)


def _other(samples, number):
    """Another image, of the size of this one, with its middle at the corners; of a single one, itself upside down."""
    image = samples[number].image
    other = samples[(number + 1) % len(samples)].image if len(samples) > 1 else image[::-1]
    rows, columns = (np.arange(n) * o // n for n, o in zip(image.shape[:2], other.shape[:2], strict=True))
    other = other[rows][:, columns]
    return np.roll(other, [n // 2 for n in image.shape[:2]], axis=(0, 1))
