"""torchvision's names for the variables of a backbone, as they are in its classifiers; kernels are [out, in, h, w]."""

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.models.backbones import mobilenet_v3

BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
PLAIN = {"kernel": "weight", "bias": "bias"}


def resnet(path: str) -> str:
    """Of a ResNet or ResNeXt: `layer1.0.conv1.weight` for `res2/block1/conv1/kernel`."""
    match path.split("/"):
        case ["stem", "kernel"]:
            return "conv1.weight"
        case ["stem", "norm", leaf]:
            return f"bn1.{BATCH_NORM[leaf]}"
        case [stage, block, conv, *norm, leaf]:
            prefix = f"layer{int(stage.removeprefix('res')) - 1}.{int(block.removeprefix('block')) - 1}."
            if conv == "shortcut":
                return prefix + (f"downsample.1.{BATCH_NORM[leaf]}" if norm else "downsample.0.weight")
            return prefix + (f"bn{conv[-1]}.{BATCH_NORM[leaf]}" if norm else f"{conv}.weight")
    raise UserError(f"torchvision's ResNet has no counterpart of {path}")


def mobilenet_v3_large(path: str) -> str:
    """Of MobileNetV3-Large: `1.block.0.0.weight` for `block1/depthwise/kernel`, without `features.` before it."""
    match path.split("/"):
        case ["stem" | "last" as name, *norm, leaf]:
            return f"{0 if name == 'stem' else len(mobilenet_v3.LARGE) + 1}.{_convolution(norm, leaf)}"
        case [block, "excite", part, leaf]:
            number = int(block.removeprefix("block"))
            fc = {"squeeze": "fc1", "excite": "fc2"}[part]
            return f"{number}.block.{_parts(number).index('excite')}.{fc}.{PLAIN[leaf]}"
        case [block, part, *norm, leaf]:
            number = int(block.removeprefix("block"))
            return f"{number}.block.{_parts(number).index(part)}.{_convolution(norm, leaf)}"
    raise UserError(f"torchvision's MobileNetV3 has no counterpart of {path}")


def kernel(value: np.ndarray) -> np.ndarray:
    """A kernel in our layout, [h, w, in, out] or [in, out]; what is no kernel stays as it is."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim)
    return value if axes is None else value.transpose(axes)


def _convolution(norm, leaf):
    """Within a convolution with its normalisation."""
    return f"1.{BATCH_NORM[leaf]}" if norm else f"0.{PLAIN[leaf]}"


def _parts(number):
    """Parts of block `number`, from 1, in their order."""
    _, expanded, _, excite, _, _ = mobilenet_v3.LARGE[number - 1]
    inputs = mobilenet_v3.LARGE[number - 2][2] if number > 1 else mobilenet_v3.STEM
    return ["expand"] * (expanded != inputs) + ["depthwise"] + ["excite"] * excite + ["project"]
