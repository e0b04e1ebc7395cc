"""A classifier in the laboratory: whether its class and its scores stay, and what its layers do."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data import classification
from tfrecog.data import image as images
from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.model_under_test import Measures, Options, Sample, no_boxes
from tfrecog.equivariance_lab.moves import Change
from tfrecog.inference import result_files
from tfrecog.tasks.classification import probabilities


@dataclass(frozen=True)
class Outputs:
    """Probabilities [K], the logits [K], the input [P] of the first fully connected layer, maps by name."""

    probabilities: np.ndarray
    logits: np.ndarray
    pooled: np.ndarray
    maps: dict[str, dense.Map]
    boxes: np.ndarray = field(default_factory=no_boxes)


class Classifier:
    """A classifier; `Sample.truth` is a label in 1..K."""

    def __init__(self, task, model, experiment: Experiment, options: Options):
        self.names, self.model, self.layers = task.info.names, model, options.layers
        self.data, self.config = experiment.data, experiment.classifier

        @tf.function(autograph=False, reduce_retracing=True)
        def run(image):
            logits = tf.cast(model(image), tf.float32)
            outputs = {"logits": logits, "probabilities": probabilities(logits, self.config.loss)}
            if self.layers:
                features = model.backbone(model.backbone.normalize(image))
                outputs |= {"maps": features, "pooled": model.pool(features[max(features)])}
            return outputs

        self._run = run

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        found = self._run(tf.constant(change.image[None]))
        maps = dense.levels(self.model.backbone, found["maps"]) if self.layers else {}
        pooled = np.asarray(found["pooled"], np.float32).ravel() if self.layers else np.zeros(0)
        return Outputs(found["probabilities"][0].numpy(), found["logits"][0].numpy(), pooled, maps)

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        best = int(before.probabilities.argmax())
        fall = abs(float(after.probabilities[best] - before.probabilities[best]))
        found: Measures = {
            "same_class": (float(after.probabilities.argmax() == best), 1.0),
            "score_change": (fall, 1.0),
            "logits_invariance_error": dense.relative(after.logits, before.logits),
        }
        if sum(one.values.size for one in before.maps.values()) > before.pooled.size > 0:  # Some pool nothing.
            found["pooled_invariance_error"] = dense.relative(after.pooled, before.pooled)
        return found

    def accuracy(self) -> "Top1":
        return Top1()

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        best = np.argsort(-outputs.probabilities)[:2]
        lines = [f"{self.names[i]}: {outputs.probabilities[i]:.1%}" for i in best]
        return result_files.written_on(np.round(change.image).astype(np.uint8), lines, 160)

    def resize(self, picture: np.ndarray) -> np.ndarray:
        return images.middle(picture, self.data.eval_short_side, self.config.crop, self.data.resize).numpy()

    def truths(self, split):
        labels = classification.labels_of(split)
        return lambda row, record, size: (int(labels[row]), no_boxes())


class Top1:
    """The fraction of the images whose best class is theirs."""

    def __init__(self):
        self.right, self.count = 0, 0

    def add(self, outputs: Outputs, sample: Sample, change: Change) -> None:
        self.right += int(outputs.probabilities.argmax() + 1 == sample.truth)
        self.count += 1

    def numbers(self) -> dict[str, float]:
        return {"top1": self.right / self.count}
