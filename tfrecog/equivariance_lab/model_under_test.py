"""What the laboratory asks of the model of each task, and measures as totals and counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from tfrecog.data.records import Record
from tfrecog.data.split import Split
from tfrecog.equivariance_lab.moves import Change

# A measure is the sum of `total` over all images (or objects) divided by that of `count`.
Measures = dict[str, tuple[float, float]]
# (row, record, size that the network sees it in) → truth, as in a sample, and boxes [n, 4] of its objects.
Truths = Callable[[int, Record, tuple[int, int]], tuple[Any, np.ndarray]]


def no_boxes() -> np.ndarray:
    """[0, 4]."""
    return np.zeros([0, 4])


@dataclass(frozen=True)
class Sample:
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
    boxes: np.ndarray = field(default_factory=no_boxes)


class Options(NamedTuple):
    """What is measured: maps of layers too; and of a detector from which score on, with which proposals."""

    layers: bool = False
    min_score: float = 0.5
    moved_proposals: bool = False


class Accuracy(Protocol):
    """Collects outputs under one change of the images, and compares them with M_g of the truth."""

    def add(self, outputs: Any, sample: Sample, change: Change) -> None: ...

    def numbers(self) -> dict[str, float]: ...


class ModelUnderTest(Protocol):
    """A model of one task. Its outputs for an image have `maps` by name (dense.Map), and `boxes` [n, 4] of objects."""

    def outputs(self, sample: Sample, change: Change) -> Any:
        """The model's outputs for `change.image`."""

    def compare(self, before: Any, after: Any, change: Change) -> Measures:
        """How outputs for g(x), but for maps, differ from M_g of those for x, and from those for x as they are."""

    def accuracy(self) -> Accuracy: ...

    def picture(self, outputs: Any, change: Change) -> np.ndarray:
        """`change.image` with the outputs drawn on it, uint8."""

    def resize(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 [H, W, 3] as the network sees it, [h, w, 3] float32 without padding."""

    def truths(self, split: Split) -> Truths:
        """What is true of the records of a split; UserError if they have no truth for the task."""
