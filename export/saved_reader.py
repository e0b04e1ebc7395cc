"""A SavedModel in use, for a single picture at a time."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from export import lite_model, metadata, serving, versions
from tfrecog import proposals, run_lengths


class SavedReader:
    """A model of this library in the folder of a SavedModel."""

    def __init__(self, path: str | Path):
        """Loads the newest version in a folder, or the folder of a version; OSError or ValueError say what is wrong."""
        self.path = versions.latest(path)
        self.metadata = metadata.load(self.path)
        try:
            self._model = tf.saved_model.load(str(self.path))  # The signature does not keep it alive.
            self._call = self._model.signatures[serving.PIXELS]
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise ValueError(f"{self.path} cannot be loaded ({str(error).splitlines()[0]}); export it again") from error
        self._inputs = self._call.structured_input_signature[1]

    def predict(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """See `artefact.Artefact`."""
        given = {"image": tf.constant(picture[None])}
        if "proposals" in self._inputs:
            given["proposals"] = tf.constant(self._propose(picture)[None], tf.float32)
        said = {name: value[0].numpy() for name, value in self._call(**given).items()}
        if self.metadata["task"] != "detection":
            return {name: said[name] for name in ("scores", "labels") if name in said}
        filled = said["detection_classes"] > 0
        found = {own: said[name][filled] for name, own in lite_model.DETECTIONS.items() if name in said}
        if "masks" in found:
            form = self.metadata.get("masks", "squares")
            if form == "pasted":
                found["pasted"] = found.pop("masks") > 0
            elif form == "runs":
                height, width = picture.shape[:2]
                runs = [_unpadded(one, height * width) for one in found.pop("masks")]
                dense = [run_lengths.to_mask(one, height, width) for one in runs]
                found["pasted"] = np.stack(dense) if dense else np.zeros([0, height, width], bool)
        return found

    def _propose(self, picture):
        words = self.metadata.get("proposals")
        if not words:
            raise ValueError(f"{self.path} reads proposals and does not say how they are made; export it again")
        return proposals.of_words(words)(picture)


def _unpadded(runs, pixels):
    """Run lengths without the zeros behind them, which an image of so many pixels does not need."""
    return runs[: int(np.searchsorted(np.cumsum(runs), pixels)) + 1]
