"""Our side of models.py: python ours_models.py FOLDER, which holds inputs.npz and, if there is a peer, weights.npz."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from sides import serve

from tfrecog.config import DetectorConfig, Experiment, OptimConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runtime import distribution
from tfrecog.tasks.detection import Detection
from tfrecog.training.step import State, TrainStep
from tfrecog.weights import torchvision

SLOTS = 100


def training_batch(inputs):
    """The two pictures with their objects, whose masks fill their boxes, in slots."""
    empty = ((0, 0), (0, SLOTS - inputs["boxes"].shape[1]))
    boxes = np.pad(inputs["boxes"], (*empty, (0, 0)))
    return {
        "image": tf.constant(inputs["pictures"]),
        "size": tf.constant([[480, 640]] * 2),
        "seed": tf.constant([[1, 2], [3, 4]]),
        "boxes": tf.constant(boxes),
        "labels": tf.constant(np.pad(inputs["labels"], empty)),
        "mask_boxes": tf.constant(boxes),
        "masks": tf.ones([2, SLOTS, 112, 112], tf.uint8),
    }


def main():
    folder = Path(sys.argv[1])
    inputs = dict(np.load(folder / "inputs.npz"))
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(1, 91)), splits={}, masks=True)
    experiment = Experiment(detector=DetectorConfig(masks=True), optim=OptimConfig(learning_rate=1e-4))
    task = Detection(experiment, info)
    # As `tfrecog.train` sets a CPU up: runs repeat to the bit.
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    strategy = distribution.strategy(1)
    with strategy.scope():
        model = task.build()
        state = State(model, experiment.optim, experiment.train)
    if (folder / "weights.npz").exists():
        torchvision.load(model, dict(np.load(folder / "weights.npz")))
    image = tf.constant(inputs["image"])
    batch = training_batch(inputs)

    @tf.function
    def infer():
        return task.predict(model, {"image": image, "size": tf.constant([[800, 1216]])})

    take = TrainStep(task, model, state, lambda step: tf.constant(1e-4), strategy, experiment.train)

    def wait(x):
        tf.nest.map_structure(lambda t: t.numpy(), x)

    def save():
        found = {name: value[0].numpy() for name, value in infer().items() if name != "masks"}
        filled = found["labels"] > 0
        np.savez(folder / "ours.npz", **{name: found[name][filled] for name in ("boxes", "labels", "scores")})

    serve(
        {
            "inference, 1 image 800x1216": lambda: wait(infer()),
            "training step, 2 images 480x640": lambda: take([batch], 0),
            "save detections": save,
        }
    )


if __name__ == "__main__":
    main()
