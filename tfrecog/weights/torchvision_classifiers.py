"""torchvision's classifiers: their names and layouts for our variables, and the experiment that each is."""

from collections.abc import Iterator

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.config import ClassifierConfig, DataConfig, Experiment
from tfrecog.models.backbones.vgg import BLOCKS
from tfrecog.models.classifier import Classifier
from tfrecog.weights import tensors, torchvision_backbones

# Where the layers are in AlexNet's `features` and `classifier`, and fc6..fc8 in VGG's.
_ALEXNET = {
    "conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8", "conv5": "features.10",
    "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6",
}  # fmt: skip
_VGG = {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
_DENSE = {
    "vgg16": _VGG,
    "vgg16_bn": _VGG,
    "mobilenet_v3_large": {"hidden": "classifier.0", "fc": "classifier.3"},
}


def _experiment(name: str, resize: int = 256, epsilon: float = 1e-5) -> Experiment:
    return Experiment(
        task="classification",
        data=DataConfig(eval_short_side=resize, resize="pillow"),
        classifier=ClassifierConfig(name=name, crop=224, norm_epsilon=epsilon),
    )


# The second weights (V2) of a network come of another recipe of training, and see a slightly larger part of a picture.
EXPERIMENTS = {
    name: _experiment(name)
    for name in (
        "alexnet", "vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    )
} | {
    "mobilenet_v3_large": _experiment("mobilenet_v3_large", epsilon=1e-3),
    "mobilenet_v3_large_v2": _experiment("mobilenet_v3_large", resize=232, epsilon=1e-3),
} | {
    f"{name}_v2": _experiment(name, resize=232) for name in ("resnet50", "resnet101", "resnet152", "resnext50_32x4d")
}  # fmt: skip


def arrays(model: Classifier, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Values of `model`'s variables by path, from a torchvision state dict of NumPy arrays.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; all are listed.
    """
    network = model.config.name
    if network == "vgg16_bn":
        state = _without_redundant_biases(state)
    return tensors.match(
        model.variables, state, lambda path: _name(path, network), lambda path, value: _convert(path, value, model)
    )


def class_bias(name: str) -> str:
    """torchvision's name, in the file of a classifier, of the tensor that has a number for each class."""
    network = EXPERIMENTS[name].classifier.name
    return _name("fc8/bias" if network in ("alexnet", "vgg16", "vgg16_bn") else "fc/bias", network)


def _name(path: str, network: str) -> str:
    """torchvision's name of the variable at `path`."""
    layer, _, inner = path.partition("/")
    if network == "alexnet":
        *_, layer, leaf = path.split("/")
        return f"{_ALEXNET[layer]}.{torchvision_backbones.LEAVES[leaf]}"
    if layer != "backbone":
        return f"{_DENSE.get(network, {'fc': 'fc'})[layer]}.{torchvision_backbones.LEAVES[inner]}"
    if network.startswith("vgg16"):
        conv, *norm, leaf = inner.split("/")
        place = dict(_vgg_places(network == "vgg16_bn"))[conv]
        return f"features.{place + len(norm)}.{torchvision_backbones.LEAVES[leaf]}"
    if network == "mobilenet_v3_large":
        return f"features.{torchvision_backbones.mobilenet_v3_large(inner)}"
    return torchvision_backbones.resnet(inner)


def _vgg_places(norm: bool) -> Iterator[tuple[str, int]]:
    """Each convolution of VGG16 with its place in `features`, where normalisation, ReLU and pooling count too."""
    place = 0
    for block, (convs, _) in enumerate(BLOCKS, start=1):
        for conv in range(1, convs + 1):
            yield f"conv{block}_{conv}", place
            place += 3 if norm else 2
        place += 1


def _without_redundant_biases(state):
    """The state with each convolution's bias moved into the mean that the batch norm behind it subtracts.

    A bias before a batch norm changes nothing but this mean (Ioffe and Szegedy 2015, section 3.2); ours has none.
    """
    state, problems = dict(state), []
    for _, place in _vgg_places(norm=True):
        bias, mean = f"features.{place}.bias", f"features.{place + 1}.running_mean"
        if bias not in state:
            problems.append(f"missing {bias}")
        elif mean in state and np.shape(state[mean]) == np.shape(state[bias]):
            state[mean] = np.asarray(state[mean]) - np.asarray(state.pop(bias))
    if problems:
        raise UserError("the weights do not fit the model:\n  " + "\n  ".join(problems))
    return state


def _convert(path: str, value: np.ndarray, model: Classifier) -> np.ndarray:
    """`value` in our layout."""
    if path == "fc6/kernel":
        channels = model.backbone.channels[max(model.backbone.channels)]
        value = torchvision_backbones.of_flattened(value, round((value.shape[1] / channels) ** 0.5))
    return torchvision_backbones.kernel(value)
