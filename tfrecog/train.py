"""Trains an experiment, or continues a run.

python -m tfrecog.train --flagfile=configs/coco/mask_rcnn_r50_fpn.flags --data.records=DATA --workdir=RUN

The same command, or --flagfile=RUN/experiment.flags, continues a run that was stopped in whatever way. Its exit status
is 3 if the loss is not finite.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from tfrecog.cli import command, flagfiles, signals
from tfrecog.config import Experiment, plain
from tfrecog.runtime.devices import Device


@dataclass(frozen=True)
class Flags(Experiment):
    """The flags of a run, and where it is trained."""

    device: Device = ""


def main(flags: Flags) -> None:
    """Trains."""
    from tfrecog.training import loop

    try:
        loop.train(plain(flags))
    except signals.Stopped as stopped:
        begun = Path(flags.workdir, flagfiles.OF_RUN)
        if begun.is_file():  # Several machines wait for each other before.
            stopped.consequence = f"to continue: python -m tfrecog.train --flagfile={shlex.quote(str(begun))}"
        raise


if __name__ == "__main__":
    command.run(main, Flags(), required=("workdir", "data.records"), trains=True)
