"""Weights of keras.applications for a backbone: those that Keras publishes (ImageNet), or a file of one's own.

A file has one of two layouts. The older one, of `model.save("x.h5")` and of what Keras publishes, names the layers in
their order; that of Keras 3, `model.save_weights("x.weights.h5")`, numbers the layers of each class. In both, the
classifier's layers come last, so it is no matter whether a file has them.
"""

import itertools
import os
from pathlib import Path

import h5py
import keras

from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig
from tfrecog.models.backbones.keras_backbone import NETWORKS

IMAGENET = "imagenet"
SITE = "https://storage.googleapis.com/tensorflow/keras-applications/"

# Names that Keras 3 counts layers by, of the classes that have weights here.
KINDS = {
    keras.layers.Conv2D: "conv2d",
    keras.layers.DepthwiseConv2D: "depthwise_conv2d",
    keras.layers.BatchNormalization: "batch_normalization",
}


def find(config: BackboneConfig) -> Path:
    """The file that `config.weights` names; that of ImageNet is downloaded to Keras' cache if it is not there.

    Raises UserError if there is none, or if it is not a whole HDF5 file.
    """
    path = _published(config.name) if config.weights == IMAGENET else Path(config.weights)
    if not path.is_file():
        raise UserError(
            f"--detector.backbone.weights={path}: there is no such file. Give a weights file of keras.applications' "
            f"{config.name.removeprefix('keras_')} (.h5), or `{IMAGENET}` to have Keras download one"
        )
    try:
        h5py.File(path, "r").close()
    except OSError as error:
        raise UserError(_damaged(path, error)) from error
    return path


def load(backbone, path: Path) -> str:
    """Gives a `KerasBackbone` the weights of the file at `path`; returns a report for people.

    Raises UserError, and changes nothing, if the file is damaged or is not of this network.
    """
    layers = [layer for layer in backbone.network.layers if layer.weights]
    try:
        with h5py.File(path, "r") as file:
            stored = _layers(file, layers)
            wrong = _differences(layers, stored)
            # All are read before any changes.
            values = [] if wrong else [[dataset[()] for dataset in datasets] for datasets in stored]
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(_damaged(path, error)) from error
    if wrong:
        raise UserError(
            f"{path} is not of {backbone.config.name}: {wrong}.\n"
            "Choose the network that the file is of (--detector.backbone.name), or its own file "
            "(--detector.backbone.weights)"
        )
    for layer, arrays in zip(layers, values, strict=True):
        for variable, value in zip(layer.weights, arrays, strict=True):
            variable.assign(value)
    return f"{sum(map(len, values))} variables of {backbone.config.name} start from {path}"


def _damaged(path, error):
    return (
        f"{path} cannot be read as a weights file of Keras (.h5): {error}\n"
        "If it is damaged, download or save it again: model.save_weights('NAME.weights.h5')"
    )


def _published(name):
    """The path of the file that Keras publishes for a network, in Keras' own cache."""
    address, md5 = NETWORKS[name].weights
    url, file = SITE + address, address.rpartition("/")[2]
    cache = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
    try:
        return Path(keras.utils.get_file(file, url, cache_subdir="models", file_hash=md5))
    except Exception as error:  # Keras raises no narrower one.
        raise UserError(
            f"--detector.backbone.weights={IMAGENET}: the weights of {name} could not be downloaded: {error}\n"
            f"Fetch {url} where there is a network, and put it at {cache / file} or name it: "
            f"--detector.backbone.weights={file}"
        ) from error


def _layers(file, layers):
    """The stored datasets of each of the network's layers, as far as the file has any."""
    group = file["model_weights"] if "layer_names" not in file.attrs and "model_weights" in file else file
    if _names(group, "layer_names"):
        stored = (
            [group[layer][weight] for weight in _names(group[layer], "weight_names")]
            for layer in _names(group, "layer_names")
        )
        return [datasets for datasets in stored if datasets][: len(layers)]
    if "layers" not in group:
        raise ValueError("it holds no layers")
    stored, seen = [], {}
    for layer in layers:
        kind = KINDS[type(layer)]
        number = seen[kind] = seen.get(kind, -1) + 1
        variables = group["layers"].get(f"{kind}_{number}/vars" if number else f"{kind}/vars", {})
        stored.append([variables[str(i)] for i in range(len(variables))])
    return stored


def _names(group, attribute):
    """A list of names; Keras cuts one that is too long for HDF5 into attributes with numbers."""
    numbered = (f"{attribute}{number}" for number in itertools.count())
    parts = [attribute] if attribute in group.attrs else itertools.takewhile(group.attrs.__contains__, numbered)
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else name for name in names]


def _differences(layers, stored):
    """The first way in which the stored datasets are not the layers' variables; empty if they are."""
    if len(stored) < len(layers):
        return f"it has {len(stored)} layers with weights, and not {len(layers)} or more"
    for layer, datasets in zip(layers, stored, strict=True):
        there, here = ([tuple(value.shape) for value in values] for values in (datasets, layer.weights))
        if there != here:
            return f"the layer {layer.name!r} needs variables of the shapes {here}, and has {there} there"
    return ""
