"""An exported model of either kind, for a single picture at a time."""

from pathlib import Path
from typing import Protocol

import numpy as np


class Artefact(Protocol):
    """A TFLite file (`litert.reader.LiteModel`) or a SavedModel (`served_graph.reader.SavedReader`)."""

    metadata: dict

    def predict(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What the model sees in a photo uint8 [H, W, 3], in its pixels.

        Of a detector boxes [n, 4], labels [n] and scores [n], best first, and keypoints [n, J, 3] (y, x, score) and
        masks [n, 2 S, 2 S], each in its box, if it has them; a SavedModel that pastes its masks has `pasted`, bool
        [n, H, W], in their place. Of a classifier scores [K]; of a segmenter labels [H, W].
        """
        ...


def load(path: str | Path, threads: int = 0) -> Artefact:
    """The model in a TFLite file or in the folder of a SavedModel; OSError or ValueError say what is wrong with it."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: there is no such file or folder; export a run by export.saved_model or export.tflite"
        )
    if path.is_dir():
        from ..served_graph import reader  # It needs TensorFlow, which a TFLite file does without.

        return reader.SavedReader(path)
    from ..litert import reader

    return reader.LiteModel(path, threads)
