"""A folder of `export.saved_model`, loaded to see batches of pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.cli.errors import UserError

from ..artifact import metadata
from ..served_graph import versions

SIGNATURE, INPUT = "image_tensor", "image"


def newest(folder: str) -> tuple[Path, str, dict[str, Any]]:
    """The newest version in a folder (FOLDER/2 after FOLDER/1), or it if it is one itself: path, number, metadata.

    Raises:
        OSError, UserError: there is none, or it was not written by `export.saved_model`.
    """
    path = versions.latest(folder)
    return path, path.name if path.name.isdecimal() else "1", metadata.load(path)


class Saved:
    """The signature `image_tensor` of a SavedModel."""

    def __init__(self, path: Path):
        """Loads it, which takes seconds; UserError if it is none of ours."""
        self._loaded = versions.load(path)  # Its variables live as long as this object.
        if SIGNATURE not in self._loaded.signatures:
            raise UserError(f"{path} has no signature {SIGNATURE!r}; export the model again")
        self._see = self._loaded.signatures[SIGNATURE]
        self.outputs: dict[str, Any] = self._see.structured_outputs  # TensorSpecs of the results by name
        metadata.check_outputs(metadata.load(path), self.outputs, path)
        _, inputs = self._see.structured_input_signature
        if {*inputs} != {INPUT}:
            raise UserError(
                f"{path}: {SIGNATURE!r} reads {sorted(inputs)}, and a server has only pictures: a detector on the "
                "proposals of its records cannot be served"
            )

    def see(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Results of images uint8 [B, H, W, 3] by name, as `docs/serving.md` lists them."""
        import tensorflow as tf

        outputs = self._see(**{INPUT: tf.constant(images)})
        return {name: value.numpy() for name, value in outputs.items()}
