import functools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import sides
from tests.folders import REPOSITORY
from tests.matrices import representatives
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.data.classes import voc
from tfrecog.runs import folder as runs
from tfrecog.runs import trained
from tfrecog.weights import tensors, torchvision_fcn

REFERENCE = REPOSITORY / "tests" / "reference"
PHOTO = "000000229358.jpg"  # 423 x 640


@pytest.fixture(scope="module")
def shapes():
    """{network: {tensor of torchvision's: shape}}; see reference/make_torchvision_classifiers.py."""
    return json.loads(str(np.load(REFERENCE / "torchvision_classifiers.npz")["shapes"]))


@pytest.fixture(scope="module")
def build():
    """Function of network and aux → model, all zero."""

    @functools.cache
    def model(name, aux):
        experiment = torchvision_fcn.EXPERIMENTS[name]
        if not aux:
            experiment = replace(experiment, segmenter=replace(experiment.segmenter, auxiliary=0.0))
        return tasks.build(experiment, voc.pixels()).build()

    with sides.zeros():
        yield model


def numbered(shapes):
    """A state whose every tensor has another value."""
    return {name: np.full(shape, place, np.float32) for place, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("name", representatives(["fcn_resnet50", "fcn_resnet101"], "fcn_resnet50"))
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


# What torchvision says of its files: the auxiliary head counts.
PARAMETERS = ("fcn_resnet50", 35_322_218), ("fcn_resnet101", 54_314_346)


@pytest.mark.parametrize(("name", "published"), representatives(PARAMETERS, PARAMETERS[0]))
def test_a_network_has_the_published_number_of_parameters(name, published, build):
    assert sum(int(np.prod(v.shape)) for v in build(name, aux=True).trainable_variables) == published


def test_the_classes_have_vocs_palette():
    assert voc.pixels().names[:2] == ("background", "aeroplane")
    colours = {one.name: one.colour for one in voc.pixels().categories}
    # Of the development kit's labelcolormap.m.
    assert colours["background"] == (0, 0, 0) and colours["aeroplane"] == (128, 0, 0)
    assert colours["person"] == (192, 128, 128) and colours["tvmonitor"] == (0, 64, 128)


def test_a_picture_has_torchvisions_logits(build, shapes):
    rule = sides.seeded("seeded_classifiers")
    reference = dict(np.load(REFERENCE / "torchvision_fcn.npz"))  # see make_torchvision_fcn.py
    state, model = rule.state(shapes["fcn_resnet50"]), build("fcn_resnet50", aux=True)
    for head, scale in zip(("classifier.4", "aux_classifier.4"), reference["scales"], strict=True):
        for leaf in ("weight", "bias"):
            state[f"{head}.{leaf}"] = state[f"{head}.{leaf}"] * np.float32(scale)
    tensors.assign(model.variables, torchvision_fcn.arrays(model, state))
    picture = tf.constant(rule.picture(97, 130)[None], tf.float32)
    features = model.backbone(model.backbone.normalize(picture))
    assert reference["logits"].std() == pytest.approx(4, rel=0.1), "classes differ clearly"
    np.testing.assert_allclose(model(picture)[0, ::8, ::8], reference["logits"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(
        model.aux(features, tf.constant([97, 130]))[0, ::8, ::8], reference["auxiliary"], rtol=0, atol=1e-3
    )


@pytest.fixture(scope="module", params=torchvision_fcn.EXPERIMENTS)
def imported(request, tmp_path_factory, shared_data):
    """A run that the command made of torchvision's file, a real photo, and torchvision's logits of it."""
    name, folder, peer = request.param, tmp_path_factory.mktemp("fcn"), sides.peer_python()
    photo = shared_data / "coco_ccby_instances_keypoints" / "images" / PHOTO
    for command in (
        [peer, REFERENCE / "make_torchvision_fcn.py", "--live", name, folder / "seen.npz", folder / "w.pth", photo],
        [sys.executable, "-m", "tfrecog.import_weights", f"--model={name}", f"--weights={folder / 'w.pth'}",
         f"--out={folder / 'run'}"],
    ):  # fmt: skip
        done = subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run", photo, np.load(folder / "seen.npz")["logits_0"]


def test_a_photo_of_its_original_size_has_torchvisions_logits(imported):
    run, photo, expected = imported
    assert info.load(run).names == voc.pixels().names
    experiment = flags.load(Experiment(), run / runs.FLAGFILE)
    *_, model, _, _, _ = trained.restore(experiment, "latest")
    pixels = np.array(Image.open(photo).convert("RGB"), np.float32)
    got = model(pixels[None])[0].numpy()
    assert got.shape == expected.shape == (*pixels.shape[:2], 21)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    assert np.mean(got.argmax(-1) == expected.argmax(-1)) > 0.9999
