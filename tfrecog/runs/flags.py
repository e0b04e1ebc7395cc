"""The flags of every command on a trained run."""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.config import Experiment
from tfrecog.runtime.devices import Device

CHECKPOINT = (
    "Whose weights: `latest` (the end of the training, which is what papers report), `best` (by AP, top-1 or mean IoU "
    "on the evaluation split, which flatters a little), or a path: a checkpoint (RUN/checkpoints/step-00000120), or "
    "the folder of a run, of which it is the best, or else the latest."
)


@dataclass(frozen=True)
class RunFlags(Experiment):
    """The flags of a run, which of its checkpoints, and where."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    device: Device = ""
