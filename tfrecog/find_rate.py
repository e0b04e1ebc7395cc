"""Finds a learning rate (Smith 2017, "Cyclical learning rates for training neural networks", section 3.3).

python -m tfrecog.find_rate --flagfile=configs/coco/mask_rcnn_r50_fpn.flags --data.records=DATA --out=FOUND

Takes training steps of the experiment, of any task, with a rate that grows by the same factor at every step, until the
loss runs away. The flags are those of the training; its schedule and its workdir are not read, and its run is left as
it is. FOUND/rates.csv and FOUND/rates.png have the loss at each rate.
"""

import dataclasses
import tempfile
from typing import Annotated

from tfrecog.cli import command, files
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import BelowOne, Positive, Range
from tfrecog.config import Experiment, plain


@dataclasses.dataclass(frozen=True)
class Flags(Experiment):
    """The flags of a training and of the search for its rate."""

    out: Annotated[str, "Folder for rates.csv and rates.png."] = ""
    lowest: Annotated[float, "Rate of the first step, for the whole batch.", Positive()] = 1e-5
    highest: Annotated[float, "Rate of the last step, unless the loss diverges before.", Positive()] = 10.0
    steps: Annotated[
        int, "Number of steps between the two; more steps give a smoother curve.", Range(10, unit="steps")
    ] = 100
    smoothing: Annotated[
        float,
        "Smoothing of the curve: the weight of a step falls by this factor with every step of distance.",
        BelowOne(),
    ] = 0.9
    diverged: Annotated[
        float, "Stop when the smoothed loss is this many times the lowest so far.", Range(1, ends="(]")
    ] = 4.0


def main(flags: Flags) -> None:
    """Searches and reports."""
    from tfrecog.training import rate_finder, start

    if flags.lowest >= flags.highest:
        raise UserError(f"--lowest={flags.lowest:g} must be less than --highest={flags.highest:g}")
    files.check(flags.out, "--out")  # Before the steps.
    # In a run of its own, which is gone afterwards.
    with tempfile.TemporaryDirectory() as folder:
        train = dataclasses.replace(flags.train, evaluate_epochs=0.0)
        experiment = dataclasses.replace(plain(flags), workdir=folder, train=train)
        experiment, task, data, claim = start.prepare(experiment)
        with claim:
            rate = rate_finder.growing(flags.lowest, flags.highest, flags.steps)
            losses = rate_finder.losses_of(task, experiment, data, rate, flags.steps)
            points = rate_finder.sweep(losses, flags.steps, flags.smoothing, flags.diverged)
    try:
        found = rate_finder.suggest(points)
    except UserError:
        rate_finder.write(points, None, flags.out)
        raise
    rate_finder.write(points, found, flags.out)
    print(rate_finder.advice(found, flags.data.batch_size))
    print(f"{len(points)} steps; {rate_finder.CSV} and {rate_finder.FIGURE} are in {flags.out}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("data.records", "out"), trains=True)
