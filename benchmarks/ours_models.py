"""Our side of models.py: Mask R-CNN ResNet-50-FPN with the same weights and inputs as the peer's."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from sides import serve

from tfrecog.config import DetectorConfig, Experiment, OptimConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.optimizer import SGD
from tfrecog.tasks.detection import Detection
from tfrecog.weights import torchvision


def inputs(height, width, count):
    """As in peer_models.py."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height // 8, width // 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.float32)
    boxes, labels = np.zeros((count, 100, 4), np.float32), np.zeros((count, 100), np.int32)
    for i in range(count):
        corner = rng.uniform(0, [height * 0.6, width * 0.6], (8, 2))
        size = rng.uniform(20, [height * 0.4, width * 0.4], (8, 2))
        boxes[i, :8] = np.concatenate([corner, corner + size], 1)
        labels[i, :8] = rng.integers(1, 91, 8)
    return images, boxes, labels


def main():
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(1, 91)), splits={}, masks=True)
    experiment = Experiment(detector=DetectorConfig(masks=True), optim=OptimConfig(learning_rate=1e-4))
    task = Detection(experiment, info)
    model = task.build()
    if sys.argv[1:]:
        torchvision.load(model, dict(np.load(sys.argv[1])))
    image = tf.constant(inputs(800, 1216, 1)[0])
    pictures, boxes, labels = (tf.constant(x) for x in inputs(480, 640, 2))
    batch = {
        "image": pictures,
        "size": tf.constant([[480, 640]] * 2),
        "seed": tf.constant([[1, 2], [3, 4]]),
        "boxes": boxes,
        "labels": labels,
        "mask_boxes": boxes,
        "masks": tf.ones([2, 100, 112, 112], tf.uint8),
    }
    variables = model.trainable_variables
    optimizer = SGD(variables, experiment.optim)

    @tf.function
    def infer():
        return task.predict(model, {"image": image, "size": tf.constant([[800, 1216]])})

    @tf.function
    def train(batch):
        with tf.GradientTape() as tape:
            terms = task.losses(model, batch)
            loss = tf.add_n([total / tf.maximum(count, 1.0) for total, count in terms.values()])
        optimizer.apply(tape.gradient(loss, variables), 1e-4)
        return loss

    def wait(x):
        tf.nest.map_structure(lambda t: t.numpy(), x)

    def save():
        found = infer()
        np.savez(sys.argv[1] + ".ours.npz", **{k: v.numpy() for k, v in found.items() if k != "masks"})

    serve(
        {
            "Mask R-CNN R50-FPN, 1 image 800x1216": lambda: wait(infer()),
            "training step, 2 images 480x640": lambda: wait(train(batch)),
            "save": save,
        }
    )


if __name__ == "__main__":
    main()
