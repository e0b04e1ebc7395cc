"""A segmenter in the laboratory: whether its label map follows what it shows."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data import image as images
from tfrecog.data import segmentation
from tfrecog.drawing import label_map
from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.model_under_test import Measures, Options, Sample, no_boxes
from tfrecog.equivariance_lab.moves import Change
from tfrecog.metrics.segmentation import Evaluator


@dataclass(frozen=True)
class Outputs:
    """Labels [H, W] in 1..K, and maps by name: the logits [H, W, K] that they are the best of, and features."""

    labels: np.ndarray
    maps: dict[str, dense.Map]
    boxes: np.ndarray = field(default_factory=no_boxes)


class Segmenter:
    """A segmenter, in one view: scales, mirror image and windows are left out. `Sample.truth` is a label map [H, W]."""

    def __init__(self, task, model, experiment: Experiment, options: Options):
        self.info, self.model, self.layers, self.data = task.info, model, options.layers, experiment.data

        @tf.function(autograph=False, reduce_retracing=True)
        def run(image):
            outputs = {"logits": model(image)}
            if self.layers:
                x = model.backbone.normalize(image)
                zeros = model.zeros
                outputs["maps"] = model.backbone(tf.pad(x, [[0, 0], [zeros] * 2, [zeros] * 2, [0, 0]]))
            return outputs

        self._run = run

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        found = self._run(tf.constant(change.image[None]))
        logits = found["logits"][0].numpy()
        maps = dense.levels(self.model.backbone, found["maps"], self.model.zeros) if self.layers else {}
        return Outputs(logits.argmax(axis=-1) + 1, {"logits": dense.Map(logits), **maps})

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        same = (after.labels == _moved(before.labels, change))[change.visible]
        return {"same_label": (float(same.mean()), 1.0) if same.size else (0.0, 0.0)}

    def accuracy(self) -> "MeanIou":
        return MeanIou(self.info.num_classes)

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        colours = [category.colour for category in self.info.categories]
        labels = np.where(change.inside, outputs.labels, 0)
        return label_map.draw(np.round(change.image).astype(np.uint8), labels, colours=colours)

    def resize(self, picture: np.ndarray) -> np.ndarray:
        size = segmentation.resized(tf.constant(picture.shape[:2]), self.data.eval_short_side, self.data)
        return images.resize(picture, size, self.data.resize).numpy()

    def truths(self, split):
        segmentation.check(split)

        def truth(row, record, size):
            label_map = tf.constant(segmentation.truth(split, row), tf.int32)
            return segmentation.nearest(label_map, size).numpy(), no_boxes()

        return truth


class MeanIou:
    """Mean IoU and pixel accuracy of what is visible."""

    def __init__(self, classes: int):
        self.evaluator = Evaluator(classes)

    def add(self, outputs: Outputs, sample: Sample, change: Change) -> None:
        truth = np.where(change.visible, _moved(sample.truth, change), 0)
        self.evaluator.add(truth, outputs.labels)

    def numbers(self) -> dict[str, float]:
        numbers = self.evaluator.summarize()
        return {name: numbers[name] for name in ("mean_iou", "pixel_accuracy") if name in numbers}


def _moved(labels, change):
    """M_g of labels [H, W]: those under the centres of the pixels."""
    points = change.move.back(moves.centres(*labels.shape))
    return moves.read(labels[..., None], points, "nearest")[..., 0]
