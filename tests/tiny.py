"""A task and data of a few numbers, for tests of the training loop; as a program, one run that can kill itself.

python tests/tiny.py WORKDIR KILL_AT: trains 12 steps; the batch of step KILL_AT kills it (SIGKILL).
"""

import os
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data.batches import Data
from tfrecog.runtime import distribution
from tfrecog.training import loop
from tfrecog.training.step import TrainState, TrainStep

BATCH, STEPS_PER_EPOCH = 8, 4


class Task:
    """Regression and a penalty, whose counts differ from replica to replica."""

    name = "tiny"
    best_by = ("box_AP",)

    def build(self):
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input((3,), name="x"),
                keras.layers.Dense(5, activation="tanh", name="hidden"),
                keras.layers.Dense(1, name="out"),
            ],
            name="tiny",
        )

    def losses(self, model, batch):
        error = tf.square(model(batch["x"])[:, 0] - batch["y"])
        return {
            "square": (tf.reduce_sum(error * batch["weight"]), tf.reduce_sum(batch["weight"])),
            "mean": (0.1 * tf.reduce_sum(error), tf.cast(tf.shape(error)[0], tf.float32)),
        }


class Normed(Task):
    """With batch norm, which has moving statistics."""

    def build(self):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((3,), name="x"), keras.layers.BatchNormalization(momentum=0.5, name="norm")]
        return keras.Sequential([*layers, keras.layers.Dense(1, name="out")], name="normed")

    def losses(self, model, batch):
        return super().losses(lambda x: model(x, training=True), batch)


def batch(step):
    """The global batch of a step, a function of the step alone."""
    random = np.random.default_rng(step)
    x = random.normal(size=(BATCH, 3)).astype(np.float32)
    weight = (random.random(BATCH) < np.linspace(0.1, 1, BATCH)).astype(np.float32)  # sparse in the first replica
    facts = {"x": x, "y": np.sin(x.sum(1)), "weight": weight, "image_id": np.arange(BATCH) + 1000 * step}
    return {name: tf.constant(value) for name, value in facts.items()}


def data(before=lambda step: None, change=lambda step, batch: batch):
    """Data that calls `before` each step, and that `change` may spoil."""

    def batches(start, total):
        for step in range(start, total):
            before(step)
            yield change(step, batch(step))

    return Data(STEPS_PER_EPOCH, batches)


def sends(number, at):
    """A hook `before` each step that sends this process a signal at one."""
    return lambda step: step == at and os.kill(os.getpid(), number)


def raises(error, at):
    """A hook `before` each step that raises an error at one."""

    def before(step):
        if step == at:
            raise error

    return before


def experiment(workdir, *changes, **options):
    """12 steps in 3 epochs, with a warmup, a drop, momentum, decay and clipping.

    The changes are flags, the options settings of `train`.
    """
    base = Experiment(workdir=str(workdir))
    base = replace(
        base,
        data=replace(base.data, batch_size=BATCH),
        detector=replace(base.detector, backbone=replace(base.detector.backbone, norm="group", frozen_stages=0)),
        optim=replace(base.optim, learning_rate=0.2, base_batch_size=BATCH, clip_norm=0.5),
        schedule=replace(base.schedule, epochs=3.0, warmup_epochs=0.5, drop_epochs=(2.0,)),
        train=replace(base.train, **{"evaluate_epochs": 0.0, "checkpoint_epochs": 0.5, "replicas": 1, **options}),
    )
    return flags.change(base, changes)


def train(workdir, *changes, task=Task, batches=None, evaluate=None, **options):
    """Trains the `experiment`; returns the metrics of the last evaluation.

    Args:
        batches: instead of `data()`.
        evaluate: (model, strategy, step) → metrics.
    """
    task = task()
    task.evaluation = evaluation_of(evaluate)
    return loop.run(task, experiment(workdir, *changes, **options), batches or data())


def evaluation_of(evaluate):
    """A task's evaluation whose metrics are those of a function of (model, strategy, step)."""
    return SimpleNamespace(
        evaluate=lambda task, model, experiment, strategy, out, step, **_: evaluate(model, strategy, step)
    )


def steps(task, experiment, rate=lambda step: tf.constant(0.0)):
    """What takes the steps of a task, and its model."""
    strategy = distribution.strategy(experiment.train.replicas or 1)
    with strategy.scope():
        model = task.build()
        state = TrainState(model, experiment.optim, experiment.train)
    return TrainStep(task, model, state, rate, strategy, experiment.train), model


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()
    train(sys.argv[1], batches=data(sends(signal.SIGKILL, int(sys.argv[2]))))
