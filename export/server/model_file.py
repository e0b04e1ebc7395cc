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
        OSError, ValueError: there is none, or it was not written by `export.saved_model`.
    """
    path = versions.latest(folder)
    return path, path.name if path.name.isdecimal() else "1", metadata.load(path)


class Saved:
    """The signature `image_tensor` of a SavedModel."""

    def __init__(self, path: Path):
        """Loads it, which takes seconds; ValueError if it is none of ours."""
        self._loaded = versions.load(path)  # Its variables live as long as this object.
        if SIGNATURE not in self._loaded.signatures:
            raise UserError(f"{path} has no signature {SIGNATURE!r}; export the model again")
        self._see = self._loaded.signatures[SIGNATURE]
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

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Name, datatype and shape of the results in V2's words; -1 where a side depends on the picture."""
        described = []
        for name, value in sorted(self._see.structured_outputs.items()):
            shape = [-1 if side is None else side for side in value.shape.as_list()]
            described.append({"name": name, "datatype": _DATATYPES.get(value.dtype.name, "BYTES"), "shape": shape})
        return described


_DATATYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "string": "BYTES"}
