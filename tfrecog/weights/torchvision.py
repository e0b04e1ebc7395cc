"""torchvision's parameter names and layouts for our detectors on a feature pyramid.

Its kernels are [out, in, h, w], its boxes x first, and its box and mask predictors have outputs for the background.
"""

import re
import sys
from collections.abc import Mapping

import numpy as np

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.models.backbones import resnet
from tfrecog.models.detector.rcnn import Detector
from tfrecog.weights import tensors, torchvision_backbones
from tfrecog.weights.torchvision_backbones import LEAVES

# What published files of 2019 call tensors that have other names since torchvision 0.13.
RENAMED = (
    (r"backbone\.fpn\.(inner|layer)_blocks\.(\d+)\.(weight|bias)", r"backbone.fpn.\1_blocks.\2.0.\3"),
    (r"rpn\.head\.conv\.(weight|bias)", r"rpn.head.conv.0.0.\1"),
    (
        r"roi_heads\.mask_head\.mask_fcn(\d+)\.(weight|bias)",
        lambda found: f"roi_heads.mask_head.{int(found[1]) - 1}.0.{found[2]}",
    ),
)

_BODIES = {
    **dict.fromkeys(resnet.BLOCKS, torchvision_backbones.resnet),
    "mobilenet_v3_large": torchvision_backbones.mobilenet_v3_large,
}


def arrays(model: Detector, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of `model`'s variables by path, from a torchvision state dict of NumPy arrays.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; see `tensors.match`.
    """
    return tensors.match(
        model.variables,
        {_present_name(name): value for name, value in state.items()},
        lambda path: _name(path, model),
        lambda path, value: _convert(path, value, model.config.box.size),
    )


def load(model: Detector, state: Mapping[str, np.ndarray]) -> None:
    """Assigns a torchvision state dict to `model`; see `arrays`."""
    tensors.assign(model.variables, arrays(model, state))


def _present_name(name: str) -> str:
    for old, new in RENAMED:
        if re.fullmatch(old, name):
            return re.sub(old, new, name)
    return name


def _name(path: str, model: Detector) -> str:
    """torchvision's name of the variable at `path`."""
    *layers, leaf = path.split("/")
    config = model.config
    try:
        match layers:
            case ["backbone", *_]:
                return "backbone.body." + _BODIES[config.backbone.name](path.removeprefix("backbone/"))
            case ["fpn", conv, *norm] if model.neck is not None:
                blocks = "inner_blocks" if conv.startswith("lateral") else "layer_blocks"
                return f"backbone.fpn.{blocks}.{int(conv[-1]) - model.neck.levels[0]}.{len(norm)}.{LEAVES[leaf]}"
            case ["rpn", "objectness" | "deltas" as branch]:
                return f"rpn.head.{'cls_logits' if branch == 'objectness' else 'bbox_pred'}.{LEAVES[leaf]}"
            case ["rpn", conv]:
                return f"rpn.head.conv.{int(conv[4:] or 1) - 1}.0.{LEAVES[leaf]}"
            case ["trunk", layer, *norm] if layer.startswith("conv"):
                return f"roi_heads.box_head.{int(layer[4:]) - 1}.{len(norm)}.{LEAVES[leaf]}"
            case ["trunk", dense] if dense.startswith("dense"):
                number = int(dense[5:])
                # Behind convolutions and a flattening, a dense layer and its ReLU have numbers in one row.
                layer = config.box.convs + 2 * number - 1 if config.box.convs else f"fc{number + 5}"
                return f"roi_heads.box_head.{layer}.{LEAVES[leaf]}"
            case ["box", branch]:
                return f"roi_heads.box_predictor.{'cls_score' if branch == 'logits' else 'bbox_pred'}.{LEAVES[leaf]}"
            case ["mask", "deconv"]:
                return f"roi_heads.mask_predictor.conv5_mask.{LEAVES[leaf]}"
            case ["mask", "logits"]:
                return f"roi_heads.mask_predictor.mask_fcn_logits.{LEAVES[leaf]}"
            case ["mask", conv, *norm]:
                return f"roi_heads.mask_head.{int(conv[4:]) - 1}.{len(norm)}.{LEAVES[leaf]}"
            case ["keypoint", "deconv"]:
                return f"roi_heads.keypoint_predictor.kps_score_lowres.{LEAVES[leaf]}"
            case ["keypoint", conv]:  # A ReLU follows each.
                return f"roi_heads.keypoint_head.{2 * int(conv[4:]) - 2}.{LEAVES[leaf]}"
    except (KeyError, ValueError):
        pass  # What follows says more.
    raise UserError(
        f"torchvision has no counterpart of {path} of this detector (--detector.neck={config.neck}, "
        f"--detector.backbone.name={config.backbone.name}, --detector.backbone.norm={config.backbone.norm})"
    )


def _convert(path: str, value: np.ndarray, size: int) -> np.ndarray:
    """`value` in our layout; `size` is the side of the regions that the trunk gets."""
    if path.startswith(("rpn/deltas", "box/deltas")):
        value = torchvision_backbones.y_first(value)
        value = (value[1:] if path.startswith("box") else value).reshape(-1, *value.shape[2:])
    if path.startswith("mask/logits"):
        value = value[1:]
    if path == "trunk/dense1/kernel":
        value = torchvision_backbones.of_flattened(value, size)
    # A deconvolution's [in, out, h, w] becomes [h, w, out, in], as it should.
    return torchvision_backbones.kernel(value)


if __name__ == "__main__":  # It was a command, which would now do nothing and seem to succeed.
    sys.exit(command.report(UserError("tfrecog.weights.torchvision is now tfrecog.import_weights")))
