"""Evaluates a run on a split of records, and writes its metrics and predictions.

python -m tfrecog.evaluate --flagfile=RUN/experiment.flags

Every image of the split counts once, whatever the batch size and the number of replicas.
"""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.inference.flags import FontFile
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its evaluation."""

    out: Annotated[str, "Folder for metrics.json and what belongs to it. Empty: the run's."] = ""
    font: FontFile = ""


def main(flags: Flags) -> None:
    """Evaluates and prints."""
    from tfrecog.api import evaluating
    from tfrecog.drawing import fonts
    from tfrecog.runs import trained

    fonts.check(flags.font, "--font")

    def restore():
        _, model, strategy, path, step = trained.restore(flags, flags.checkpoint)
        return evaluating.Weights(model, strategy, path, step)

    with fonts.preferred(flags.font):
        evaluating.evaluate(flags, restore, flags.out or flags.workdir, show=True)


if __name__ == "__main__":
    command.run(main, Flags(), required=("data.records",))
