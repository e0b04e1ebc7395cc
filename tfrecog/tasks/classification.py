"""Image classification: where pictures, classifier and loss meet."""

import functools

import keras
import tensorflow as tf

from tfrecog import losses
from tfrecog.config import Experiment
from tfrecog.data import batches, classification
from tfrecog.data.info import DatasetInfo
from tfrecog.evaluations import classification as evaluation
from tfrecog.evaluations import tensorboard_images
from tfrecog.inference import classification as inference
from tfrecog.models import classifier
from tfrecog.runtime import mixed_precision


class Classification:
    """The task that `--task=classification` names."""

    evaluation = evaluation  # a model on a split: metrics, and what belongs to them
    inference = inference  # a model on pictures of any size: files and drawings
    best_by = ("top1",)  # metrics that choose the best checkpoint
    draw = staticmethod(tensorboard_images.classified)
    metrics = ("top1",)  # terms of `losses` that are shown, and no part of the loss

    def __init__(self, experiment: Experiment, dataset: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.classifier, dataset

    @property
    def name(self) -> str:
        """For people: `classifier resnet50`."""
        return f"classifier {self.config.name}"

    def data(self) -> batches.Data:
        """The records to train on; a ValueError or OSError says what is wrong with them or with the others."""
        experiment, data = self.experiment, self.experiment.data
        splits = batches.open_splits(experiment, self.info)
        for split in splits:
            classification.labels_of(split)
        settings = (data, experiment.augment, self.config.crop, splits[0])
        make = functools.partial(classification.training, *settings, seed=experiment.train.seed)
        return batches.of_records(experiment, self.info, make, images=len(splits[0]))

    def build(self) -> classifier.Classifier:
        """A new classifier with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        with mixed_precision.layers(self.experiment.train.precision):
            model = classifier.build(self.config, self.info.num_classes)
        # Of the size that it is to see: some networks accept no other.
        model.logits(tf.zeros([1, self.config.crop, self.config.crop, 3]))
        model.built = True
        return model

    def losses(self, model: classifier.Classifier, batch: dict) -> dict:
        """`class_loss` and `top1`, each a pair (total, count), of one replica's share of a batch [B, ...].

        An image of label 0 does not count. In a batch with `other` and `share` [B] each image is mixed of two, the
        first with a weight of `share`; one of label `other` 0 does not count either, and `top1` is of the heavier part.
        """
        outputs = model.logits(batch["image"], training=True, seed=batch["seed"])
        loss = {"cross_entropy": losses.image_cross_entropy, "squared_error": losses.image_squared_error}
        return {
            "class_loss": loss[self.config.loss](outputs, self._targets(batch)),
            "top1": losses.hits(outputs, _heavier(batch)),
        }

    def counts(self, batch: dict) -> dict:
        """The counts of `losses`, which the batch alone decides: name → []."""
        count = losses.count_where(_heavier(batch) > 0)
        return {"class_loss": count, "top1": count}

    def _targets(self, batch):
        """Shares [B, K] of the classes in each image; zeros in one that does not count."""
        parts = [
            losses.class_targets(batch[name], self.info.num_classes, self.config.label_smoothing)
            for name in ("label", "other")
            if name in batch
        ]
        if len(parts) == 1:
            return parts[0]
        share = batch["share"][:, None]
        counted = tf.cast(_heavier(batch) > 0, tf.float32)[:, None]
        return counted * (share * parts[0] + (1 - share) * parts[1])

    def predict(self, model: classifier.Classifier, batch: dict) -> dict:
        """`probabilities` [B, K] of the labels 1 to K, for `image` [B, S, S, 3] in 0..255."""
        return {"probabilities": probabilities(tf.cast(model(batch["image"]), tf.float32), self.config.loss)}


def probabilities(outputs: tf.Tensor, loss: str) -> tf.Tensor:
    """Probabilities [B, K] of what a network says [B, K] that has learned by that loss; in the same order.

    Under squared error an output comes near the mean of its targets of -1 and 1, so (1 + output) / 2 is the
    probability, as far as it is positive. A millionth of a softmax is added, which keeps the order of the others.
    """
    softmax = tf.nn.softmax(outputs)
    if loss == "cross_entropy":
        return softmax
    positive = tf.maximum((1 + outputs) / 2, 0) + 1e-6 * softmax
    return positive / tf.reduce_sum(positive, axis=-1, keepdims=True)


def _heavier(batch):
    """Label [B] of the larger part of each image; 0 where it, or what it was mixed with, was damaged."""
    label = batch["label"]
    if "other" not in batch:
        return label
    other = batch["other"]
    return tf.where((label > 0) & (other > 0), tf.where(batch["share"] >= 0.5, label, other), 0)
