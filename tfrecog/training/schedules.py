"""The learning rate as a function of the step."""

import math

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


def length(schedule: ScheduleConfig) -> float:
    """Epochs of the whole training: where its line ends, if it bends."""
    return schedule.bends[-1] if schedule.decay == "linear" and schedule.bends else schedule.epochs


def total_steps(schedule: ScheduleConfig, steps_per_epoch: int) -> int:
    """Steps of the whole training, at least one."""
    return max(1, steps(length(schedule), steps_per_epoch))


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


def warmup_steps(schedule: ScheduleConfig, steps_per_epoch: int) -> int:
    """Steps of the warmup."""
    return 0 if schedule.warmup == "none" else steps(schedule.warmup_epochs, steps_per_epoch)


def corners(schedule: ScheduleConfig, steps_per_epoch: int) -> list[tuple[float, float, float]]:
    """The pieces of a linear decay: first step, share of the peak there, and the step at which it would be 0.

    The line begins at the end of the warmup. A bend goes on from the share that the line has come to, without a jump.
    """
    found = [(float(warmup_steps(schedule, steps_per_epoch)), 1.0, float(steps(schedule.epochs, steps_per_epoch)))]
    for epoch, end in zip(schedule.bends[::2], schedule.bends[1::2], strict=True):
        start, level, aim = found[-1]
        at = max(float(steps(epoch, steps_per_epoch)), start)
        share = level * max(aim - at, 0.0) / (aim - start) if aim > start else 0.0
        found.append((at, share, float(steps(end, steps_per_epoch))))
    return found


class LearningRate:
    """Step [...] int64, counted from 0 → learning rate [...] float32 of that step's update.

    A gradual warmup grows by the same amount at every step until the peak, a constant one stays at its start (Goyal et
    al. 2017, section 2.2). Then the rate is multiplied by `drop_factor` from the first step of each of `drop_epochs`,
    or falls to 0 at the end: along half a cosine that begins with the training, as (1 - share done)**0.9, or along a
    line, which `bend` makes aim for another end while the training goes on.
    """

    def __init__(self, optim: OptimConfig, schedule: ScheduleConfig, batch_size: int, steps_per_epoch: int):
        self.schedule, self.steps_per_epoch = schedule, steps_per_epoch
        self.highest, self.lowest = peak(optim, batch_size), start(optim, schedule, batch_size)
        self.warmup, self.total = warmup_steps(schedule, steps_per_epoch), total_steps(schedule, steps_per_epoch)
        epochs = schedule.drop_epochs if schedule.decay == "steps" else ()
        self._drops = tf.constant([steps(epoch, steps_per_epoch) for epoch in epochs], tf.int64)
        self._factors = [schedule.drop_factor**drop for drop in range(len(epochs) + 1)]
        if schedule.decay == "linear":
            # A variable: the graph of a training step has it, and need not be built again at a bend.
            pieces = tf.constant(corners(schedule, steps_per_epoch), tf.float64)
            self._pieces = tf.Variable(pieces, trainable=False, shape=[None, 3])

    def bend(self, schedule: ScheduleConfig) -> None:
        """From now on the line is that of a schedule with one bend more."""
        self._pieces.assign(tf.constant(corners(schedule, self.steps_per_epoch), tf.float64))

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.int64)
        # Double precision: the steps of a million-step training differ in the seventh digit.
        done = tf.cast(step, tf.float64)
        level = tf.constant(self.highest, tf.float64)
        if self.warmup and self.schedule.warmup == "gradual":
            level = self.lowest + (self.highest - self.lowest) * tf.minimum(done / self.warmup, 1.0)
        elif self.warmup:
            level = tf.where(step < self.warmup, tf.constant(self.lowest, tf.float64), level)
        if self.schedule.decay == "cosine":
            level *= 0.5 * (1 + tf.cos(math.pi * tf.minimum(done / self.total, 1.0)))
        if self.schedule.decay == "poly":
            level *= (1 - tf.minimum(done / self.total, 1.0)) ** POWER
        if self.schedule.decay == "linear":
            level *= self._on_line(done)
        drops = tf.math.count_nonzero(step[..., None] >= self._drops, axis=-1)
        return tf.cast(level * tf.gather(tf.constant(self._factors, tf.float64), drops), tf.float32)

    def _on_line(self, done):
        """Share [...] of the peak at steps [...], all of it in the warmup."""
        first, share, aim = tf.unstack(tf.convert_to_tensor(self._pieces), 3, axis=1)
        piece = tf.maximum(tf.math.count_nonzero(done[..., None] >= first, axis=-1) - 1, 0)
        first, share, aim = (tf.gather(each, piece) for each in (first, share, aim))
        left = tf.math.divide_no_nan(tf.maximum(aim - done, 0.0), aim - first)
        return tf.where(done < first, tf.ones_like(done), share * left)
