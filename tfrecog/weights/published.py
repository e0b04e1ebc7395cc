"""What is known of a published file of weights."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


@dataclass(frozen=True)
class Published:
    """A file of weights, the experiment that its numbers fit, and what its publisher measured."""

    url: str
    digest: str  # the first digits, at least
    experiment: Experiment
    info: DatasetInfo  # what it was trained on
    figures: dict[str, float]  # the publisher's, in percent
    source: str  # where the publisher says so
    # (model, state dict) → value of each variable by path; UserError if they do not fit.
    arrays: Callable[[Any, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
    algorithm: str = "sha256"  # of the digest

    def figures_text(self) -> str:
        """As `box AP 37.9, mask AP 34.6`."""
        return ", ".join(f"{name} {value}" for name, value in self.figures.items())

    def of_classes(self, info: DatasetInfo) -> "Published":
        """The same network with other classes, which no one has published figures of."""
        return dataclasses.replace(self, info=info, figures={})
