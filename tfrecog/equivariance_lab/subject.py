"""What the laboratory asks of each task, and measures as totals and counts."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tfrecog.equivariance_lab.transforms import Change

# A measure is the sum of `total` over all images (or objects) divided by that of `count`.
Measures = dict[str, tuple[float, float]]


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
    boxes: np.ndarray = field(default_factory=lambda: np.zeros([0, 4]))


class Accuracy(Protocol):
    """Collects outputs under one change of the images, and compares them with M_g of the truth."""

    def add(self, seen: Any, sample: Sample, change: Change) -> None: ...

    def numbers(self) -> dict[str, float]: ...


class Subject(Protocol):
    """A model of one task."""

    def see(self, sample: Sample, change: Change) -> Any:
        """The model's outputs for `change.image`."""
        ...

    def compare(self, before: Any, after: Any, change: Change) -> Measures:
        """Differences of the outputs for g(x) from M_g of those for x, and from those for x as they are."""
        ...

    def map_floor(self, before: Any, change: Change) -> Measures:
        """Of the dense measures: what M_g and its inverse, which interpolate too, change of the outputs for x."""
        ...

    def accuracy(self) -> Accuracy: ...

    def picture(self, seen: Any, change: Change) -> np.ndarray:
        """`change.image` with the outputs drawn on it, uint8."""
        ...
