"""The learning rate as a function of the step."""

import math
from collections.abc import Callable

import tensorflow as tf

from tfrecog.config import OptimConfig, ScheduleConfig

POWER = 0.9  # of the schedule `poly`, as Caffe's segmenters and torchvision's have it


def peak(optim: OptimConfig, batch_size: int) -> float:
    """Learning rate after the warmup: that of the base batch size, scaled (Goyal et al. 2017, section 2.1)."""
    growth = batch_size / optim.base_batch_size
    return optim.learning_rate * {"linear": growth, "sqrt": growth**0.5, "none": 1.0}[optim.scaling]


def steps(epochs: float, steps_per_epoch: int) -> int:
    """The whole number of steps nearest to `epochs`; a half is rounded up."""
    return int(epochs * steps_per_epoch + 0.5)


def total_steps(schedule: ScheduleConfig, steps_per_epoch: int) -> int:
    """Steps of the whole training, at least one."""
    return max(1, steps(schedule.epochs, steps_per_epoch))


def due(done: int, epochs: float, steps_per_epoch: int) -> bool:
    """Whether step `done` is the nearest to a multiple of this number of epochs; never for 0 epochs."""
    if epochs <= 0:
        return False
    multiple = int(done / steps_per_epoch / epochs + 0.5)
    near = (multiple - 1, multiple, multiple + 1)
    return multiple > 0 and any(max(1, steps(m * epochs, steps_per_epoch)) == done for m in near if m > 0)


def start(optim: OptimConfig, schedule: ScheduleConfig, batch_size: int) -> float:
    """Learning rate that the warmup starts from: a share of the peak, or the rate of the base batch size."""
    return optim.learning_rate if schedule.warmup_from == "base" else schedule.warmup_factor * peak(optim, batch_size)


def learning_rate(
    optim: OptimConfig, schedule: ScheduleConfig, batch_size: int, steps_per_epoch: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns step [...] int64, counted from 0 → learning rate [...] float32 of that step's update.

    A gradual warmup grows by the same amount at every step until the peak, a constant one stays at its start (Goyal et
    al. 2017, section 2.2). Then the rate is multiplied by `drop_factor` from the first step of each of `drop_epochs`,
    or falls to 0 at the end: along half a cosine that begins with the training, or as (1 - share done)**0.9.
    """
    highest, lowest = peak(optim, batch_size), start(optim, schedule, batch_size)
    warmup = 0 if schedule.warmup == "none" else steps(schedule.warmup_epochs, steps_per_epoch)
    total = total_steps(schedule, steps_per_epoch)
    epochs = schedule.drop_epochs if schedule.decay == "steps" else ()
    drops = tf.constant([steps(epoch, steps_per_epoch) for epoch in epochs], tf.int64)
    factors = [schedule.drop_factor**drop for drop in range(len(epochs) + 1)]

    def rate(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        # Double precision: the steps of a million-step training differ in the seventh digit.
        done = tf.cast(step, tf.float64)
        level = tf.constant(highest, tf.float64)
        if warmup and schedule.warmup == "gradual":
            level = lowest + (highest - lowest) * tf.minimum(done / warmup, 1.0)
        elif warmup:
            level = tf.where(step < warmup, tf.constant(lowest, tf.float64), level)
        if schedule.decay == "cosine":
            level *= 0.5 * (1 + tf.cos(math.pi * tf.minimum(done / total, 1.0)))
        if schedule.decay == "poly":
            level *= (1 - tf.minimum(done / total, 1.0)) ** POWER
        factor = tf.gather(tf.constant(factors, tf.float64), tf.math.count_nonzero(step[..., None] >= drops, axis=-1))
        return tf.cast(level * factor, tf.float32)

    return rate
