"""A segmenter in the laboratory: whether its label map follows what it shows."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.drawing import annotations
from tfrecog.equivariance_lab import dense, transforms
from tfrecog.equivariance_lab.subject import Measures, Sample
from tfrecog.equivariance_lab.transforms import Change
from tfrecog.metrics.segmentation import Evaluator


@dataclass(frozen=True)
class Seen:
    """Logits as a map [H, W, K], their labels [H, W] in 1..K, and features by name."""

    logits: dense.Map
    labels: np.ndarray
    maps: dict[str, dense.Map]


class Subject:
    """A segmenter, in one view: scales, mirror image and windows are left out. `Sample.truth` is a label map [H, W]."""

    def __init__(self, task, model, experiment: Experiment, layers: bool):
        self.info, self.model, self.layers = task.info, model, layers

        @tf.function(autograph=False, reduce_retracing=True)
        def run(image):
            outputs = {"logits": model(image)}
            if layers:
                x = model.backbone.normalize(image)
                zeros = model.zeros
                outputs["maps"] = model.backbone(tf.pad(x, [[0, 0], [zeros] * 2, [zeros] * 2, [0, 0]]))
            return outputs

        self._run = run

    def see(self, sample: Sample, change: Change) -> Seen:
        said = self._run(tf.constant(change.image[None]))
        logits = said["logits"][0].numpy()
        maps = dense.levels(self.model.backbone, said["maps"], self.model.zeros) if self.layers else {}
        return Seen(dense.Map(logits), logits.argmax(axis=-1) + 1, maps)

    def compare(self, before: Seen, after: Seen, change: Change) -> Measures:
        expected, visible = _moved(before.labels, change), change.visible
        count = float(visible.sum())
        same = float((after.labels == expected)[visible].mean()) if count else 0.0
        found: Measures = {"same_label": (same, float(count > 0))}
        found |= dense.compare("logits", before.logits, after.logits, change)
        for name, one in before.maps.items():
            found |= dense.compare(name, one, after.maps[name], change)
        return found

    def map_floor(self, before: Seen, change: Change) -> Measures:
        found = dense.map_floor("logits", before.logits, change)
        for name, one in before.maps.items():
            found |= dense.map_floor(name, one, change)
        return found

    def accuracy(self) -> "MeanIou":
        return MeanIou(self.info.num_classes)

    def picture(self, seen: Seen, change: Change) -> np.ndarray:
        colours = [category.colour for category in self.info.categories]
        labels = np.where(change.inside, seen.labels, 0)
        return annotations.label_map(np.round(change.image).astype(np.uint8), labels, colours=colours)


class MeanIou:
    """Mean IoU and pixel accuracy of what is visible."""

    def __init__(self, classes: int):
        self.evaluator = Evaluator(classes)

    def add(self, seen: Seen, sample: Sample, change: Change) -> None:
        truth = np.where(change.visible, _moved(sample.truth, change), 0)
        self.evaluator.add(truth, seen.labels)

    def numbers(self) -> dict[str, float]:
        numbers = self.evaluator.summarize()
        return {name: numbers[name] for name in ("mean_iou", "pixel_accuracy") if name in numbers}


def _moved(labels, change):
    """M_g of labels [H, W]: those under the centres of the pixels."""
    points = change.move.back(transforms.centres(*labels.shape))
    return transforms.read(labels[..., None], points, "nearest")[..., 0]
