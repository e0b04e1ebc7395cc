"""Image classification: where pictures and classifier meet. Its training is not there yet."""

import keras
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo
from tfrecog.models import classifier


class Classification:
    """The task that `--task=classification` names."""

    def __init__(self, experiment: Experiment, info: DatasetInfo):
        self.experiment, self.config, self.info = experiment, experiment.classifier, info

    @property
    def name(self) -> str:
        """For people: `classifier resnet50`."""
        return f"classifier {self.config.name}"

    def build(self) -> classifier.Classifier:
        """A new classifier with its variables."""
        keras.utils.set_random_seed(self.experiment.train.seed)
        model = classifier.build(self.config, self.info.num_classes)
        model.logits(tf.zeros([1, 64, 64, 3]))
        model.built = True
        return model

    def predict(self, model: classifier.Classifier, batch: dict):
        """Probabilities [B, K] of the labels 1 to K, for `image` [B, H, W, 3] in 0..255."""
        return tf.nn.softmax(model(batch["image"]))
