"""Inputs and outputs of a model as a request has them: types and shapes by name, -1 for a side of any length."""

import numpy as np

from ..model import ServedModel

Tensors = dict[str, tuple[np.dtype, list[int]]]


def inputs() -> Tensors:
    """Of every model; a request has one of them."""
    return {"image_bytes": (np.dtype(object), [-1]), "image": (np.dtype(np.uint8), [-1, -1, -1, 3])}


def outputs(model: ServedModel) -> Tensors:
    """Of a model, as `responses.tensors` makes them: empty slots are left out, and masks are texts."""
    found: Tensors = {"image_size": (np.dtype(np.int32), [-1, 2])}
    for name, (dtype, sides) in sorted(model.outputs.items()):
        shape = [-1 if side is None else side for side in sides]
        if name == "detection_masks":
            found[name] = np.dtype(object), [-1, -1]
        elif name != "image_size":
            found[name] = dtype, [shape[0], -1, *shape[2:]] if name.startswith("detection_") else shape
    return found
