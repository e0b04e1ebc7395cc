"""torchvision's parameter names and layouts for our detectors on a ResNet-FPN.

Its kernels are [out, in, h, w], its boxes x first, and its box and mask predictors have outputs for the background.
"""

import numpy as np

from tfrecog.models.rcnn import Detector
from tfrecog.weights import tensors

_BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def arrays(model: Detector, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of `model`'s variables by path, from a torchvision state dict of NumPy arrays.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; all are listed.
    """
    return tensors.match(
        model.variables, state, _name, lambda path, value: _convert(path, value, model.config.box.size)
    )


def load(model: Detector, state: dict[str, np.ndarray]) -> None:
    """Assigns a torchvision state dict to `model`; see `arrays`."""
    tensors.assign(model.variables, arrays(model, state))


def _name(path: str) -> str:
    """torchvision's name of the variable at `path`."""
    *layers, leaf = path.split("/")
    match layers:
        case ["backbone", "stem", *norm]:
            return f"backbone.body.bn1.{_BATCH_NORM[leaf]}" if norm else "backbone.body.conv1.weight"
        case ["backbone", stage, block, conv, *norm]:
            stem = f"backbone.body.layer{int(stage[3:]) - 1}.{int(block[5:]) - 1}."
            if conv == "shortcut":
                return stem + (f"downsample.1.{_BATCH_NORM[leaf]}" if norm else "downsample.0.weight")
            return stem + (f"bn{conv[4:]}.{_BATCH_NORM[leaf]}" if norm else f"{conv}.weight")
        case ["fpn", conv]:
            blocks = "inner_blocks" if conv.startswith("lateral") else "layer_blocks"
            return f"backbone.fpn.{blocks}.{int(conv[-1]) - 2}.0.{_plain(leaf)}"
        case ["rpn", "conv"]:
            return f"rpn.head.conv.0.0.{_plain(leaf)}"
        case ["rpn", branch]:
            return f"rpn.head.{'cls_logits' if branch == 'objectness' else 'bbox_pred'}.{_plain(leaf)}"
        case ["trunk", dense]:
            return f"roi_heads.box_head.fc{int(dense[5:]) + 5}.{_plain(leaf)}"
        case ["box", branch]:
            return f"roi_heads.box_predictor.{'cls_score' if branch == 'logits' else 'bbox_pred'}.{_plain(leaf)}"
        case ["mask", "deconv"]:
            return f"roi_heads.mask_predictor.conv5_mask.{_plain(leaf)}"
        case ["mask", "logits"]:
            return f"roi_heads.mask_predictor.mask_fcn_logits.{_plain(leaf)}"
        case ["mask", conv]:
            return f"roi_heads.mask_head.{int(conv[4:]) - 1}.0.{_plain(leaf)}"
    raise ValueError(f"torchvision has no counterpart of {path}")


def _plain(leaf: str) -> str:
    return {"kernel": "weight", "bias": "bias"}[leaf]


def _convert(path: str, value: np.ndarray, size: int) -> np.ndarray:
    """`value` in our layout."""
    if path.startswith(("rpn/deltas", "box/deltas")):
        value = value.reshape(-1, 4, *value.shape[1:])[:, [1, 0, 3, 2]]  # x first to y first.
        value = (value[1:] if path.startswith("box") else value).reshape(-1, *value.shape[2:])
    if path.startswith("mask/logits"):
        value = value[1:]
    if path == "trunk/dense1/kernel":  # Flattened [C, S, S] to flattened [S, S, C].
        channels = value.shape[1] // size**2
        value = value.reshape(-1, channels, size, size).transpose(0, 2, 3, 1).reshape(value.shape)
    if path == "mask/deconv/kernel":  # [in, out, h, w] to [h, w, out, in].
        return value.transpose(2, 3, 1, 0)
    return {4: lambda: value.transpose(2, 3, 1, 0), 2: lambda: value.T}.get(value.ndim, lambda: value)()
