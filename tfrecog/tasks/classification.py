"""Image classification: where pictures, classifier and loss meet."""

import keras
import tensorflow as tf

from tfrecog import losses
from tfrecog.config import Experiment
from tfrecog.data import classification, index, read
from tfrecog.data.batches import Data, check_eval_split, describe
from tfrecog.data.info import DatasetInfo
from tfrecog.models import classifier


class Classification:
    """The task that `--task=classification` names."""

    def __init__(self, experiment: Experiment, dataset: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.classifier, dataset

    @property
    def name(self) -> str:
        """For people: `classifier resnet50`."""
        return f"classifier {self.config.name}"

    def data(self) -> Data:
        """The records to train on; a ValueError or OSError says what is wrong with them or with the others."""
        experiment, dataset = self.experiment, self.info
        data, seed = experiment.data, experiment.train.seed
        rows = index.load(data.records, data.train_split, ["label"])
        check_eval_split(experiment, dataset)
        for split in {data.train_split} | ({data.eval_split} if experiment.train.evaluate_epochs > 0 else set()):
            classification.labels_of(index.load(data.records, split, ["label"]), dataset, data.records)
        augment, crop = experiment.augment, self.config.crop

        def batches(start, total):
            made = classification.training(data, augment, crop, dataset, rows, seed=seed, start_step=start, steps=total)
            return read.in_words(made)

        return Data(
            steps_per_epoch=classification.steps_per_epoch(rows, data),
            batches=batches,
            description=describe(experiment, dataset),
            images=len(rows),
        )

    def build(self) -> classifier.Classifier:
        """A new classifier with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        model = classifier.build(self.config, self.info.num_classes)
        model.logits(tf.zeros([1, 64, 64, 3]))
        model.built = True
        return model

    def losses(self, model: classifier.Classifier, batch: dict) -> dict:
        """Name → (total, count) of one replica's share of a batch; an image of label 0 does not count."""
        logits = model.logits(batch["image"], training=True)
        total, count = losses.image_loss(logits, batch["label"])
        return {"class_loss": (total, count)}

    def predict(self, model: classifier.Classifier, batch: dict) -> dict:
        """`probabilities` [B, K] of the labels 1 to K, for `image` [B, S, S, 3] in 0..255."""
        return {"probabilities": tf.nn.softmax(model(batch["image"]))}
