"""The learning-rate finder (Smith 2017, section 3.3): a sweep of training steps, and what its curve says."""

import csv
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from tfrecog.cli import files, out_of_memory
from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.config import Experiment
from tfrecog.drawing import figures
from tfrecog.runtime import distribution
from tfrecog.training.start import starting_point
from tfrecog.training.step import TrainState, TrainStep

CSV, FIGURE = "rates.csv", "rates.png"


class Point(NamedTuple):
    """A step: its rate, the loss before its update, and the smoothed loss."""

    rate: float
    loss: float
    smoothed: float


class Found(NamedTuple):
    """Rates that a sweep speaks for."""

    steepest: float  # where the smoothed loss falls fastest by the logarithm of the rate
    lowest: float  # where it is lowest: as a rule already too high


def growing(lowest: float, highest: float, steps: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns step [] from 0 → rate [] float32: from `lowest` to `highest` by the same factor at every step."""
    logarithm = math.log(highest / lowest) / max(1, steps - 1)

    def rate(step):
        return tf.cast(lowest * tf.exp(tf.cast(step, tf.float64) * logarithm), tf.float32)

    return rate


def sweep(losses: Callable[[int], tuple[float, float]], steps: int, smoothing: float, diverged: float) -> list[Point]:
    """Takes steps until the loss is not finite (that step is left out), or has run away, or there are enough.

    Args:
        losses: step → loss and rate of that step, which it takes.
        smoothing: what a step weighs in the smoothed curve falls to this fraction with every step away from it.
        diverged: stops when the smoothed loss is this many times the lowest so far.
    """
    seen, mean, lowest = [], 0.0, math.inf
    for step in Bar(range(steps), unit="step", desc="find_rate", starting="compiling the training step"):
        loss, rate = losses(step)
        if not math.isfinite(loss):
            break
        seen.append((rate, loss))
        mean = smoothing * mean + (1 - smoothing) * loss
        so_far = mean / (1 - smoothing ** (step + 1))  # Else the first ones would count as 0.
        lowest = min(lowest, so_far)
        if so_far > diverged * lowest:
            break
    smoothed = smooth([min(loss, diverged * lowest) for _, loss in seen], smoothing)
    return [Point(*point, value) for point, value in zip(seen, smoothed, strict=True)]


def smooth(values: Sequence[float], share: float) -> list[float]:
    """Means of the neighbours on both sides, whose weight falls to `share` of it with every step: they do not lag."""
    sums = [0.0] * len(values)
    for way in (1, -1):
        mean = 0.0
        for count, i in enumerate(range(len(values))[::way], 1):
            mean = share * mean + (1 - share) * values[i]
            sums[i] += mean / (1 - share**count)
    return [total / 2 for total in sums]


def suggest(points: Sequence[Point]) -> Found:
    """Reads the curve; UserError if the loss never falls."""
    end = min(range(len(points)), key=lambda i: points[i].smoothed) if points else 0
    # Over a tenth of the sweep: differences between neighbours are mostly noise.
    reach = max(1, len(points) // 20)
    slopes = {
        i: (points[b].smoothed - points[a].smoothed) / math.log(points[b].rate / points[a].rate)
        for i in range(end + 1)
        if (a := max(0, i - reach)) < (b := min(end, i + reach))
    }
    best = min(slopes, key=slopes.__getitem__, default=None)
    if best is None or slopes[best] >= 0:
        raise UserError(
            "the loss never fell: begin lower (--lowest), take more steps (--steps), smooth less (--smoothing), or "
            "look for what is wrong with the data (python -m pipelines.check) or the network"
        )
    return Found(points[best].rate, points[end].rate)


def losses_of(task: Any, experiment: Experiment, data: Any, rate: Callable, steps: int) -> Callable:
    """Returns step → loss, rate: the training's own steps from its starting point, with another rate."""
    strategy = distribution.strategy(experiment.train.replicas)
    with strategy.scope():
        model = task.build()
        state = TrainState(model, experiment.optim, experiment.train)
    starting_point(experiment, model, state)
    options = dataclasses.replace(experiment.train, steps_per_execution=1)
    take, batches = TrainStep(task, model, state, rate, strategy, options), iter(data.batches(0, steps))

    def losses(step):
        batch = next(batches)
        try:
            (terms,), _ = take([batch], step)
        except tf.errors.ResourceExhaustedError as error:
            raise out_of_memory.in_training(error, batch, experiment, strategy.num_replicas_in_sync) from error
        bounded = math.isfinite(terms["gradient_norm"]) or "loss_scale" in terms  # float16 takes the step again
        return terms["loss"] if bounded else math.nan, terms["learning_rate"]

    return losses


def write(points: Sequence[Point], found: Found | None, out: str | Path) -> None:
    """Writes OUT/rates.csv and OUT/rates.png."""
    with files.write(Path(out) / CSV) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["step", *Point._fields])
        table.writerows([step, *point] for step, point in enumerate(points))
    figure, (axes,) = figures.panels(1)
    rates = [point.rate for point in points]
    axes.plot(rates, [point.loss for point in points], color=figures.COLOURS[-1], linewidth=0.7, label="loss")
    axes.plot(rates, [point.smoothed for point in points], color=figures.COLOURS[0], label="smoothed")
    for name, rate in found._asdict().items() if found else ():
        axes.axvline(
            rate, color=figures.COLOURS[1], linestyle="-" if name == "steepest" else ":", label=f"{name} {rate:.2g}"
        )
    top = max(point.smoothed for point in points) if points else 1.0
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0, 1.1 * top))
    axes.legend()
    figures.save(figure, Path(out) / FIGURE)


def advice(found: Found, batch_size: int) -> str:
    """For people: the two rates as flags to copy."""
    text = f"--optim.learning_rate={{:.2g}} --optim.base_batch_size={batch_size}"
    return (
        f"where the loss falls fastest:\n  {text.format(found.steepest)}\n"
        f"a tenth of where it is lowest ({found.lowest:.2g}):\n  {text.format(found.lowest / 10)}\n"
        "Both are starting points for a study (python -m tfrecog.study --help), and rates of the peak after a warmup."
    )
