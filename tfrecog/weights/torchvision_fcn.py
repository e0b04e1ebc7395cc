"""torchvision's names and layouts for a fully convolutional network (Long et al. 2015) on a dilated ResNet.

Ours has, beside the ResNet `backbone`, a `head` with `conv` (3x3, with its norm) and `logits` (1x1), and as `aux` the
same again on res4, which helps training alone. Class 0 is the background on both sides.
"""

from collections.abc import Mapping

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, DataConfig, Experiment, SegmenterConfig
from tfrecog.models.segmenter.fcn import Segmenter
from tfrecog.weights import tensors, torchvision_backbones

_HEADS = {"head": "classifier", "aux": "aux_classifier"}


def _experiment(backbone: str) -> Experiment:
    return Experiment(
        task="segmentation",
        # However long the other side; torchvision knows no limit, and this one is none.
        data=DataConfig(short_side=(520,), eval_short_side=520, long_side=100_000, resize="pillow", eval_batch_size=1),
        segmenter=SegmenterConfig(
            name="fcn_dilated",
            backbone=BackboneConfig(name=backbone, norm="batch", frozen_stages=0),
            dropout=0.1,
        ),
    )


EXPERIMENTS = {f"fcn_{backbone}": _experiment(backbone) for backbone in ("resnet50", "resnet101")}


def arrays(model: Segmenter, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of `model`'s variables by path, from a torchvision state dict of NumPy arrays.

    A model without `aux` leaves its tensors out.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; all are listed.
    """
    has_aux = any(variable.path.startswith("aux/") for variable in model.variables)

    def ignored(name):
        return name.endswith("num_batches_tracked") or (name.startswith("aux_classifier.") and not has_aux)

    return tensors.match(
        model.variables, state, _name, lambda _, value: torchvision_backbones.kernel(value), ignored=ignored
    )


def _name(path: str) -> str:
    """torchvision's name of the variable at `path`."""
    match path.split("/"):
        case ["backbone", *inner]:
            return f"backbone.{torchvision_backbones.resnet('/'.join(inner))}"
        case ["head" | "aux" as head, "conv", *norm, leaf]:
            return f"{_HEADS[head]}.{len(norm)}.{torchvision_backbones.LEAVES[leaf]}"
        case ["head" | "aux" as head, "logits", leaf]:
            return f"{_HEADS[head]}.4.{torchvision_backbones.LEAVES[leaf]}"
    raise UserError(f"torchvision's FCN has no counterpart of {path}")
