"""A SavedModel in use, for a single picture at a time."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.ops import rle
from tfrecog.proposals import methods

from ..artifact import metadata
from ..litert.reader import DETECTIONS
from . import signatures, versions

SIGNATURES = (signatures.PIXELS, signatures.BYTES)


class SavedReader:
    """A model of this library in the folder of a SavedModel."""

    def __init__(self, path: str | Path):
        """Loads the newest version in a folder, or the folder of a version; UserError or OSError if it cannot."""
        self.path = versions.latest(path)
        self.metadata = metadata.load(self.path)
        self._model = versions.load(self.path)  # The signature does not keep it alive.
        if missing := {*SIGNATURES} - {*self._model.signatures}:
            raise UserError(f"{self.path} lacks the signatures {', '.join(sorted(missing))}; export it again")
        for name in SIGNATURES:
            metadata.check_outputs(self.metadata, self._model.signatures[name].structured_outputs, self.path)

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
        """The outputs for a picture uint8 [H, W, 3], by the names of `litert.reader.LiteModel.predict`."""
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
        found = {own: outputs[name][filled] for name, own in DETECTIONS.items() if name in outputs}
        if "masks" in found:
            form, size = self.metadata.get("masks", "squares"), picture.shape[:2]
            if form == "squares":
                threshold, rule = self.metadata["mask_threshold"], self.metadata["paste"]
                found["masks"] = rle.paste(found["masks"], found["boxes"], *size, threshold, rule)
            else:
                plain = rle.encode if form == "pasted" else lambda runs: np.trim_zeros(runs, "b")
                found["masks"] = [plain(one) for one in found["masks"]]
        return found

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
