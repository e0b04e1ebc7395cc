"""Our side of classifier.py: python ours_classifier.py FOLDER PRECISION.

FOLDER holds inputs.npz and, if there is a peer, weights.npz.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from sides import serve

from tfrecog.config import ClassifierConfig, Experiment, OptimConfig, TrainConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runtime import distribution
from tfrecog.tasks.classification import Classification
from tfrecog.training import step
from tfrecog.weights import tensors, torchvision_classifiers


def main():
    folder, precision = Path(sys.argv[1]), sys.argv[2]
    inputs = dict(np.load(folder / "inputs.npz"))
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(1, 1001)), splits={})
    experiment = Experiment(
        task="classification",
        classifier=ClassifierConfig(name="resnet50"),
        optim=OptimConfig(nesterov=True),
        train=TrainConfig(precision=precision),
    )
    task = Classification(experiment, info)
    # As `tfrecog.train` sets a CPU up: runs repeat to the bit.
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    strategy = distribution.strategy(1)
    with strategy.scope():
        model = task.build()
        state = step.State(model, experiment.optim, experiment.train)
    if (folder / "weights.npz").exists():
        weights = dict(np.load(folder / "weights.npz"))
        tensors.assign(model.variables, torchvision_classifiers.arrays(model, weights))
    update = step.TrainStep(task, model, state, lambda _: tf.constant(1e-4), strategy, experiment.train)
    count = len(inputs["image"])
    batch = {name: tf.constant(inputs[name]) for name in ("image", "label")}
    batch |= {"seed": tf.zeros([count, 2], tf.int32), "valid": tf.ones([count], tf.bool)}
    losses = []

    def train():
        ((terms,), _) = update([batch], 0)
        losses.append(terms["loss"])

    serve({"training step, 16 images": train, "save losses": lambda: np.savez(folder / "ours.npz", loss=losses)})


if __name__ == "__main__":
    main()
