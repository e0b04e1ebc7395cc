"""What is known of a published file of weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo

# With which a detector is trained on from its weights on a small machine, as in the recipes of configs/finetune.
DETECTOR_FINE_TUNING = (
    "--train.skip_mismatched",
    "--data.batch_size=4",
    "--data.eval_batch_size=4",
    "--data.pad_to_batch_max=false",
    "--optim.learning_rate=0.01",
    "--schedule.epochs=12",
    "--schedule.warmup_epochs=0.5",
)


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
    class_bias: str  # the tensor that has a number for each class
    backgrounds: int = 0  # how many of its numbers are for no class
    algorithm: str = "sha256"  # of the digest
    fine_tuning: tuple[str, ...] = ()  # settings to train on with

    def figures_text(self) -> str:
        """As `box AP 37.9, mask AP 34.6`."""
        return ", ".join(f"{name} {value}" for name, value in self.figures.items())

    def num_classes(self, state: Mapping[str, np.ndarray]) -> int | None:
        """How many classes the weights tell apart; None if the tensor that shows it is missing, or shows none."""
        if self.class_bias not in state:
            return None
        return max(0, np.size(state[self.class_bias]) - self.backgrounds) or None
