"""torchvision's names for the variables of a backbone, as they are in its classifiers; kernels are [out, in, h, w]."""

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.models.backbones import mobilenet_v3

# The last part of the name of a variable, of a layer or of its batch norm.
LEAVES = {
    "kernel": "weight", "bias": "bias",
    "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def resnet(path: str) -> str:
    """Of a ResNet or ResNeXt: `layer1.0.conv1.weight` for `res2/block1/conv1/kernel`."""
    match path.split("/"):
        case ["stem", *norm, leaf]:
            return f"{'bn' if norm else 'conv'}1.{LEAVES[leaf]}"
        case [stage, block, conv, *norm, leaf]:
            layer = f"downsample.{len(norm)}" if conv == "shortcut" else f"{'bn' if norm else 'conv'}{conv[-1]}"
            stage, block = int(stage.removeprefix("res")) - 1, int(block.removeprefix("block")) - 1
            return f"layer{stage}.{block}.{layer}.{LEAVES[leaf]}"
    raise UserError(f"torchvision's ResNet has no counterpart of {path}")


def mobilenet_v3_large(path: str) -> str:
    """Of MobileNetV3-Large: `1.block.0.0.weight` for `block1/depthwise/kernel`, without `features.` before it."""
    match path.split("/"):
        case ["stem" | "last" as name, *norm, leaf]:
            return f"{0 if name == 'stem' else len(mobilenet_v3.LARGE) + 1}.{len(norm)}.{LEAVES[leaf]}"
        case [block, "excite", part, leaf]:
            number = int(block.removeprefix("block"))
            fc = {"squeeze": "fc1", "excite": "fc2"}[part]
            return f"{number}.block.{_parts(number).index('excite')}.{fc}.{LEAVES[leaf]}"
        case [block, part, *norm, leaf]:
            number = int(block.removeprefix("block"))
            return f"{number}.block.{_parts(number).index(part)}.{len(norm)}.{LEAVES[leaf]}"
    raise UserError(f"torchvision's MobileNetV3 has no counterpart of {path}")


def kernel(value: np.ndarray) -> np.ndarray:
    """A kernel in our layout, [h, w, in, out] or [in, out]; what is no kernel stays as it is."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim)
    return value if axes is None else value.transpose(axes)


def of_flattened(value: np.ndarray, side: int) -> np.ndarray:
    """A dense kernel [out, C * S * S] of a flattened [C, S, S], for a flattened [S, S, C]."""
    return value.reshape(value.shape[0], -1, side, side).transpose(0, 2, 3, 1).reshape(value.shape)


def y_first(value: np.ndarray) -> np.ndarray:
    """Rows [4 K, ...] of dx, dy, dw, dh as [K, 4, ...] of dy, dx, dh, dw."""
    return value.reshape(-1, 4, *value.shape[1:])[:, [1, 0, 3, 2]]


def _parts(number):
    """Parts of block `number`, from 1, in their order."""
    _, expanded, _, excite, _, _ = mobilenet_v3.LARGE[number - 1]
    inputs = mobilenet_v3.LARGE[number - 2][2] if number > 1 else mobilenet_v3.STEM
    return ["expand"] * (expanded != inputs) + ["depthwise"] + ["excite"] * excite + ["project"]
