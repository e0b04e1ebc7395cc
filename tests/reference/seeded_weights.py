"""Weights of a torchvision detector, and a picture, from rules that need NumPy alone, so that both sides can have them.

A random network sees nothing: its scores are flat, and a wrong rule hardly changes them. These rules make it decided.
The inputs of an output sum to zero in its kernel, so that what all places have in common drops out; the last layers
are large, so that scores are far apart; and the variances of batch norm are small, as trained ones are, so that an
epsilon tells. The ends of residual blocks are small, so that sums do not explode and rounding errors do not grow.
"""

import functools
import zlib

import numpy as np

_SMALL = 0.05  # of the kernels before a batch norm, and of its statistics
# Factors of the kernels of last layers, by a part of their name.
_SCALES = {
    "cls_logits": 1.0,
    "rpn.head.bbox_pred": 0.1,
    "cls_score": 1.0,
    "box_predictor.bbox_pred": 0.5,
    "mask_fcn_logits": 1.0,
    "kps_score_lowres": 1.0,
}


def state(shapes):
    """State dict {name: array} for {name: shape}; float32 but for the counters of batch norm."""
    return {name: _tensor(name, tuple(shape), _before_norm(name, shapes)) for name, shape in shapes.items()}


def _before_norm(name, shapes):
    """Whether a batch norm comes after the kernel of that name."""
    stem, _, leaf = name.rpartition(".")
    if leaf != "weight":
        return False
    front, _, last = stem.rpartition(".")
    partner = last.replace("conv", "bn") if last.startswith("conv") else {"0": "1"}.get(last)
    return f"{front}.{partner}.running_var" in shapes


@functools.cache
def _tensor(name, shape, before_norm):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var"):
        value = _SMALL**2 * rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = _SMALL * rng.normal(0, 0.1, shape)
    elif name.endswith("bias"):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:  # The gain of batch norm.
        value = np.full(shape, 0.2 if "bn3" in name else 0.87 if ".block." in name else 1.0)
    else:
        value = _kernel(name, shape, rng) * (_SMALL if before_norm else 1)
    return _with_a_dead_channel(name, value.astype(np.float32))


def _with_a_dead_channel(name, value):
    """The stem's first channel sees next to nothing, and its variance has shrunk as far as repeated decay makes it."""
    if name == "backbone.body.conv1.weight":
        value[0] *= 1e-30
    if name == "backbone.body.bn1.running_mean":
        value[0] = 0
    if name == "backbone.body.bn1.running_var":
        value[0] = 5.6e-45
    return value


def _kernel(name, shape, rng):
    value = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    if shape[1] > 3:  # Not the first, which has to see a wrong mean of the pixels, and not each channel by itself.
        value -= value.mean(axis=tuple(range(1, len(shape))), keepdims=True)
    return value * next((scale for part, scale in _SCALES.items() if part in name), 1.0)


def image(height=100, width=130):
    """[height, width, 3] uint8: squares of colour of many sizes on top of each other, as edges are in photos."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3), np.int64)
    for side in (1, 3, 7, 15, 31, 63):
        rows, columns = -(-height // side), -(-width // side)
        grey = rng.integers(0, 256, (rows, columns, 1)) + rng.integers(-80, 80, (rows, columns, 3))
        weight = 1 + (side > 1) + (side > 7)
        total += weight * grey.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
    total = (total - 14 * 128) // 9 + 128
    return total.clip(0, 255).astype(np.uint8)
