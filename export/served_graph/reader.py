"""A SavedModel in use: a single picture with all that is said of it, or a batch of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.proposals import methods

from ..artifact import metadata, results
from . import signatures, versions

SIGNATURES = (signatures.PIXELS, signatures.BYTES)


class SavedReader:
    """A model of this library in the folder of a SavedModel."""

    def __init__(self, path: str | Path, needed: Iterable[str] = SIGNATURES):
        """Loads the newest version in a folder, or the folder of a version, with the signatures that are needed.

        UserError or OSError if it cannot.
        """
        self.path = versions.latest(path)
        self.metadata = metadata.load(self.path)
        self._model = versions.load(self.path)  # The signature does not keep it alive.
        if missing := {*needed} - {*self._model.signatures}:
            raise UserError(f"{self.path} lacks the signatures {', '.join(sorted(missing))}; export it again")
        for name in needed:
            metadata.check_outputs(self.metadata, self._model.signatures[name].structured_outputs, self.path)
        self._see = self._model.signatures[signatures.PIXELS]
        self.reads_proposals: bool = "proposals" in self._see.structured_input_signature[1]
        self.outputs: dict[str, Any] = self._see.structured_outputs  # TensorSpecs by name

    def see(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for images uint8 [B, H, W, 3] of a model that reads pictures alone, see `docs/serving.md`."""
        return {name: value.numpy() for name, value in self._see(image=tf.constant(images)).items()}

    def run(self, picture: np.ndarray, signature: str = signatures.PIXELS) -> dict[str, np.ndarray]:
        """The outputs of a signature for a picture uint8 [H, W, 3], by its names; BYTES gets it as a PNG file."""
        call = self._model.signatures[signature]
        given = {"image": tf.constant(picture)}
        if signature == signatures.BYTES:
            given = {"image_bytes": tf.io.encode_png(picture)}
        if "proposals" in call.structured_input_signature[1]:
            given["proposals"] = tf.constant(self._propose(picture), tf.float32)
        return {name: value[0].numpy() for name, value in call(**{k: v[None] for k, v in given.items()}).items()}

    def predict(self, picture: np.ndarray, signature: str = signatures.PIXELS) -> dict:
        """The outputs for a picture uint8 [H, W, 3], by the names of `artifact.canvas_model.CanvasModel.predict`."""
        outputs = self.run(picture, signature)
        if self.metadata["task"] == "segmentation":
            return {"labels": outputs["labels"]}
        if self.metadata["task"] == "classification":
            order = np.argsort(-outputs["scores"], kind="stable")[: len(outputs["classes"])]
            self._check("classes", outputs["classes"], order + 1)
            return {"scores": outputs["scores"]}
        filled = outputs["detection_classes"] > 0
        self._check(
            "detection_class_names", outputs["detection_class_names"][filled], outputs["detection_classes"][filled]
        )
        if not filled[: outputs["num_detections"]].all() or outputs["num_detections"] != filled.sum():
            raise metadata.Contradiction(
                f"{self.path}: num_detections is {outputs['num_detections']}, and detections are in the slots "
                f"{np.flatnonzero(filled).tolist()}; export it again"
            )
        return results.detections(outputs, picture.shape[:2], self.metadata)

    def _check(self, output, names, labels):
        known = metadata.names(self.metadata)
        for name, label in zip(names, labels, strict=True):
            if label > len(known) or name.decode() != known[label - 1]:
                raise metadata.Contradiction(
                    f"{self.path}: {output} has {name.decode()!r} where the label is {label}, and of the classes in "
                    f"{metadata.FILE} that is {known[label - 1 : label]}; export it again"
                )

    def _propose(self, picture):
        words = self.metadata.get("proposals")
        if not words:
            raise UserError(f"{self.path} reads proposals, and its metadata lacks their method; export it again")
        return methods.of_words(words)(picture)
