"""The checkpoint that an artefact was made from, for a single picture at a time, as the artefact's counterpart."""

import numpy as np
import tensorflow as tf

from tfrecog.inference import classification, detection, segmentation
from tfrecog.proposals import methods

from ..artifact import errors
from ..litert import preprocess, reader

ROUNDED = 0.51  # of a gray level: what a canvas in uint8 may be off, and the resizing before it


class CheckpointReader:
    """A task's model as `tfrecog.predict` uses it, or on the canvas of a TFLite file."""

    def __init__(self, task, model, experiment):
        self.task, self.model, self.experiment = task, model, experiment
        self._call = tf.function(lambda batch: task.predict(model, batch), autograph=False, reduce_retracing=True)
        on_record = experiment.task == "detection" and experiment.detector.proposals == "record"
        self._propose = methods.of_words(task.info.proposals) if on_record else None

    def predict(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What the checkpoint sees in a photo uint8 [H, W, 3], in its pixels, as `exported_model.Artefact` has it."""
        task, data = self.experiment.task, self.experiment.data
        if task == "classification":
            batch = {
                "image": tf.constant(classification.input_of(picture, data, self.experiment.classifier.crop)[None])
            }
        elif task == "segmentation":
            batch = segmentation.batch_of(picture)
        else:
            batch = detection.batch_of(picture, data, self._propose(picture) if self._propose else None)
        size = tuple(batch["size"][0].numpy()) if "size" in batch else batch["image"].shape[1:3]
        return self._outputs(batch, preprocess.Placed(batch["image"], size, picture.shape[:2]))

    def on_canvas(self, model: reader.LiteModel, picture: np.ndarray) -> dict[str, np.ndarray]:
        """The same of the very pixels that a TFLite file sees, which for a classifier have to be its own."""
        placed = model.place(picture)
        if self.experiment.task == "classification" and model.size == (self.experiment.classifier.crop,) * 2:
            own = classification.input_of(picture, self.experiment.data, self.experiment.classifier.crop)
            if (off := float(np.abs(own - placed.image).max())) > ROUNDED:
                raise errors.Contradiction(
                    f"{model.path}: what its metadata cut out of the photo is up to {off:.3g} gray levels off what the "
                    "checkpoint is evaluated on; export it again"
                )
        batch = {"image": tf.constant(placed.image[None], tf.float32)}
        if self.experiment.task == "detection":
            batch |= {"size": tf.constant([placed.size], tf.int32), "scale": tf.constant(placed.scale[None])}
            if self._propose:
                batch["proposals"] = tf.constant(
                    model.inputs(placed, self._propose(picture))["proposals"].reshape(1, -1, 4)
                )
        return self._outputs(batch, placed)

    def _outputs(self, batch, placed):
        outputs = {name: value[0].numpy() for name, value in self._call(batch).items()}
        if self.experiment.task == "detection":
            return preprocess.detections(outputs, placed)
        if self.experiment.task == "classification":
            return {"scores": outputs["probabilities"]}
        labels = outputs["label_map"]
        return {"labels": labels if labels.shape == placed.photo else preprocess.label_map(labels, placed)}
