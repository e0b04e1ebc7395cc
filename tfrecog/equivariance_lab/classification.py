"""A classifier in the laboratory: whether its class and its scores stay, and what its layers do."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrecog.data import classification
from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.dense import Measures
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.equivariance_lab.measure import NO_BOXES, Outputs, Sample
from tfrecog.equivariance_lab.moves import Change
from tfrecog.inference.classification import input_of
from tfrecog.inference.result_files import written_on
from tfrecog.tasks.classification import probabilities


class Scores(NamedTuple):
    """Probabilities [K], the logits [K], and the input [P] of the first fully connected layer if it pools."""

    probabilities: np.ndarray
    logits: np.ndarray
    pooled: np.ndarray | None


class Classifier:
    """A classifier; `Sample.truth` is a label in 1..K."""

    def __init__(self, task, model, flags: Flags):
        self.names, self.model, self.flags = task.info.names, model, flags

    @tf.function(autograph=False, reduce_retracing=True)
    def _run(self, image):
        logits = tf.cast(self.model(image), tf.float32)
        features, pooled = {}, None
        if self.flags.layers:
            features = self.model.backbone(self.model.backbone.normalize(image))
            pooled = tf.cast(self.model.pool(features[max(features)]), tf.float32)
        return probabilities(logits, self.flags.classifier.loss), logits, pooled, features

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        scores, logits, pooled, features = self._run(tf.constant(change.image[None]))
        maps = dense.levels(self.model.backbone, features)
        some = pooled is not None and sum(one.values.size for one in maps.values()) > tf.size(pooled)
        return Outputs(Scores(scores[0].numpy(), logits[0].numpy(), pooled.numpy().ravel() if some else None), maps)

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        first, then = before.result, after.result
        best = int(first.probabilities.argmax())
        found: Measures = {
            "same_class": (float(then.probabilities.argmax() == best), 1.0),
            "score_change": (abs(float(then.probabilities[best] - first.probabilities[best])), 1.0),
            "logits_invariance_error": dense.relative(then.logits, first.logits),
        }
        if first.pooled is not None:
            found["pooled_invariance_error"] = dense.relative(then.pooled, first.pooled)
        return found

    def evaluator(self) -> None:
        return None

    def evaluate(self, evaluator, outputs: Outputs, sample: Sample, change: Change) -> Measures:
        return {"top1": (float(outputs.result.probabilities.argmax() + 1 == sample.truth), 1.0)}

    def accuracy(self, evaluator) -> dict[str, float]:
        return {}

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        scores = outputs.result.probabilities
        lines = [f"{self.names[i]}: {scores[i]:.1%}" for i in np.argsort(-scores)[:2]]
        return written_on(np.round(change.image).astype(np.uint8), lines, 160)

    def resize(self, picture: np.ndarray) -> np.ndarray:
        return input_of(picture, self.flags.data, self.flags.classifier.crop)

    def truth(self, split, row, record, size):
        (label,) = split.info.known_labels(split.index.label[row : row + 1], [None])
        return int(label or classification.labels_of(split)[row]), NO_BOXES  # which says what is wrong
