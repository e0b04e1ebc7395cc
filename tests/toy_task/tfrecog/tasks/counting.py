"""Counting: where records, the network and its loss meet."""

import functools

import keras
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data import batches, counting
from tfrecog.data.info import DatasetInfo
from tfrecog.evaluations import counting as evaluation
from tfrecog.inference import counting as inference
from tfrecog.models import counting as models


class Counting:
    """The task that `--task=counting` names."""

    evaluation = evaluation
    inference = inference
    metrics = ("absolute_error",)
    best_by = ("exact",)
    name = "counter"

    def __init__(self, experiment: Experiment, dataset: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.counting, dataset

    def data(self) -> batches.Data:
        """The records to train on."""
        experiment, data = self.experiment, self.experiment.data
        split, *_ = batches.open_splits(experiment, self.info)
        make = functools.partial(counting.training, data, self.config.side, split, seed=experiment.train.seed)
        return batches.of_records(experiment, self.info, make, images=len(split), what="instance")

    def build(self) -> keras.Model:
        """A new network with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        return models.build(self.config)

    def losses(self, model: keras.Model, batch: dict) -> dict:
        """`squared_error` and `absolute_error`, each a pair (total, count), of a batch [B, ...]."""
        error = model(batch["image"], training=True)[:, 0] - batch["count"]
        images = tf.cast(tf.size(error), tf.float32)
        return {
            "squared_error": (tf.reduce_sum(error**2), images),
            "absolute_error": (tf.reduce_sum(tf.abs(error)), images),
        }

    def predict(self, model: keras.Model, batch: dict) -> dict:
        """`count` [B] of `image` [B, S, S, 3] in 0..255."""
        return {"count": model(batch["image"])[:, 0]}
