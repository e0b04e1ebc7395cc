"""Our side of segmenter.py: python ours_segmenter.py FOLDER.

FOLDER holds inputs.npz and, if there is a peer, weights.npz.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from sides import serve

from tfrecog.config import BackboneConfig, Experiment, OptimConfig, SegmenterConfig, TrainConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runtime import distribution
from tfrecog.tasks.segmentation import Segmentation
from tfrecog.training import step
from tfrecog.weights import tensors, torchvision_fcn

CLASSES = 21


def main():
    folder = Path(sys.argv[1])
    inputs = dict(np.load(folder / "inputs.npz"))
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(CLASSES)), splits={})
    network = BackboneConfig(name="resnet50", norm="batch", frozen_stages=0)
    experiment = Experiment(
        task="segmentation",
        segmenter=SegmenterConfig(name="fcn_dilated", backbone=network, dropout=0.1),
        optim=OptimConfig(weight_decay=1e-4),
        train=TrainConfig(),
    )
    task = Segmentation(experiment, info)
    # As `tfrecog.train` sets a CPU up: runs repeat to the bit.
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    strategy = distribution.strategy(1)
    with strategy.scope():
        model = task.build()
        state = step.State(model, experiment.optim, experiment.train)
    if (folder / "weights.npz").exists():
        tensors.assign(model.variables, torchvision_fcn.arrays(model, dict(np.load(folder / "weights.npz"))))
    update = step.TrainStep(task, model, state, lambda _: tf.constant(1e-4), strategy, experiment.train)
    count = len(inputs["image"])
    batch = {name: tf.constant(inputs[name]) for name in ("image", "label_map")}
    batch |= {"seed": tf.zeros([count, 2], tf.int32), "valid": tf.ones([count], tf.bool)}
    photo, infer = tf.constant(inputs["photo"]), tf.function(model)

    def agree():
        logits = infer(photo)[0]
        heads = model.head, model.aux
        for head in heads:
            head.config = replace(head.config, dropout=0.0)
        terms = tf.function(task.losses)(model, batch)
        for head in heads:
            head.config = experiment.segmenter
        means = {name: float(total / count) for name, (total, count) in terms.items()}
        losses = [means["class_loss"], means["auxiliary_loss"] / experiment.segmenter.auxiliary]
        np.savez(folder / "ours.npz", logits=logits, losses=losses)

    def train():
        ((terms,), _) = update([batch], 0)
        return float(terms["loss"])

    serve({"agreement": agree, "inference": lambda: infer(photo).numpy(), "training": train})


if __name__ == "__main__":
    main()
