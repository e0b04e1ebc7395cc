"""The learning rate over a training, for several batch sizes, scalings and warmups: curves and their figure."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
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
    chosen = itertools.product(
        batch_sizes or (experiment.data.batch_size,),
        scalings or (experiment.optim.scaling,),
        warmups or (experiment.schedule.warmup,),
    )
    drawn = {}
    for batch_size, scaling, warmup in chosen:
        optim = dataclasses.replace(experiment.optim, scaling=scaling)
        schedule = dataclasses.replace(experiment.schedule, warmup=warmup)
        steps_per_epoch = -(-images // batch_size)
        steps = tf.range(schedules.total_steps(schedule, steps_per_epoch), dtype=tf.int64)
        rates = schedules.LearningRate(optim, schedule, batch_size, steps_per_epoch)(steps).numpy()
        if not any(np.array_equal(rates, others) for _, others in drawn.values()):
            drawn[f"{batch_size}, {scaling}, {warmup}"] = steps.numpy() / steps_per_epoch, rates
    return drawn


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
