"""Draws the learning rate over a training, for several batch sizes and warmups, from flags alone.

python -m tfrecog.schedule_figure --flagfile=configs/study/imagenet_1h.flags --out=docs/figures/imagenet_1h.png
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf

from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, OptimConfig, ScheduleConfig
from tfrecog.drawing import figures
from tfrecog.training import schedules

WARMUPS = ("none", "constant", "gradual")


@dataclasses.dataclass(frozen=True)
class Drawing(Experiment):
    """The flags of a training, whose optim and schedule are drawn, and of the figure."""

    out: Annotated[str, "The figure, a PNG file."] = ""
    images: Annotated[int, "Training images of an epoch."] = 1_281_167
    batch_sizes: Annotated[tuple[int, ...], "Batch sizes to draw. Empty: data.batch_size."] = ()
    warmups: Annotated[tuple[str, ...], "Warmups to draw: none, constant, gradual. Empty: schedule.warmup."] = ()
    scalings: Annotated[tuple[str, ...], "Scalings to draw: linear, sqrt, none. Empty: optim.scaling."] = ()


def curves(drawing: Drawing) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Title → epochs [steps] and rates [steps] of each distinct schedule."""
    drawn = {}
    for batch_size in drawing.batch_sizes or (drawing.data.batch_size,):
        for scaling in drawing.scalings or (drawing.optim.scaling,):
            for warmup in drawing.warmups or (drawing.schedule.warmup,):
                optim = dataclasses.replace(drawing.optim, scaling=scaling)
                schedule = dataclasses.replace(drawing.schedule, warmup=warmup)
                epochs, rates = curve(optim, schedule, batch_size, -(-drawing.images // batch_size))
                if not any(np.array_equal(rates, others) for _, others in drawn.values()):
                    drawn[f"{batch_size}, {scaling}, {warmup}"] = epochs, rates
    return drawn


def curve(
    optim: OptimConfig, schedule: ScheduleConfig, batch_size: int, steps_per_epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [steps] and rates [steps] of every step of a training."""
    rate = schedules.learning_rate(optim, schedule, batch_size, steps_per_epoch)
    steps = tf.range(schedules.total_steps(schedule, steps_per_epoch), dtype=tf.int64)
    return steps.numpy() / steps_per_epoch, rate(steps).numpy()


def main(drawing: Drawing) -> int:
    """Draws; returns the exit status."""
    try:
        validate.check(Experiment(optim=drawing.optim, schedule=drawing.schedule))
        for flag, given, known in (
            ("warmups", drawing.warmups, WARMUPS),
            ("scalings", drawing.scalings, ("linear", "sqrt", "none")),
        ):
            if unknown := [value for value in given if value not in known]:
                raise UserError(f"--{flag}={','.join(given)}: {unknown[0]} is none of {', '.join(known)}")
        if min((drawing.images, *drawing.batch_sizes)) < 1:
            raise UserError("--images and --batch_sizes must be more than 0")
        if not drawing.out:
            raise UserError("--out is missing: the PNG file to write")
        drawn = curves(drawing)
        figure, (start, whole) = figures.panels(2)
        warm = drawing.schedule.warmup_epochs
        for number, (title, (epochs, rates)) in enumerate(drawn.items()):
            look = {"color": figures.COLOURS[number % len(figures.COLOURS)], "label": title, "drawstyle": "steps-post"}
            early = epochs <= 1.4 * max(warm, 1)
            start.plot(epochs[early], rates[early], **look)
            whole.plot(epochs, rates, **look)
        start.set(xlabel="epoch", ylabel="learning rate", title="the start")
        whole.set(xlabel="epoch", ylabel="learning rate", yscale="log", title="all of it")
        whole.legend(title="batch, scaling, warmup", fontsize="small", loc="lower left")
        figures.save(figure, drawing.out)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for title, (epochs, rates) in drawn.items():
        first = f", {rates[1] - rates[0]:.6g} more in the second" if len(rates) > 1 and rates[1] != rates[0] else ""
        print(f"{title}: {len(epochs):,} steps; {rates[0]:g} in the first{first}, {rates.max():g} at most")
    print(f"wrote {Path(drawing.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(flags.parse(Drawing())))
