"""Semantic segmentation: where pictures, label maps, network and loss meet."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfrecog import losses
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import batches, image, segmentation
from tfrecog.data.info import DatasetInfo
from tfrecog.evaluations import segmentation as evaluation
from tfrecog.evaluations import tensorboard_images
from tfrecog.inference import segmentation as inference
from tfrecog.models.segmenter import fcn
from tfrecog.ops import target, windows
from tfrecog.runtime import mixed_precision

_LOSSES = {"softmax": losses.pixel_cross_entropy, "binary": losses.pixel_binary_cross_entropy}


class Segmentation:
    """The task that `--task=segmentation` names."""

    evaluation = evaluation  # a model on a split: metrics, and what belongs to them
    inference = inference  # a model on pictures of any size: files and drawings
    best_by = ("mean_iou",)  # metrics that choose the best checkpoint
    draw = staticmethod(tensorboard_images.segmented)
    metrics = ("pixel_accuracy",)  # terms of `losses` that are shown, and no part of the loss

    def __init__(self, experiment: Experiment, dataset: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.segmenter, dataset
        given = len(self.config.class_weights)
        if given not in (0, dataset.num_classes):
            raise UserError(
                f"--segmenter.class_weights has {given} weights, and {experiment.data.records} has "
                f"{dataset.num_classes} classes: {', '.join(dataset.names[:30])}"
            )

    @functools.cached_property
    def class_weights(self) -> tuple[float, ...]:
        """Weight of each class in the loss; empty if all are 1. Of no interest to a class that no pixel has: 1."""
        if not self.config.class_balance:
            return self.config.class_weights
        data = self.experiment.data
        pixels = np.array(self.info.splits[data.train_split].pixels[1:], np.float64)
        if not pixels.any():
            raise UserError(
                f"--segmenter.class_balance={self.config.class_balance:g}: dataset.json of {data.records} does not say "
                f"how many pixels each class has in {data.train_split!r}. Build the records again, or give "
                "--segmenter.class_weights (`python -m pipelines.check` prints some)"
            )
        there = pixels > 0
        weights = np.median(pixels[there]) / np.where(there, pixels, np.median(pixels[there]))
        return tuple(float(weight) for weight in weights**self.config.class_balance)

    @property
    def name(self) -> str:
        """For people: `fcn8s on resnet18, softmax`."""
        return f"{self.config.name} on {self.config.backbone.name}, {self.config.loss}"

    def data(self) -> batches.Data:
        """The records to train on; a ValueError or OSError says what is wrong with them or with the others."""
        experiment, data = self.experiment, self.experiment.data
        split, *_ = splits = batches.open_splits(experiment, self.info)
        for one in splits:
            segmentation.check(one)
        _ = self.class_weights  # An error now, and not in the first step.
        make = functools.partial(segmentation.training, data, self.config.crop, split, seed=experiment.train.seed)
        return batches.of_records(experiment, self.info, make, images=len(split))

    def build(self) -> fcn.Segmenter:
        """A new network with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        with mixed_precision.layers(self.experiment.train.precision):
            model = fcn.build(self.config, self.info.num_classes)
        model.logits(tf.zeros([1, 64, 64, 3]))  # Not in training, which would move the statistics of batch norm.
        model.built = True
        return model

    def losses(self, model: fcn.Segmenter, batch: dict) -> dict:
        """`class_loss`, `auxiliary_loss` of a network with a second head, and `pixel_accuracy`: pairs (total, count).

        Of one replica's share of a batch [B, ...]; a pixel of label 0 counts nowhere.
        """
        labels = batch["label_map"]
        outputs = model.logits(batch["image"], training=True, seed=batch["seed"])
        weights, counts = losses.pixel_weights(labels, self.class_weights), self.counts(batch)
        total, _ = _LOSSES[self.config.loss](outputs["main"], labels, weights)
        terms = {"class_loss": (total, counts["class_loss"])}
        if "auxiliary" in outputs:
            total, _ = _LOSSES[self.config.loss](outputs["auxiliary"], labels, weights)
            terms["auxiliary_loss"] = self.config.auxiliary * total, counts["class_loss"]
        return terms | {"pixel_accuracy": losses.hits(outputs["main"], labels)}

    def counts(self, batch: dict) -> dict:
        """The counts of `losses`, which the batch alone decides: name → []."""
        labels = batch["label_map"]
        if self.config.reduction == "sum":
            count = tf.cast(tf.shape(labels)[0], tf.float32)
        else:
            count = tf.reduce_sum(losses.pixel_weights(labels, self.class_weights))
        counts = {"class_loss": count}
        if self.config.name == "fcn_dilated" and self.config.auxiliary:
            counts["auxiliary_loss"] = count
        return counts | {"pixel_accuracy": losses.count_where(labels > 0)}

    def predict(self, model: fcn.Segmenter, batch: dict) -> dict:
        """`label_map` [B, H, W] uint8 in 0..K of `image` [B, H, W, 3] in 0..255, at its own size.

        The class of the highest mean score over `segmenter.scales` and the mirror image, read bilinearly where the
        network sees another size. With one view the scores are logits, else probabilities. 0 where they are no numbers.
        """
        scores = self._scores(model, batch["image"])
        if target.integers():  # which are numbers always
            return {"label_map": tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32) + 1, tf.uint8)}
        label_map = tf.argmax(_in_fours(scores), axis=-1, output_type=tf.int32) + 1
        # Not is_finite, which becomes x - x for a phone, and its GPU has no difference of the same number.
        sound = tf.abs(tf.reduce_sum(scores, axis=-1)) <= tf.float32.max
        return {"label_map": tf.cast(tf.where(sound, label_map, 0), tf.uint8)}

    def probabilities(self, model: fcn.Segmenter, batch: dict):
        """Probabilities [B, H, W, K] of the classes, of which `predict` takes the highest: the mean of the views."""
        scores = self._scores(model, batch["image"])
        return scores / self._views if self._views > 1 else self._probabilities(scores)

    @property
    def _views(self):
        """How often the network sees a picture."""
        return len(self.config.scales) * (1 + self.config.mirror)

    def _scores(self, model, seen):
        """Logits [B, H, W, K] of pictures [B, H, W, 3] that are seen once, else the sum of all views' probabilities."""
        views = []
        original, data = tf.shape(seen)[1:3], self.experiment.data
        size = image.resized(original, data.eval_short_side, data)
        for scale in self.config.scales:
            scaled = size if scale == 1 else tf.maximum(tf.cast(tf.cast(size, tf.float32) * scale + 0.5, tf.int32), 1)
            as_is = scale == 1 and target.target() == "tflite"  # whose canvas the network sees
            view = seen if as_is else _resize(seen, scaled, data.resize)
            for mirrored in (False, True)[: 1 + self.config.mirror]:
                logits = self._logits(model, view[:, :, ::-1] if mirrored else view)
                scores = self._probabilities(logits) if self._views > 1 else logits
                scores = scores[:, :, ::-1] if mirrored else scores
                views.append(scores if as_is else image.resize(scores, original))
        return functools.reduce(tf.add, views)

    def _logits(self, model, view):
        """Logits [B, H, W, K] of a view [B, H, W, 3], through windows if it is to be."""
        if not self.config.window:
            return model(view)
        return windows.sliding_mean(model, view, self.config.window, self.info.num_classes)

    def _probabilities(self, logits):
        return tf.nn.softmax(logits) if self.config.loss == "softmax" else tf.nn.sigmoid(logits)


def _in_fours(scores):
    """Scores [B, H, W, K] with classes that cannot be, for a phone, until they are a multiple of four.

    LiteRT's GPU delegate keeps channels in fours, and its arg max takes those that are not there for 0: above all
    negative logits.
    """
    missing = -scores.shape[-1] % 4
    if target.target() != "tflite" or not missing:
        return scores
    # -6e4 is a number in float16, too. In browsers the delegate pads with 0, whatever the constant is.
    low = tf.constant([0.0] * scores.shape[-1] + [-6e4] * missing)
    return tf.pad(scores, [[0, 0], [0, 0], [0, 0], [0, missing]]) + low


def _resize(images, size, by):
    """Images [B, h, w, 3] of images [B, H, W, 3], as the reader resizes one."""
    if by == "pillow":
        return tf.map_fn(lambda one: image.resize(one, size, by), images)
    return image.resize(images, size)
