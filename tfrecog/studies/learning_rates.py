"""The learning rate over a training, for several batch sizes, scalings and warmups: curves and their figure."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment, OptimConfig, ScheduleConfig
from tfrecog.drawing import figures
from tfrecog.training import schedules


def curves(
    experiment: Experiment,
    images: int,
    batch_sizes: Sequence[int] = (),
    scalings: Sequence[str] = (),
    warmups: Sequence[str] = (),
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Title → epochs [steps] and rates [steps] of each distinct schedule; what is empty is as in the experiment."""
    drawn = {}
    for batch_size in batch_sizes or (experiment.data.batch_size,):
        for scaling in scalings or (experiment.optim.scaling,):
            for warmup in warmups or (experiment.schedule.warmup,):
                optim = dataclasses.replace(experiment.optim, scaling=scaling)
                schedule = dataclasses.replace(experiment.schedule, warmup=warmup)
                epochs, rates = curve(optim, schedule, batch_size, -(-images // batch_size))
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


def figure(drawn: Mapping[str, tuple[np.ndarray, np.ndarray]], warmup_epochs: float):
    """Two panels of `curves`: the start, and all of it."""
    picture, (start, whole) = figures.panels(2)
    for number, (title, (epochs, rates)) in enumerate(drawn.items()):
        look = {"color": figures.COLOURS[number % len(figures.COLOURS)], "label": title, "drawstyle": "steps-post"}
        early = epochs <= 1.4 * max(warmup_epochs, 1)
        start.plot(epochs[early], rates[early], **look)
        whole.plot(epochs, rates, **look)
    start.set(xlabel="epoch", ylabel="learning rate", title="the start")
    whole.set(xlabel="epoch", ylabel="learning rate", yscale="log", title="all of it")
    whole.legend(title="batch, scaling, warmup", fontsize="small", loc="lower left")
    return picture
