"""Weights of a torchvision detector from a rule that needs NumPy alone, so that both sides can have the same."""

import zlib

import numpy as np


def state(shapes):
    """State dict {name: float32 array} for {name: shape}; activations and scores stay like a trained network's."""
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def _tensor(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif name.endswith(("running_mean", "bias")):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:  # The gain of batch norm; small at the end of a block, so that residual sums do not explode.
        value = np.full(shape, 0.2 if "bn3" in name else 1.0)
    else:
        value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    if "bbox_pred" in name:
        value = value * 0.3
    if "cls_score" in name:
        value = value * 0.1
    return value.astype(np.float32)


def image():
    """[128, 160, 3] float32 in 0..255: blocks of colour."""
    blocks = np.random.default_rng(0).integers(0, 256, (16, 20, 3))
    return blocks.repeat(8, axis=0).repeat(8, axis=1).astype(np.float32)
