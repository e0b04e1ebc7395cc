"""A classifier in the laboratory: whether its class and its scores stay, and what its layers do."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.subject import Measures, Sample
from tfrecog.equivariance_lab.transforms import Change
from tfrecog.inference import result_files
from tfrecog.tasks.classification import probabilities


@dataclass(frozen=True)
class Seen:
    """Probabilities [K], the logits [K], the input [P] of the first fully connected layer, maps by name."""

    probabilities: np.ndarray
    logits: np.ndarray
    pooled: np.ndarray
    maps: dict[str, dense.Map]


class Subject:
    """A classifier; `Sample.truth` is a label in 1..K."""

    def __init__(self, task, model, experiment: Experiment, layers: bool):
        self.names, self.model, self.layers = task.info.names, model, layers
        loss = experiment.classifier.loss

        @tf.function(autograph=False, reduce_retracing=True)
        def run(image):
            logits = tf.cast(model(image), tf.float32)
            outputs = {"logits": logits, "probabilities": probabilities(logits, loss)}
            if layers:
                features = model.backbone(model.backbone.normalize(image))
                outputs |= {"maps": features, "pooled": model.pool(features[max(features)])}
            return outputs

        self._run = run

    def see(self, sample: Sample, change: Change) -> Seen:
        said = self._run(tf.constant(change.image[None]))
        maps = dense.levels(self.model.backbone, said["maps"]) if self.layers else {}
        pooled = np.asarray(said["pooled"], np.float32).ravel() if self.layers else np.zeros(0)
        return Seen(said["probabilities"][0].numpy(), said["logits"][0].numpy(), pooled, maps)

    def compare(self, before: Seen, after: Seen, change: Change) -> Measures:
        best = int(before.probabilities.argmax())
        fall = abs(float(after.probabilities[best] - before.probabilities[best]))
        found: Measures = {
            "same_class": (float(after.probabilities.argmax() == best), 1.0),
            "score_change": (fall, 1.0),
            "logits_invariance_error": dense.relative(after.logits, before.logits),
        }
        for name, one in before.maps.items():
            found |= dense.compare(name, one, after.maps[name], change)
        if sum(one.values.size for one in before.maps.values()) > before.pooled.size > 0:  # Some pool nothing.
            found["pooled_invariance_error"] = dense.relative(after.pooled, before.pooled)
        return found

    def map_floor(self, before: Seen, change: Change) -> Measures:
        found: Measures = {}
        for name, one in before.maps.items():
            found |= dense.map_floor(name, one, change)
        return found

    def accuracy(self) -> "Top1":
        return Top1()

    def picture(self, seen: Seen, change: Change) -> np.ndarray:
        best = np.argsort(-seen.probabilities)[:2]
        lines = [f"{self.names[i]}: {seen.probabilities[i]:.1%}" for i in best]
        return result_files.written_on(np.round(change.image).astype(np.uint8), lines, 160)


class Top1:
    """The share of the images whose best class is theirs."""

    def __init__(self):
        self.right, self.count = 0, 0

    def add(self, seen: Seen, sample: Sample, change: Change) -> None:
        self.right += int(seen.probabilities.argmax() + 1 == sample.truth)
        self.count += 1

    def numbers(self) -> dict[str, float]:
        return {"top1": self.right / self.count}
