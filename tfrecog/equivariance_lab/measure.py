"""The laboratory's experiment: g with growing strength on every image, and what becomes of a model's outputs."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfrecog.data.records import Record
from tfrecog.data.split import Split
from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.dense import Map, Measures
from tfrecog.equivariance_lab.moves import Change
from tfrecog.equivariance_lab.transforms import Around, Variation

_LEAST = 0.2  # fraction of x that must be left in g(x) for an image to count
NO_BOXES = np.zeros([0, 4])


class Sample(NamedTuple):
    """An image as the network sees it, and what is known of it.

    Attributes:
        image: [H, W, 3] float32 in 0..255.
        name: of the file or the record.
        truth: of the task; None of a photo.
        boxes: [n, 4] of its objects, in pixels of `image`, for what g does to objects.
    """

    image: np.ndarray
    name: str
    truth: Any = None
    boxes: np.ndarray = NO_BOXES


class Outputs(NamedTuple):
    """Outputs for an image: the result of the task, maps by name, and boxes [n, 4] of the objects that are sure."""

    result: Any
    maps: dict[str, Map]
    boxes: np.ndarray = NO_BOXES


class ModelUnderTest(Protocol):
    """A model of one task."""

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        """The model's outputs for `change.image`."""

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        """How outputs for g(x), but for maps, differ from M_g of those for x, and from those for x as they are."""

    def evaluator(self) -> Any:
        """What collects outputs under one change of the images, for `accuracy`."""

    def evaluate(self, evaluator: Any, outputs: Outputs, sample: Sample, change: Change) -> Measures:
        """Compares outputs with M_g of the truth: adds them to an evaluator, and returns what is a mean over images."""

    def accuracy(self, evaluator: Any) -> dict[str, float]:
        """The other numbers of what an evaluator has collected."""

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        """`change.image` with the outputs drawn on it, uint8."""

    def resize(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] as the network sees it, [h, w, 3] float32 without padding."""

    def truth(self, split: Split, row: int, record: Record, size: tuple[int, int]) -> tuple[Any, np.ndarray]:
        """What is true of a record, as in a sample, in an image of a size, and boxes [n, 4] of its objects.

        UserError if the split has no truth for the task.
        """


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


class Means:
    """Means of measures by a key and their name; NaN where nothing counts."""

    def __init__(self):
        self._sums = defaultdict(lambda: np.zeros(2))

    @property
    def keys(self) -> list[tuple]:
        """In the order of their first measure."""
        return list(self._sums)

    def add(self, key: tuple, measures: Measures) -> None:
        for name, sums in measures.items():
            self._sums[*key, name] += sums

    def __getitem__(self, key: tuple) -> float:
        total, count = self._sums.get(key, (0, 0))
        return float(total / count) if count else math.nan


def measure(
    model: ModelUnderTest,
    samples: Sequence[Sample],
    strengths: Mapping[Variation, Sequence[float]],
    *,
    margin: int = 0,
    floors: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[Row], dict[str, dict[float, np.ndarray]]]:
    """Rows of all variations and strengths over all samples; and of the first sample a picture by both.

    Args:
        strengths: of each variation that is applied; its `still` one comes in addition.
        margin: pixels along the edges of x and of g(x) that do not count.
        floors: whether the floors of g are measured, at the cost of one more output for each g that moves points.
        advance: called after each image.
    """
    values, floor, map_floor = Means(), Means(), Means()
    evaluators: dict[tuple[str, float], Any] = {}
    pictures: dict[str, dict[float, np.ndarray]] = defaultdict(dict)
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
                evaluator = evaluators.setdefault(key, model.evaluator())
                values.add(key, model.evaluate(evaluator, after, sample, counted))
            if change.move is not moves.STILL and floors:
                undone = moves.undone(change)
                back = model.outputs(sample, undone)
                floor.add(key, compare(model, before, back, _without_margin(undone, margin)))
                map_floor.add(key, dense.map_floor(before.maps, change))
            if number == 0:
                pictures[variation.name][strength] = model.picture(after, change)
        advance()
    rows = [Row(*key, values[key], floor[key], map_floor[key]) for key in values.keys]
    for key, evaluator in evaluators.items():
        rows += [Row(*key, name, value) for name, value in model.accuracy(evaluator).items()]
    return rows, pictures


def compare(model: ModelUnderTest, before: Outputs, after: Outputs, change: Change) -> Measures:
    """Differences of the outputs for g(x) from those for x: of the model's task, and of the maps."""
    return model.compare(before, after, change) | dense.compare(before.maps, after.maps, change)


def _changes(image, unchanged, strengths, around):
    """Yields each variation and strength, rising, with its change, if that leaves enough of x."""
    for variation, chosen in strengths.items():
        for strength in sorted({variation.still, *chosen}):
            change = unchanged if strength == variation.still else variation.change(image, strength, around)
            # How much of x g(x) shows.
            left = moves.within(change.move.forth(moves.centres(*change.size)), change.size)
            if np.mean(left) >= _LEAST:
                yield variation, strength, change


def _without_margin(change, margin):
    """The change, where what lies within a margin of an edge, in x or in g(x), is not visible."""
    if not margin:
        return change
    far = moves.within(change.move.back(moves.centres(*change.size)), change.size, margin)
    return dataclasses.replace(change, visible=moves.shrunk(change.visible, margin) & far)


def _other(samples, number):
    """Another image, of the size of this one, with its middle at the corners; of a single one, itself upside down."""
    image = samples[number].image
    other = samples[(number + 1) % len(samples)].image if len(samples) > 1 else image[::-1]
    rows, columns = (np.arange(n) * o // n for n, o in zip(image.shape[:2], other.shape[:2], strict=True))
    other = other[rows][:, columns]
    return np.roll(other, [n // 2 for n in image.shape[:2]], axis=(0, 1))
