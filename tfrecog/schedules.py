"""The learning rate as a function of the step."""

from collections.abc import Callable

import tensorflow as tf

from tfrecog.config import OptimConfig, ScheduleConfig


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


def learning_rate(
    optim: OptimConfig, schedule: ScheduleConfig, batch_size: int, steps_per_epoch: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns step [] int64, counted from 0 → learning rate [] float32 of that step's update.

    The warmup starts at `warmup_factor` of the peak and grows by the same amount at every step (Goyal et al. 2017,
    section 2.2); the rate is multiplied by `drop_factor` from the first step of each of `drop_epochs`.
    """
    warmup = steps(schedule.warmup_epochs, steps_per_epoch)
    drops = tf.constant([steps(epoch, steps_per_epoch) for epoch in schedule.drop_epochs], tf.int64)
    rates = [peak(optim, batch_size) * schedule.drop_factor**drop for drop in range(len(schedule.drop_epochs) + 1)]

    def rate(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        done = tf.minimum(tf.cast(step, tf.float32) / max(warmup, 1), 1.0) if warmup else tf.constant(1.0)
        warm = schedule.warmup_factor + (1 - schedule.warmup_factor) * done
        return warm * tf.gather(tf.constant(rates, tf.float32), tf.math.count_nonzero(step >= drops))

    return rate
