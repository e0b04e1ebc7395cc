"""The checkpoint that a model was exported from, for a single picture at a time, as the model's counterpart."""

import numpy as np
import tensorflow as tf

from tfrecog.inference import classification, detection, predictor, segmentation
from tfrecog.ops import pasting
from tfrecog.proposals import methods

from ..artifact import metadata, preprocess
from ..artifact.canvas_model import CanvasModel

ROUNDED = 0.51  # of a gray level: what a canvas in uint8 may be off, and the resizing before it


class CheckpointReader:
    """A task's model as `tfrecog.predict` uses it, or on the canvas of a TFLite or ONNX file.

    `boxes_only` leaves out masks and keypoints.
    """

    def __init__(self, task, model, experiment, boxes_only: bool = False):
        self.experiment, self._call = experiment, predictor.of_one(task, model, any_size=True)
        self._left_out = {"masks", "keypoints"} if boxes_only else set()
        on_record = experiment.task == "detection" and experiment.detector.proposals == "record"
        self._propose = methods.of_words(task.info.proposals) if on_record else lambda picture: None

    def predict(self, picture: np.ndarray) -> dict:
        """The checkpoint's outputs for a photo uint8 [H, W, 3], in its pixels, as a `CanvasModel` has them.

        Of masks also `squares` [n, 2 S, 2 S], probabilities that are not pasted.
        """
        task, data = self.experiment.task, self.experiment.data
        if task == "classification":
            batch = classification.batch_of(picture, self.experiment)
        elif task == "segmentation":
            batch = segmentation.batch_of(picture)
        else:
            batch = detection.batch_of(picture, data, self._propose(picture))
        size = tuple(batch["size"][0].numpy()) if "size" in batch else batch["image"].shape[1:3]
        return self._outputs(batch, preprocess.Placed(batch["image"], size, picture.shape[:2]))

    def on_canvas(self, model: CanvasModel, picture: np.ndarray) -> dict:
        """The same of the very pixels that a TFLite or ONNX file sees, which for a classifier have to be its own."""
        placed, proposals = model.place(picture), None
        if model.given["fit"] == "middle":
            self._check_pixels(model, picture, placed)
        if self.experiment.task == "detection" and (proposals := self._propose(picture)) is not None:
            proposals = model.inputs(placed, proposals)["proposals"]
        return self.on_placed(placed, proposals)

    def on_placed(self, placed: preprocess.Placed, proposals: np.ndarray | None = None) -> dict:
        """The same of a photo on a canvas; `proposals` [P, 4] are in its pixels."""
        batch = {"image": tf.constant(placed.image[None], tf.float32)}
        if self.experiment.task == "detection":
            batch |= {"size": tf.constant([placed.size], tf.int32), "scale": tf.constant(placed.scale[None])}
            if proposals is not None:
                batch["proposals"] = tf.constant(proposals.reshape(1, -1, 4))
        return self._outputs(batch, placed)

    def _check_pixels(self, model, picture, placed):
        """Contradiction if a classifier's file sees another part of a photo than the evaluation."""
        crop = self.experiment.classifier.crop
        own = classification.input_of(picture, self.experiment.data, crop)
        if model.size == (crop, crop) and (off := float(np.abs(own - placed.image).max())) > ROUNDED:
            raise metadata.Contradiction(
                f"{model.path}: the crop that its metadata describes differs by up to {off:.3g} gray levels from that "
                "of the checkpoint's evaluation; export it again"
            )

    def _outputs(self, batch, placed):
        outputs = self._call(batch)
        if self.experiment.task == "classification":
            return {"scores": outputs["probabilities"]}
        if self.experiment.task == "segmentation":
            labels = outputs["label_map"]
            return {"labels": labels if labels.shape == placed.photo else preprocess.label_map(labels, placed)}
        outputs = {name: value for name, value in outputs.items() if name not in self._left_out}
        found = preprocess.detections(outputs, placed)
        if "masks" in found:
            output, found["squares"] = self.experiment.detector.output, found["masks"]
            found["masks"] = pasting.paste(
                found["squares"], found["boxes"], *placed.photo, output.mask_threshold, output.paste
            )
        return found
