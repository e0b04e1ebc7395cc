"""Backbones of keras.applications, against keras.applications itself."""

import shutil
import urllib.error
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import resnet
from PIL import Image

from tests.matrices import representatives
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, Experiment
from tfrecog.models.backbones import build as backbones
from tfrecog.models.backbones import keras_weights
from tfrecog.models.backbones.keras_backbone import NETWORKS, STANDARD, KerasBackbone

A = keras.applications
# Keras' module with the network's own preprocessing; then, by the tables of the papers (ResNet 1, VGG 1 D, MobileNetV2
# 2, MobileNetV3 2 and 1, EfficientNetV2-B0 as its authors' code scales table 4), channels of the levels 2 to 5, and how
# many convolutions lie below the ends of the levels 1 to 4. A block of a MobileNet has three, squeeze-excitation two.
ORIGINALS = {
    "keras_resnet50": (A.resnet, (256, 512, 1024, 2048), (1, 1 + 10, 11 + 13, 24 + 19)),
    "keras_vgg16": (A.vgg16, (256, 512, 512, 512), (2 + 2, 4 + 3, 7 + 3, 10 + 3)),
    "keras_mobilenet_v2": (A.mobilenet_v2, (24, 32, 96, 1280), (1 + 2, 3 + 6, 9 + 9, 18 + 21)),
    "keras_mobilenet_v3_small": (A.mobilenet_v3, (16, 24, 48, 576), (1, 1 + 4, 5 + 6, 11 + 25)),
    "keras_mobilenet_v3_large": (A.mobilenet_v3, (24, 40, 112, 960), (1 + 2, 3 + 6, 9 + 15, 24 + 12 + 10)),
    "keras_efficientnet_v2_b0": (A.efficientnet_v2, (32, 48, 112, 1280), (1 + 1, 2 + 4, 6 + 4, 10 + 15 + 25)),
}
SMALL = "keras_mobilenet_v3_small"


def config(name=SMALL, norm="batch", frozen_stages=0, **more):
    return BackboneConfig(name=name, norm=norm, frozen_stages=frozen_stages, **more)


def scramble(model, seed=0):
    """Weights under which every variable matters: no statistic is 0 or 1, and the image reaches the last layer."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        shape = variable.shape
        if variable.name == "kernel" and len(shape) == 4:
            inputs = np.prod(shape[:2] if shape[3] == 1 else shape[:3])  # A depthwise kernel has one input.
            # Less than He's 2: no chaos, which would enlarge rounding. More than 1: the image is seen at every level.
            variable.assign(random.standard_normal(shape, np.float32) * np.sqrt(1.5 / inputs, dtype=np.float32))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif variable.name in ("beta", "bias", "moving_mean"):
            variable.assign(random.normal(0, 0.1, shape))


def as_published(model, path):
    """Saves in the layout that Keras publishes: that of a whole model, without what is around the weights."""
    whole = path.with_suffix(".whole.h5")
    model.save(whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as target:
        for name in source["model_weights"]:
            source.copy(f"model_weights/{name}", target)
        for name, value in source["model_weights"].attrs.items():
            target.attrs[name] = value
    whole.unlink()
    return path


def variables(backbone):
    return {variable.path: variable.numpy() for variable in backbone.variables}


# The two that differ most: in pixels, kinds of blocks, activations and what a level ends with.
@pytest.fixture(scope="module", params=representatives(ORIGINALS, "keras_resnet50", SMALL))
def original(request, tmp_path_factory):
    """A network of Keras', its weights in a file, and what it asked the network for."""
    path = tmp_path_factory.mktemp("original") / f"{request.param}.h5"
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **options: asked.append((args, options)))
        patch.setattr(keras.Model, "load_weights", lambda *args, **options: None)
        model = NETWORKS[request.param].make(include_top=False, weights="imagenet", input_shape=(None, None, 3))
    scramble(model)
    yield request.param, model, as_published(model, path), asked
    path.unlink()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The smallest network with its classifier, and all the files that Keras could write of it, by their name."""
    folder = tmp_path_factory.mktemp("small")
    whole = A.MobileNetV3Small(weights=None, classes=7)
    scramble(whole)
    # The classifier hangs on the last layer that the other model has.
    body = keras.Model(whole.input, whole.get_layer("conv_1_bn").output)
    files = {
        "published": as_published(body, folder / "published.h5"),
        "published_with_classifier": as_published(whole, folder / "published_with_classifier.h5"),
    }
    for name, model in (("body", body), ("with_classifier", whole)):
        files[name] = folder / f"{name}.weights.h5"
        model.save_weights(files[name])
    files["whole_model"] = folder / "whole_model.h5"
    whole.save(files["whole_model"])
    # Of networks with very many layers Keras writes names too long for HDF5 in parts: layer_names0, layer_names1, ...
    files["parts"] = shutil.copy(files["published"], folder / "parts.h5")
    with h5py.File(files["parts"], "r+") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:20], names[20:]
    return whole, files


@pytest.fixture(scope="module")
def photo(shared_data):
    """A real photo, RGB [1, 64, 96, 3] in 0..255."""
    path = min(shared_data.glob("coco_ccby_instances_keypoints/images/*.jpg"))
    return np.asarray(Image.open(path).convert("RGB").resize((96, 64)), np.float32)[None]


def test_the_features_are_those_of_keras_with_its_own_preprocessing(original, photo):
    name, model, file, _ = original
    module, channels, _ = ORIGINALS[name]
    outputs = [*(model.get_layer(layer).output for layer in NETWORKS[name].ends[1:]), model.output]
    expected = keras.Model(model.input, outputs)(module.preprocess_input(photo.copy()), training=False)

    backbone = backbones.build(config(name))
    keras_weights.load(backbone, file)
    features = backbone(backbone.normalize(tf.constant(photo)))
    assert {level: tuple(x.shape) for level, x in features.items()} == {
        level: (1, 64 // 2**level, 96 // 2**level, width) for level, width in zip((2, 3, 4, 5), channels, strict=True)
    }
    assert backbone.channels == dict(zip((2, 3, 4, 5), channels, strict=True))
    assert backbone.strides == {2: 4, 3: 8, 4: 16, 5: 32}
    other = backbone((tf.constant(photo) / 255.0) if backbone.pixels is STANDARD else STANDARD.normalize(photo))
    for level, right in zip(features, expected, strict=True):
        scale = np.abs(right).max()
        np.testing.assert_allclose(features[level], right, rtol=0, atol=1e-5 * scale)
        assert np.abs(other[level] - right).max() > 1e-2 * scale  # Another preprocessing would be noticed.


def convolutions(inputs, output):
    """How many lie between two tensors of a network."""
    return sum("Conv2D" in type(layer).__name__ for layer in keras.Model(inputs, output).layers)


def test_a_level_ends_with_the_last_block_of_its_resolution(original):
    name, model, _, _ = original
    ends = [model.get_layer(layer).output for layer in NETWORKS[name].ends]
    assert tuple(convolutions(model.input, end) for end in ends) == ORIGINALS[name][2]


def test_the_weights_of_imagenet_are_the_file_that_keras_asks_for(original, monkeypatch):
    name, _, file, asked = original
    ((theirs, their_options),) = asked
    ours = []

    def get_file(*args, **options):
        ours.append((args, options))
        return str(file)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert keras_weights.find(config(name, weights="imagenet")) == file
    assert ours == [(theirs, {"file_hash": None, **their_options})]


@pytest.mark.parametrize(
    ("name", "module"), [("keras_resnet50", A.resnet), ("keras_vgg16", A.vgg16), ("keras_mobilenet_v2", A.mobilenet_v2)]
)
def test_pixels_are_prepared_as_keras_does_it_outside_of_the_network(name, module):
    image = np.random.default_rng(0).uniform(0, 255, [2, 5, 4, 3]).astype(np.float32)
    expected = module.preprocess_input(image.copy())
    np.testing.assert_allclose(NETWORKS[name].pixels.normalize(tf.constant(image)), expected, atol=1e-4)


@pytest.mark.parametrize(
    "layout", ["published", "published_with_classifier", "body", "with_classifier", "whole_model", "parts"]
)
def test_every_layout_of_a_file_gives_the_same_weights(small, layout):
    whole, files = small
    backbone = KerasBackbone(config())
    report = keras_weights.load(backbone, keras_weights.find(config(weights=str(files[layout]))))
    assert str(files[layout]) in report
    expected = {variable.path: variable.numpy() for variable in whole.weights}
    found = variables(backbone)
    assert len(found) == len(expected) - 4  # Two layers of the classifier, with kernel and bias.
    for path, value in found.items():
        np.testing.assert_array_equal(value, expected[path.removeprefix("backbone/")], err_msg=path)


def test_the_weights_of_another_network_are_refused_and_nothing_changes(small, tmp_path):
    _, files = small
    short = shutil.copy(files["published"], tmp_path / "short.h5")
    with h5py.File(short, "r+") as file:
        file.attrs["layer_names"] = file.attrs["layer_names"][:-2]
    for path, name, reason in (
        (files["published"], "keras_mobilenet_v2", "it has 86"),
        (files["body"], "keras_mobilenet_v2", "the layer 'Conv1'"),
        (short, SMALL, "it has .* layers with weights"),
    ):
        backbone = KerasBackbone(config(name))
        before = variables(backbone)
        with pytest.raises(UserError, match=rf"{path} is not of {name}: {reason}"):
            keras_weights.load(backbone, path)
        assert all(np.array_equal(before[path], value) for path, value in variables(backbone).items())


def test_a_file_that_is_missing_or_damaged_is_named(small, tmp_path):
    _, files = small
    missing, text, half, empty = (tmp_path / f"{name}.h5" for name in ("missing", "text", "half", "empty"))
    text.write_text("not HDF5")
    half.write_bytes(files["body"].read_bytes()[:100_000])
    h5py.File(empty, "w").close()
    for path, reason in ((missing, "there is no such file"), (text, "cannot be read"), (half, "truncated")):
        with pytest.raises(UserError, match=rf"(?s){path}.*{reason}"):
            keras_weights.find(config(weights=str(path)))
    with pytest.raises(UserError, match=rf"{empty} cannot be read.*no layers"):
        keras_weights.load(KerasBackbone(config()), empty)


def test_without_a_network_the_message_says_which_file_to_fetch_and_where_to_put_it(monkeypatch, tmp_path):
    def offline(*args):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    url, _ = NETWORKS[SMALL].weights
    with pytest.raises(UserError) as caught:
        keras_weights.find(config(weights="imagenet"))
    told = str(caught.value)
    assert "Name or service not known" in told and f"{keras_weights.SITE}{url}" in told
    assert f"{tmp_path}/models/{url.partition('/')[2]}" in told and "--detector.backbone.weights=" in told


@pytest.fixture(scope="module")
def efficient():
    """The network that Keras gives dropout, twice."""
    return [KerasBackbone(config("keras_efficientnet_v2_b0", norm="frozen")) for _ in range(2)]


def test_a_second_network_in_a_process_has_the_same_names(efficient):
    # Keras numbers what has no name over a whole process; a checkpoint's keys must not hang on that.
    for first, second in (efficient, [KerasBackbone(config()) for _ in range(2)]):
        paths = [variable.path for variable in first.variables]
        assert paths == [variable.path for variable in second.variables]
        assert len(set(paths)) == len(paths) and all(path.startswith("backbone/") for path in paths)


def test_training_is_repeatable_because_nothing_is_dropped_at_random(efficient):
    image = tf.random.stateless_normal([2, 64, 64, 3], (1, 2))
    for level, x in efficient[0](image).items():
        np.testing.assert_array_equal(x, efficient[0](image, training=True)[level])


def test_resnet101_is_resnet50_with_17_more_blocks_of_level_4():
    # Table 1 of the paper: 23 blocks and not 6. A block has 3 convolutions, each with a bias and 4 of its batch norm.
    deep, plain = KerasBackbone(config("keras_resnet101")), KerasBackbone(config("keras_resnet50"))
    assert deep.channels == plain.channels
    more = {variable.path for variable in deep.variables} - {variable.path for variable in plain.variables}
    assert len(more) == 17 * 3 * 6 and all(path.startswith("backbone/conv4_block") for path in more)
    assert convolutions(deep.network.input, deep.network.outputs[2]) == 24 + 3 * 23 + 1
    assert NETWORKS["keras_resnet101"].weights[1] == resnet.WEIGHTS_HASHES["resnet101"][1]


def test_a_network_of_fewer_levels_is_the_beginning_of_the_whole_one(small):
    _, files = small
    whole, part = KerasBackbone(config()), KerasBackbone(config(), last=4)
    for backbone in (whole, part):
        keras_weights.load(backbone, files["published"])
    image = tf.random.stateless_normal([1, 64, 64, 3], (1, 2))
    features = part(image)
    assert list(features) == [2, 3, 4] and len(part.weights) < len(whole.weights)
    for level, x in features.items():
        np.testing.assert_array_equal(x, whole(image)[level])


def moves(backbone):
    """Paths of the variables that training would change: by their gradient, and as statistics of a batch."""
    before = variables(backbone)
    image = tf.random.stateless_normal([2, 64, 64, 3], (1, 2)) + 1
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_mean(tf.square(x)) for x in backbone(image, training=True).values()])
    gradients = tape.gradient(loss, backbone.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    statistics = {path for path, value in variables(backbone).items() if np.any(value != before[path])}
    return {variable.path.removeprefix("backbone/") for variable in backbone.trainable_variables}, {
        path.removeprefix("backbone/") for path in statistics
    }


def test_frozen_stages_have_nothing_to_learn_and_keep_their_statistics():
    # Level 2 of MobileNetV3-Small is its first block, level 3 the blocks 1 and 2.
    learned, statistics = moves(KerasBackbone(config(frozen_stages=2), last=3))
    frozen = ("conv/", "conv_bn/", "expanded_conv_depthwise", "expanded_conv_squeeze", "expanded_conv_project")
    assert not [path for path in learned | statistics if path.startswith(frozen)]
    assert {"expanded_conv_1_expand/kernel", "expanded_conv_1_expand_bn/gamma"} <= learned
    assert {"expanded_conv_1_expand_bn/moving_mean", "expanded_conv_2_project_bn/moving_variance"} <= statistics


def test_all_five_stages_frozen_leave_nothing_to_learn():
    backbone = KerasBackbone(config(frozen_stages=5))
    assert backbone.trainable_variables == []


def test_frozen_batch_norm_learns_no_gain_and_keeps_its_statistics():
    learned, statistics = moves(KerasBackbone(config(norm="frozen"), last=3))
    assert "conv/kernel" in learned and not [path for path in learned if path.endswith(("gamma", "beta"))]
    assert not statistics


@pytest.mark.parametrize("norm", ["batch", "sync_batch"])
def test_batch_norm_is_synchronised_if_told_so(norm):
    layers = KerasBackbone(config(norm=norm), last=3).network.layers
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(layer.synchronized == (norm == "sync_batch") for layer in norms)


@pytest.mark.parametrize(
    ("backbone", "neck", "flag"),
    [
        (config(norm="group"), "fpn", "detector.backbone.norm=group"),
        (config(width=32), "fpn", "detector.backbone.width=32"),
        (config(norm_epsilon=1e-3), "fpn", "detector.backbone.norm_epsilon=0.001"),
        (config(stride_in_1x1=True), "fpn", "detector.backbone.stride_in_1x1=true"),
        (config(), "c4", "detector.neck=c4"),
        (config("resnet50", weights="imagenet"), "fpn", "detector.backbone.weights=imagenet"),
    ],
)
def test_what_a_network_of_keras_does_not_read_is_refused(backbone, neck, flag):
    experiment = Experiment()
    validate.check(replace(experiment, detector=replace(experiment.detector, backbone=config())))
    with pytest.raises(ValueError, match=f"^--{flag}: .*[a-z]"):
        validate.check(replace(experiment, detector=replace(experiment.detector, backbone=backbone, neck=neck)))
