"""Weights of a classifier, and a picture, from rules that need NumPy alone, so that both sides can have the same."""

import zlib

import numpy as np


def state(shapes):
    """State dict {name: float32 array} for {name: shape}.

    Activations stay like a trained network's and depend on the picture, so that a wrong order, crop or epsilon shows.
    """
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def with_head(state, scale):
    """The state with the tensors of the last layer, which are the last two, times `scale`."""
    head = list(state)[-2:]
    return state | {name: state[name] * np.float32(scale) for name in head}


def _tensor(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        value = rng.uniform(0.01, 1.5, shape)
    elif name.endswith(("running_mean", "bias")):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:
        # Batch norm divides by the deviation of the channel, which its gain makes good, so that sizes stay; the gain is
        # small at the end of a bottleneck, so that sums over fifty of them do not explode.
        gain = rng.uniform(0.1, 0.3, shape) if "bn3" in name else rng.uniform(0.7, 1.1, shape)
        value = gain * np.sqrt(_tensor(name.removesuffix("weight") + "running_var", shape))
    else:
        value = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return value.astype(np.float32)


def picture(height=310, width=453):
    """uint8 [height, width, 3]: blocks of colour with grain, so that an edge or a filter in another place shows."""
    rng = np.random.default_rng(height)
    blocks = rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3)).repeat(16, 0).repeat(16, 1)
    return np.clip(blocks[:height, :width] + rng.integers(-40, 41, (height, width, 3)), 0, 255).astype(np.uint8)
