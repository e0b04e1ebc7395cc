"""The laboratory's experiment: g with growing strength on every image, and what becomes of a model's outputs."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfrecog.data.records import Record
from tfrecog.data.split import Split
from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.dense import Measures
from tfrecog.equivariance_lab.moves import Change, Grid
from tfrecog.equivariance_lab.transforms import VARIATIONS, Around

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
    maps: dict[str, Grid]
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
    """Measures added up by what becomes their row: variation and strength."""

    def __init__(self):
        self._sums = defaultdict(lambda: np.zeros([3, 2]))

    def add(self, variation: str, strength: float, *measures: Measures) -> None:
        """Adds to the values, and if given to the floors and the floors of maps."""
        for column, some in enumerate(measures):
            for name, sums in some.items():
                self._sums[variation, strength, name][column] += sums

    def rows(self) -> list[Row]:
        """A row for each variation, strength and measure, as they came first; NaN where nothing counts."""
        return [Row(*key, *(float(t / n) if n else math.nan for t, n in sums)) for key, sums in self._sums.items()]


def measure(
    model: ModelUnderTest,
    samples: Sequence[Sample],
    strengths: Mapping[str, Sequence[float]],
    *,
    margin: int = 0,
    floors: bool = True,
    advance: Callable[[], object] = lambda: None,
) -> tuple[list[Row], dict[str, dict[float, np.ndarray]]]:
    """Rows of all variations and strengths over all samples; and of the first sample a picture by both.

    Args:
        strengths: of each variation that is applied, by name; its `still` one comes in addition.
        margin: pixels along the edges of x and of g(x) that do not count.
        floors: whether the floors of g are measured, at the cost of one more output for each g that moves points.
        advance: called after each image.
    """
    means = Means()
    evaluators: dict[tuple[str, float], Any] = {}
    pictures: dict[str, dict[float, np.ndarray]] = defaultdict(dict)
    for number, sample in enumerate(samples):
        unchanged = moves.in_place(sample.image)
        before = model.outputs(sample, unchanged)
        # What the model sees is moved as objects where nothing is known of them.
        around = Around(sample.boxes if len(sample.boxes) else before.boxes, _other(samples, number), seed=number)
        for name, strength, change in _changes(sample.image, unchanged, strengths, around):
            after = before if change is unchanged else model.outputs(sample, change)
            counted = change.without_margin(margin)
            measures = [compare(model, before, after, counted)]
            if floors and change.move is not moves.STILL:
                undone = moves.undone(change)
                back = model.outputs(sample, undone)
                measures.append(compare(model, before, back, undone.without_margin(margin)))
                measures.append(dense.map_floor(before.maps, change))
            means.add(name, strength, *measures)
            if sample.truth is not None:
                evaluator = evaluators.setdefault((name, strength), model.evaluator())
                means.add(name, strength, model.evaluate(evaluator, after, sample, counted))
            if number == 0:
                pictures[name][strength] = model.picture(after, change)
        advance()
    rows = means.rows()
    for key, evaluator in evaluators.items():
        rows += [Row(*key, name, value) for name, value in model.accuracy(evaluator).items()]
    return rows, pictures


def compare(model: ModelUnderTest, before: Outputs, after: Outputs, change: Change) -> Measures:
    """Differences of the outputs for g(x) from those for x: of the model's task, and of the maps."""
    return model.compare(before, after, change) | dense.compare(before.maps, after.maps, change)


def _changes(image, unchanged, strengths, around):
    """Yields each variation and strength, rising, with its change, if that leaves enough of x."""
    for name, chosen in strengths.items():
        still, make = VARIATIONS[name].still, VARIATIONS[name].change
        for strength in sorted({still, *chosen}):
            change = unchanged if strength == still else make(image, strength, around)
            if change.kept.mean() >= _LEAST:
                yield name, strength, change


def _other(samples, number):
    """Another image, of the size of this one, with its middle at the corners; of a single one, itself upside down."""
    image = samples[number].image
    other = samples[(number + 1) % len(samples)].image if len(samples) > 1 else image[::-1]
    rows, columns = (np.arange(n) * o // n for n, o in zip(image.shape[:2], other.shape[:2], strict=True))
    other = other[rows][:, columns]
    return np.roll(other, [n // 2 for n in image.shape[:2]], axis=(0, 1))
