"""detectron2's parameter names and layouts for our detectors on a ResNet-FPN, and the files of its model zoo.

Its kernels are [out, in, h, w], its boxes x first, and the background is the last class of the classifier and none of
the other outputs'. Its images are BGR, less the mean, and not divided by the deviation.
"""

import sys
from collections.abc import Mapping

import numpy as np

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.models import layers
from tfrecog.models.detector.rcnn import Detector
from tfrecog.weights import tensors
from tfrecog.weights.torchvision_backbones import LEAVES, kernel, of_flattened, y_first

# Means and deviations of BGR pixels that the zoo's ResNet-50 and -101 were trained with; old files note them.
_PIXELS = {"pixel_mean": layers.PIXEL_MEAN[::-1], "pixel_std": (1.0, 1.0, 1.0)}


def arrays(model: Detector, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of `model`'s variables by path, from the `model` of a file of detectron2's.

    Raises:
        ValueError: tensors are missing, left over, or of another shape, and all are listed; or the file notes other
            means of pixels.
    """
    for name, expected in _PIXELS.items():
        found = np.ravel(state.get(name, expected))
        if found.shape != (3,) or not np.allclose(found, expected, atol=1e-3):
            raise UserError(
                f"the weights were trained with {name} {np.round(found, 3).tolist()}, and the zoo's ResNet-50 and -101 "
                f"with {list(expected)} (BGR); other backbones are not supported"
            )
    return tensors.match(
        model.variables,
        {**state, **_missing_statistics(state)},
        _name,
        lambda path, value: _convert(path, value, model.config.box.size),
        ignored=lambda name: (
            name in _PIXELS or name.endswith("num_batches_tracked") or "anchor_generator.cell_anchors." in name
        ),  # Old files hold the anchors of a cell.
    )


def _missing_statistics(state):
    """Mean 0 and variance 1 for a batch norm without statistics, as detectron2 reads its oldest files."""
    statistics = {}
    for name, value in state.items():
        stem, norm, leaf = name.rpartition(".norm.")
        if norm and leaf == "weight" and f"{stem}.norm.running_var" not in state:
            statistics[f"{stem}.norm.running_mean"] = np.zeros_like(value)
            statistics[f"{stem}.norm.running_var"] = np.ones_like(value)
    return statistics


def _name(path: str) -> str:
    """detectron2's name of the variable at `path`."""
    match path.split("/"):
        case ["backbone", "stem", *rest]:
            return f"backbone.bottom_up.stem.conv1.{_leaf(rest)}"
        case ["backbone", stage, block, conv, *rest]:
            return f"backbone.bottom_up.{stage}.{int(block.removeprefix('block')) - 1}.{conv}.{_leaf(rest)}"
        case ["fpn", conv, *rest]:
            return f"backbone.fpn_{conv}.{_leaf(rest)}"
        case ["rpn", layer, leaf]:
            layer = {"objectness": "objectness_logits", "deltas": "anchor_deltas"}.get(layer, layer)
            return f"proposal_generator.rpn_head.{layer}.{LEAVES[leaf]}"
        case ["trunk", dense, leaf]:
            return f"roi_heads.box_head.fc{dense.removeprefix('dense')}.{LEAVES[leaf]}"
        case ["box", branch, leaf]:
            return f"roi_heads.box_predictor.{'cls_score' if branch == 'logits' else 'bbox_pred'}.{LEAVES[leaf]}"
        case ["mask", layer, leaf]:
            layer = {"deconv": "deconv", "logits": "predictor"}.get(layer) or f"mask_fcn{layer.removeprefix('conv')}"
            return f"roi_heads.mask_head.{layer}.{LEAVES[leaf]}"
        case ["keypoint", layer, leaf]:
            layer = "score_lowres" if layer == "deconv" else f"conv_fcn{layer.removeprefix('conv')}"
            return f"roi_heads.keypoint_head.{layer}.{LEAVES[leaf]}"
    raise UserError(f"detectron2 has no counterpart of {path}")


def _leaf(rest: list[str]) -> str:
    """The end of the name of a convolution's variable, or of its batch norm's."""
    return ".".join([*rest[:-1], LEAVES[rest[-1]]])


def _convert(path: str, value: np.ndarray, size: int) -> np.ndarray:
    """`value` in our layout; `size` is the side of the regions that the trunk gets."""
    if path == "backbone/stem/kernel":
        # It reads BGR - mean, and our stem gets (RGB - mean) / deviation, with the same mean. Turning its channels
        # around and multiplying each with its deviation undoes both; the zeros that pad an image are zeros in both.
        value = value[:, ::-1] * np.asarray(layers.PIXEL_STD, value.dtype)[:, None, None]
    if path.startswith(("rpn/deltas", "box/deltas")):
        value = y_first(value).reshape(value.shape)
    if path.startswith("box/logits"):
        value = np.roll(value, 1, axis=0)  # The background goes from the end to the front.
    if path == "trunk/dense1/kernel":
        value = of_flattened(value, size)
    return kernel(value)


if __name__ == "__main__":  # It was a command, which would now do nothing and seem to succeed.
    sys.exit(command.report(UserError("tfrecog.weights.detectron2 is now tfrecog.import_weights")))
