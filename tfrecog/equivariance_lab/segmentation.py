"""A segmenter in the laboratory: whether its label map follows what it shows."""

import numpy as np
import tensorflow as tf

from tfrecog.data import image as images
from tfrecog.data import segmentation
from tfrecog.drawing import label_map
from tfrecog.equivariance_lab import dense
from tfrecog.equivariance_lab.dense import Measures
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.equivariance_lab.measure import NO_BOXES, Outputs, Sample
from tfrecog.equivariance_lab.moves import Change, Grid
from tfrecog.metrics.segmentation import Evaluator


class Segmenter:
    """A segmenter, in one view: scales, mirror image and windows are left out.

    Its result for an image are labels [H, W] in 1..K, and so is `Sample.truth`, where 0 does not count.
    """

    def __init__(self, task, model, flags: Flags):
        self.info, self.model, self.flags = task.info, model, flags

    @tf.function(autograph=False, reduce_retracing=True)
    def _run(self, image):
        features = {}
        if self.flags.layers:
            zeros = [self.model.zeros] * 2
            features = self.model.backbone(tf.pad(self.model.backbone.normalize(image), [[0, 0], zeros, zeros, [0, 0]]))
        return self.model(image), features

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        logits, features = self._run(tf.constant(change.image[None]))
        logits, maps = logits[0].numpy(), dense.levels(self.model.backbone, features, self.model.zeros)
        return Outputs(logits.argmax(axis=-1) + 1, {"logits": Grid(logits), **maps})

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        same = (after.result == _moved(before.result, change))[change.visible]
        return {"same_label": (float(same.sum()) / max(same.size, 1), float(same.size > 0))}

    def evaluator(self) -> Evaluator:
        return Evaluator(self.info.num_classes)

    def evaluate(self, evaluator: Evaluator, outputs: Outputs, sample: Sample, change: Change) -> Measures:
        evaluator.add(np.where(change.visible, _moved(sample.truth, change), 0), outputs.result)
        return {}

    def accuracy(self, evaluator: Evaluator) -> dict[str, float]:
        numbers = evaluator.summarize()
        return {name: numbers[name] for name in ("mean_iou", "pixel_accuracy") if name in numbers}

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        colours = [category.colour for category in self.info.categories]
        labels = np.where(change.inside, outputs.result, 0)
        return label_map.draw(np.round(change.image).astype(np.uint8), labels, colours=colours)

    def resize(self, picture: np.ndarray) -> np.ndarray:
        data = self.flags.data
        size = images.resized(tf.constant(picture.shape[:2]), data.eval_short_side, data)
        return images.resize(picture, size, data.resize).numpy()

    def truth(self, split, row, record, size):
        segmentation.check(split)
        labels = tf.constant(segmentation.truth(split, row), tf.int32)
        return segmentation.nearest(labels, size).numpy(), NO_BOXES


def _moved(labels, change):
    """M_g of labels [H, W]: those under the centres of the pixels."""
    return Grid(labels).moved(change.move, "nearest").astype(int)
