"""The model arrives later: here its layers are put together by name alone."""

import functools
import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models import backbone
from tfrecog.models.conv import Conv
from tfrecog.weights import torchvision_fcn

REFERENCE = Path(__file__).resolve().parent.parent / "reference"


class Head(keras.layers.Layer):
    """As of the model to come: a 3x3 convolution to a quarter of the channels, and a logit for each class."""

    def __init__(self, channels, classes, name):
        super().__init__(name=name)
        self.conv = Conv(channels // 4, 3, norm="batch", relu=True, name="conv")
        self.logits = Conv(classes, 1, name="logits")

    def call(self, x):
        return self.logits(self.conv(x))


@pytest.fixture(scope="module")
def shapes():
    """{network: {tensor of torchvision's: shape}}; see reference/make_torchvision_classifiers.py."""
    return json.loads(str(np.load(REFERENCE / "torchvision_classifiers.npz")["shapes"]))


@pytest.fixture(scope="module")
def build():
    """Function of network and aux → variables, all zero."""

    @functools.cache
    def model(name, aux):
        config = BackboneConfig(name=name.removeprefix("fcn_"), norm="batch", frozen_stages=0)
        layers = [backbone.build(config), Head(2048, 21, "head"), *([Head(1024, 21, "aux")] if aux else [])]
        features = layers[0](tf.zeros([1, 32, 32, 3]))
        for level, head in zip((5, 4), layers[1:], strict=False):
            head(features[level])
        return SimpleNamespace(variables=[variable for layer in layers for variable in layer.variables])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers, "VarianceScaling", lambda *_, **__: keras.initializers.Zeros())
        yield model


def numbered(shapes):
    """A state whose every tensor has another value."""
    return {name: np.full(shape, place, np.float32) for place, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("name", ["fcn_resnet50", "fcn_resnet101"])
def test_every_tensor_of_an_fcn_has_one_variable_and_every_variable_one_tensor(name, shapes, build):
    state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes[name].items()}
    values = torchvision_fcn.arrays(build(name, aux=True), state)
    assert sum(v.size for v in values.values()) == sum(v.size for v in state.values())


def test_without_the_auxiliary_head_its_tensors_are_left_out(shapes, build):
    values = torchvision_fcn.arrays(build("fcn_resnet50", aux=False), state := numbered(shapes["fcn_resnet50"]))
    # By hand, of torchvision's Sequential(conv, norm, ReLU, dropout, conv).
    for path, name in {
        "head/conv/kernel": "classifier.0.weight",
        "head/conv/norm/moving_variance": "classifier.1.running_var",
        "head/logits/bias": "classifier.4.bias",
        "backbone/stem/norm/beta": "backbone.bn1.bias",
        "backbone/res4/block1/shortcut/kernel": "backbone.layer3.0.downsample.0.weight",
        "backbone/res5/block3/conv3/norm/gamma": "backbone.layer4.2.bn3.weight",
    }.items():
        assert values[path].flat[0] == state[name].flat[0]
    assert not any(path.startswith("aux") for path in values)


def test_an_auxiliary_head_that_the_file_lacks_is_missing(shapes, build):
    state = numbered({k: v for k, v in shapes["fcn_resnet50"].items() if not k.startswith("aux_classifier")})
    with pytest.raises(ValueError, match=r"missing aux_classifier\.0\.weight for aux/conv/kernel \(3, 3, 1024, 256\)"):
        torchvision_fcn.arrays(build("fcn_resnet50", aux=True), state)
