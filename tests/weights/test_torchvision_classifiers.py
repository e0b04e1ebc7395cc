import json
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests import sides
from tests.folders import REFERENCE
from tests.matrices import representatives
from tfrecog import tasks
from tfrecog.config import BackboneConfig, DetectorConfig, Experiment
from tfrecog.data.classes import imagenet
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.inference import classification, image_files
from tfrecog.models.classifier import Classifier
from tfrecog.runs import checkpoints, warm_start
from tfrecog.weights import torchvision_classifiers

NETWORKS = [name for name in torchvision_classifiers.EXPERIMENTS if not name.endswith("_v2")]


@pytest.fixture(scope="module")
def reference():
    """What torchvision's classifiers see; see reference/make_torchvision_classifiers.py."""
    return dict(np.load(REFERENCE / "torchvision_classifiers.npz"))


@pytest.fixture(scope="module")
def shapes(reference):
    """{network: {tensor: shape}}"""
    return json.loads(str(reference["shapes"]))


@pytest.fixture(scope="module")
def rule():
    return sides.seeded("seeded_classifiers")


@pytest.fixture(autouse=True)
def zeros():
    with sides.zeros():
        yield


def build(name) -> Classifier:
    task = tasks.build(torchvision_classifiers.EXPERIMENTS[name], imagenet.classes())
    return task.build()


def assign(model, state):
    values = torchvision_classifiers.arrays(model, state)
    for variable in model.variables:
        variable.assign(values[variable.path])


def logits(model, name, path):
    """Logits [K] of a picture file, as `predict` reads it."""
    experiment = torchvision_classifiers.EXPERIMENTS[name]
    return model(classification.input_of(image_files.load(path), experiment.data, experiment.classifier.crop)[None])[
        0
    ].numpy()


# That of a bias before a batch norm, and the one with the most kinds of layers; the next test does it with values.
@pytest.mark.parametrize("name", representatives(NETWORKS, "vgg16_bn", "mobilenet_v3_large"))
def test_every_tensor_of_a_classifier_has_one_variable_and_every_variable_one_tensor(name, shapes):
    model = build(name)
    state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes[name].items()}
    values = torchvision_classifiers.arrays(model, state)  # Raises if one is left over.
    assert set(values) == {variable.path for variable in model.variables}
    # A bias before a batch norm is one with its mean: of VGG16's 64 to 512 channels, 4224 in sum.
    moved = 4224 if name == "vgg16_bn" else 0
    assert sum(v.size for v in values.values()) == sum(v.size for v in state.values()) - moved
    first = next(iter(state))
    with pytest.raises(ValueError, match=f"missing {first}"):
        torchvision_classifiers.arrays(model, {key: value for key, value in state.items() if key != first})


# One that flattens a map, one of residuals, and one of depthwise convolutions.
@pytest.mark.parametrize(
    "name",
    representatives(
        ["alexnet", "vgg16", "resnet18", "resnet50", "mobilenet_v3_large"], "alexnet", "resnet18", "mobilenet_v3_large"
    ),
)
def test_a_picture_file_gives_torchvisions_logits(name, reference, shapes, rule, tmp_path):
    Image.fromarray(rule.picture()).save(tmp_path / "picture.png")
    model = build(name)
    assign(model, rule.with_head(rule.state(shapes[name]), reference[f"{name}_scale"]))
    expected = reference[name]
    assert expected.std() == pytest.approx(4, rel=1e-3), "classes differ clearly"
    np.testing.assert_allclose(logits(model, name, tmp_path / "picture.png"), expected, atol=1e-4 * expected.max())
    Image.fromarray(rule.picture()[..., ::-1]).save(tmp_path / "bgr.png")
    off = np.abs(logits(model, name, tmp_path / "bgr.png") - expected).max()
    assert off > 1e-2 * expected.max(), "the comparison is sharp: blue for red is a hundred times too much"
    if name == "resnet18":  # As if it had second weights, of which pictures are made less small.
        expected = reference["resnet18_v2"]
        got = logits(model, "resnet50_v2", tmp_path / "picture.png")
        np.testing.assert_allclose(got, expected, atol=1e-4 * expected.max())


def test_the_classes_are_imagenets():
    names = imagenet.classes().names
    assert len(names) == len(set(names)) == 1000
    # Facts of ILSVRC 2012: dogs from 151 to 268, the first and the last class.
    assert names[0] == "tench" and names[151] == "Chihuahua" and names[268] == "Mexican hairless"
    assert names[999] == "toilet tissue"


# Whose levels are the least like those of the classifier.
@pytest.mark.parametrize("name", representatives(["resnet50", "mobilenet_v3_large"], "mobilenet_v3_large"))
def test_a_detector_starts_from_a_classifiers_backbone(name, tmp_path):
    classifier = build(name)
    for variable in classifier.variables:
        variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    checkpoints.save(tmp_path, 0, classifier, None, keep=1)
    detector = Experiment(detector=DetectorConfig(backbone=BackboneConfig(name=name)))
    model = tasks.build(detector, DatasetInfo((Category("cat", 1),), {})).build()
    report = warm_start.load_weights(tmp_path, model, skip_mismatched=True)
    own = {variable.path: variable for variable in classifier.variables}
    backbone = [variable for variable in model.variables if variable.path.startswith("backbone/")]
    assert len(backbone) == len([path for path in own if path.startswith("backbone/")]) > 200
    for variable in backbone:
        np.testing.assert_array_equal(variable.numpy(), own[variable.path].numpy())
    assert f"{len(backbone)} of {len(model.variables)} variables start" in report


@pytest.fixture(scope="module")
def live(shared_data, tmp_path_factory):
    """Photos, and what the torchvision of PEER_PYTHON sees in them."""
    if not os.environ.get("PEER_PYTHON"):
        pytest.skip("PEER_PYTHON names no interpreter that has torchvision")
    found, out = sorted(shared_data.rglob("*.jpg")), tmp_path_factory.mktemp("live") / "live.npz"
    paths = [found[0], found[len(found) // 2]]
    program = str(REFERENCE / "make_torchvision_classifiers.py")
    subprocess.run([os.environ["PEER_PYTHON"], program, "--live", str(out), *map(str, paths)], check=True)
    return paths, dict(np.load(out))


@pytest.mark.parametrize("name", NETWORKS)
def test_photos_give_the_logits_of_the_torchvision_that_is_installed(name, shapes, rule, live):
    paths, expected = live
    model = build(name)
    assign(model, rule.with_head(rule.state(shapes[name]), expected[f"{name}_scale"]))
    for weights in (name, f"{name}_v2"):
        if weights in torchvision_classifiers.EXPERIMENTS:
            got = np.stack([logits(model, weights, path) for path in paths])
            np.testing.assert_allclose(got, expected[weights], atol=1e-4 * np.abs(expected[weights]).max())
