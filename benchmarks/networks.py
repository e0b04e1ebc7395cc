"""Our networks on a benchmark's side, set up as `tfrecog.train` sets up a CPU."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog import tasks
from tfrecog.config import Experiment
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runtime import distribution
from tfrecog.training.step import TrainState, TrainStep

RATE = 1e-4


def trainer(experiment: Experiment, classes: range, folder: str, load, **info):
    """Task, model with the weights of FOLDER/weights.npz (if there is a peer), and the training step of a batch."""
    tf.config.experimental.enable_op_determinism()  # Runs repeat to the bit.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    dataset = DatasetInfo(categories=tuple(Category(str(i), i) for i in classes), splits={}, **info)
    task = tasks.build(experiment, dataset)
    strategy = distribution.strategy(1)
    with strategy.scope():
        model = task.build()
        state = TrainState(model, experiment.optim, experiment.train)
    if (weights := Path(folder, "weights.npz")).exists():
        load(model, dict(np.load(weights)))
    step = TrainStep(task, model, state, lambda _: tf.constant(RATE), strategy, experiment.train)
    return task, model, lambda batch: step([batch], 0)


def batch_of(folder: str, *names: str) -> dict:
    """A training batch of arrays [B, …] of FOLDER/inputs.npz, all of whose images are valid."""
    given = np.load(Path(folder, "inputs.npz"))
    batch = {name: tf.constant(given[name]) for name in names}
    size = len(batch[names[0]])
    return batch | {"seed": tf.zeros([size, 2], tf.int32), "valid": tf.ones([size], tf.bool)}
