"""A new run starts from what fits of other weights, and hears of what does not, names and rules alike."""

import contextlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.folders import REPOSITORY
from tests.models.test_rcnn import task_of
from tests.test_checkpoints import assert_same, network, numbers
from tfrecog.cli import flags
from tfrecog.config import BackboneConfig, BoxConfig, ClassifierConfig, DetectorConfig, Experiment, SegmenterConfig
from tfrecog.models import classifier
from tfrecog.models.layers import Dense
from tfrecog.models.segmenter import fcn
from tfrecog.runs import checkpoints, warm_start
from tfrecog.runs import folder as runs
from tfrecog.weights import detectron2_models

RECIPE = REPOSITORY / "configs" / "finetune" / "mask_rcnn_r50_fpn.flags"
WHOLE = flags.replace(Experiment(), {"detector.masks": True, "detector.keypoints": True})
# A variable of each part of it.
PARTS = (
    "backbone/stem/kernel", "fpn/lateral2/kernel", "rpn/conv/kernel", "rpn/objectness/kernel", "rpn/deltas/kernel",
    "trunk/dense1/kernel", "box/logits/kernel", "box/deltas/kernel", "mask/conv1/kernel", "mask/logits/kernel",
    "keypoint/conv1/kernel", "keypoint/deconv/kernel",
)  # fmt: skip


def stand_in(*paths, fixed=(), **values):
    """What has variables of such paths, as a model has; those that begin as one of `fixed` do not learn.

    They have two ones each, or the numbers of a path with _ for its /.
    """
    variables = []
    for path in paths:
        *layers, name = path.split("/")
        with contextlib.ExitStack() as scopes:
            for layer in layers:
                scopes.enter_context(keras.name_scope(layer))
            learns = not name.startswith("moving_") and not path.startswith(fixed)
            start = np.array(values.get(path.replace("/", "_"), np.ones(2)))
            variables.append(keras.Variable(start, name=name, trainable=learns))
        assert variables[-1].path == path
    learning = [variable for variable in variables if variable.trainable]
    return types.SimpleNamespace(variables=variables, trainable_variables=learning)


def finished(folder, experiment, model, imported=False):
    """The folder of a run of an experiment, with a checkpoint of a model."""
    checkpoints.save(folder, 0, model, None, keep=1)
    (folder / runs.FLAGFILE).write_text(flags.dumps(experiment))
    if imported:
        (folder / runs.IMPORTED).write_text("{}")
    return folder


def published(folder, experiment, *paths):
    """The folder of a run that was made of published weights."""
    return finished(folder, experiment, stand_in(*paths), imported=True)


def begin(source, experiment, *paths):
    """The report of a new run that starts from `source`."""
    return warm_start.load_weights(source, stand_in(*paths), skip_mismatched=True, experiment=experiment)


def test_weights_of_other_classes_are_left_out_only_if_that_is_asked_for(tmp_path):
    saved = network(classes=2, seed=1)
    checkpoints.save(tmp_path, 7, *saved, keep=1)
    model, optimizer = network(classes=5, seed=2)
    before = numbers(model, optimizer)
    with pytest.raises(checkpoints.CheckpointError, match="skip_mismatched"):
        warm_start.load_weights(tmp_path, model)
    report = warm_start.load_weights(tmp_path, model, skip_mismatched=True)
    assert "6 of 8 variables start from" in report  # all but the kernel and the bias of 5 classes
    assert "net/class/kernel: [3, 2] there, [3, 5] in this model" in report
    for variable, there, old in zip(model.variables, saved[0].variables, before, strict=False):
        want = old if "class" in variable.path else there.numpy()
        np.testing.assert_array_equal(variable.numpy(), want)


def test_what_is_frozen_may_not_be_left_out_unless_it_has_learned_elsewhere(tmp_path):
    checkpoints.save(tmp_path, 7, *network(classes=2, seed=1), keep=1)
    model, _ = network(classes=5, seed=2)
    model.get_layer("class").trainable = False
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(checkpoints.CheckpointError, match=r"lacks 2 variables that this run freezes.*net/class/kernel"):
        warm_start.load_weights(tmp_path, model, skip_mismatched=True)
    assert_same(before, [variable.numpy() for variable in model.variables])
    learned = [variable.path for variable in model.get_layer("class").variables]
    assert "6 of 8" in warm_start.load_weights(tmp_path, model, skip_mismatched=True, learned=learned)


def test_on_a_single_map_the_last_stage_of_a_network_becomes_the_trunk(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="res5")], name="backbone")
    network.variables[0].assign(tf.random.stateless_normal([4, 3], (1, 2)))
    checkpoints.save(tmp_path, 7, network, None, keep=1)
    detector = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="res5")], name="trunk")
    assert "2 of 2 variables" in warm_start.load_weights(tmp_path, detector)
    assert_same([v.numpy() for v in detector.variables], [v.numpy() for v in network.variables])


def test_moving_statistics_are_frozen_where_their_norm_is(tmp_path):
    norm = [f"fpn/lateral2/norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    checkpoints.save(tmp_path, 0, stand_in("backbone/stem/kernel", *norm[:2]), None, keep=1)  # as of group norm
    frozen = stand_in("backbone/stem/kernel", *norm, fixed=("fpn/lateral2/norm/",))
    run = flags.replace(Experiment(), {"detector.fpn.norm": "frozen"})
    with pytest.raises(checkpoints.CheckpointError, match=r"lacks 2 .*norm/moving_mean.*(?s:.*)--detector\.fpn\.norm="):
        warm_start.load_weights(tmp_path, frozen, skip_mismatched=True, experiment=run)
    learned = warm_start.load_weights(tmp_path, frozen, skip_mismatched=True, learned=norm)
    assert "3 of 5 variables" in learned
    learning = stand_in("backbone/stem/kernel", *norm)  # They follow the batches.
    assert "3 of 5 variables" in warm_start.load_weights(tmp_path, learning, skip_mismatched=True)


def test_published_weights_are_refused_where_the_rules_of_the_run_are_others(tmp_path):
    theirs = detectron2_models.experiment("mask_rcnn_R_50_FPN_3x")
    ours = flags.load(Experiment(), RECIPE)
    paths = [path for path in PARTS if not path.startswith("keypoint/")]
    source, model = published(tmp_path / "theirs", theirs, *paths), stand_in(*paths)
    model.variables[0].assign([3, 4])
    with pytest.raises(checkpoints.CheckpointError) as error:
        warm_start.load_weights(source, model, skip_mismatched=True, experiment=ours)
    told = {line.strip().partition(":")[0] for line in str(error.value).splitlines() if line.startswith("  --")}
    assert told == {
        "--detector.aligned", "--detector.backbone.norm_epsilon", "--detector.backbone.stride_in_1x1",
        "--detector.rpn.anchor_rule", "--detector.box.sampling_ratio", "--detector.mask.sampling_ratio",
    }  # fmt: skip
    assert "--detector.aligned: True there, False now" in str(error.value)
    assert f"--flagfile={source / runs.FLAGFILE}" in str(error.value)
    np.testing.assert_array_equal(model.variables[0], [3, 4])  # Nothing has changed.
    # With its own flags, and with others for the new run that no weight hangs on.
    assert "warning" not in begin(source, flags.replace(theirs, {"optim.learning_rate": 0.5}), *paths)


def test_whoever_names_the_checkpoint_of_published_weights_is_warned_alone(tmp_path):
    theirs = detectron2_models.experiment("mask_rcnn_R_50_FPN_3x")
    source = published(tmp_path, theirs, *PARTS)
    report = begin(checkpoints.latest(source), flags.load(Experiment(), RECIPE), *PARTS)
    assert "12 of 12 variables" in report and "warning" in report
    assert "--detector.aligned: True there, False now" in report


def test_from_a_run_of_ones_own_other_rules_are_a_warning(tmp_path):
    source = finished(tmp_path, flags.replace(Experiment(), {"detector.aligned": True}), stand_in(*PARTS))
    report = begin(source, Experiment(), *PARTS)
    assert "warning" in report and "  --detector.aligned: True there, False now" in report
    assert "warning" not in begin(source, flags.replace(Experiment(), {"detector.aligned": True}), *PARTS)


@pytest.mark.parametrize(
    ("flag", "value", "depend"),
    [
        ("detector.backbone.norm_epsilon", 0.5, {"backbone/stem/kernel"}),
        ("detector.rpn.anchor_ratios", (1.0, 2.0, 3.0), {"rpn/objectness/kernel", "rpn/deltas/kernel"}),
        ("detector.pool", "roi_pool", {path for path in PARTS if path.startswith(("trunk", "mask", "keypoint"))}),
        ("detector.box.sampling_ratio", 0, {"trunk/dense1/kernel"}),
        ("detector.box.delta_scale", (1.0, 1.0, 1.0, 1.0), {"box/deltas/kernel"}),
        ("detector.mask.size", 28, {"mask/conv1/kernel", "mask/logits/kernel"}),
        ("detector.keypoint.sampling_ratio", 0, {"keypoint/conv1/kernel", "keypoint/deconv/kernel"}),
        ("detector.keypoint.margin", 0.25, {"keypoint/conv1/kernel", "keypoint/deconv/kernel"}),
        ("detector.keypoint.pixel_index", True, {"keypoint/deconv/kernel"}),
    ],
)
def test_a_rule_concerns_the_variables_that_depend_on_it_alone(flag, value, depend, tmp_path):
    source = published(tmp_path, WHOLE, *PARTS)
    for path in PARTS:
        try:
            report = begin(source, flags.replace(WHOLE, {flag: value}), path)
            assert "warning" not in report and path not in depend, path
        except checkpoints.CheckpointError as error:
            assert f"--{flag}: " in str(error) and path in depend, path


@pytest.mark.parametrize(
    ("flag", "value", "path"),
    [
        ("data.resize", "pillow", "backbone/stem/kernel"),
        ("data.size_rounding", "nearest", "backbone/stem/kernel"),
        ("detector.output.paste", "detectron2", "mask/conv1/kernel"),
    ],
)
def test_what_weights_depend_on_a_little_is_a_warning(flag, value, path, tmp_path):
    report = begin(published(tmp_path, WHOLE, path), flags.replace(WHOLE, {flag: value}), path)
    assert "warning" in report and f"  --{flag}: " in report


def test_of_a_classifier_the_backbone_is_compared_and_nothing_else(tmp_path):
    classifier = Experiment(task="classification", classifier=ClassifierConfig(norm_epsilon=1e-3))
    classifier = flags.replace(classifier, {"data.resize": "pillow", "detector.aligned": True})
    source, backbone = published(tmp_path, classifier, "backbone/stem/kernel"), PARTS[0]
    assert "warning" not in begin(source, flags.replace(Experiment(), {"detector.backbone.norm_epsilon": 1e-3}), *PARTS)
    report = begin(source, Experiment(), backbone)  # torchvision's own MobileNet detectors have another epsilon.
    assert "  --detector.backbone.norm_epsilon: 0.001 there, 1e-05 now" in report and "aligned" not in report
    with pytest.raises(checkpoints.CheckpointError, match=r"stride_in_1x1: False there, True now"):
        begin(source, flags.replace(Experiment(), {"detector.backbone.stride_in_1x1": True}), backbone)


def test_flags_of_another_version_are_not_compared_and_said_so(tmp_path):
    source = published(tmp_path, Experiment(), PARTS[0])
    (source / runs.FLAGFILE).write_text("--detector.of_the_future=1\n")
    assert "not of this version" in begin(source, Experiment(), PARTS[0])


VGG16 = Experiment(task="classification", classifier=ClassifierConfig(name="vgg16"))
TRUNK = tuple(f"trunk/dense{i}/{name}" for i in (1, 2) for name in ("kernel", "bias"))
FC = tuple(f"fc{i}/{name}" for i in (6, 7) for name in ("kernel", "bias"))


def fcn_of(name, **settings):
    """The experiment of an FCN, and its network."""
    backbone = BackboneConfig(name="resnet18", width=8, norm="group", frozen_stages=0)
    settings = {"backbone": backbone, "fc_channels": 6, **settings}
    experiment = Experiment(task="segmentation", segmenter=SegmenterConfig(name=name, **settings))
    model = fcn.build(experiment.segmenter, 4)
    model.logits(tf.zeros([1, 1, 1, 3]))
    return experiment, model


def start(model, source, experiment):
    """The report of a model that starts from what fits."""
    return warm_start.load_weights(source, model, skip_mismatched=True, experiment=experiment)


def test_fully_connected_layers_become_convolutions(tmp_path):
    experiment, model = fcn_of("fcn32s", backbone=BackboneConfig(name="vgg16", norm="none", frozen_stages=0))
    fc6 = 0.01 * tf.random.stateless_normal([7 * 7 * 512, 6], (1, 2))
    values = {"fc6_kernel": fc6, "fc6_bias": np.arange(6.0), "fc7_kernel": np.eye(6), "fc7_bias": np.ones(6)}
    source = finished(tmp_path, VGG16, stand_in(*FC, "fc8/kernel", "backbone/conv1_1/kernel", **values))
    report = start(model, source, experiment)
    assert "4 of 32 variables start from" in report and "warning" not in report
    # Where fc6 sees just one map of 7x7, it is the fully connected layer, in the order [S, S, C].
    features = tf.random.stateless_normal([1, 7, 7, 512], (3, 4))
    expected = tf.nn.relu(tf.reshape(features, [1, -1]) @ fc6 + tf.range(6.0))
    convolved = model.head.hidden[0](features)
    np.testing.assert_allclose(convolved[:, 0, 0], expected, atol=1e-4)
    np.testing.assert_allclose(model.head.hidden[1](convolved)[:, 0, 0], expected + 1, atol=1e-4)


@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
def test_an_fcn_of_a_finer_stride_starts_as_the_coarser_one(tmp_path, upsampling):
    settings = {"upsampling": upsampling, "skip_scales": (1.0, 1.0)}
    (experiment, coarse), (of_fine, fine) = (fcn_of(name, **settings) for name in ("fcn16s", "fcn8s"))
    for place, variable in enumerate(coarse.variables):
        variable.assign(tf.random.stateless_normal(variable.shape, (place, 1)))
    source = finished(tmp_path, experiment, coarse)
    report = start(fine, source, of_fine)
    new = {"head/score_pool3/kernel", "head/score_pool3/bias", "head/upscore_pool4/kernel"}
    values = {variable.path: variable.numpy() for variable in coarse.variables}
    for variable in fine.variables:
        assert (variable.path in new) or np.array_equal(variable, values[variable.path]), variable.path
    assert "Missing there" in report and "warning" not in report
    report = start(fine, source, flags.replace(of_fine, {"segmenter.skip_scales": (0.01, 1.0)}))
    assert "warning" in report and "segmenter.skip_scales" in report


def test_fc6_and_fc7_of_a_classifier_become_the_trunk_of_a_roi(tmp_path):
    there = stand_in("backbone/conv1_1/kernel", *FC, "fc8/kernel")
    for i, variable in enumerate(there.variables):
        variable.assign([i, -i])
    ours = stand_in("backbone/conv1_1/kernel", *TRUNK, "box/logits/kernel")
    report = start(ours, finished(tmp_path, VGG16, there), Experiment())
    assert "5 of 6 variables" in report and "Only there, 1:\n  fc8/kernel" in report
    for i, variable in enumerate(ours.variables[:5]):
        np.testing.assert_array_equal(variable, [i, -i])


@pytest.mark.parametrize("name, pool, size", [("vgg16", "roi_pool", 7), ("alexnet", "warp", 224)])
def test_a_roi_of_the_whole_image_is_to_fc7_what_the_image_is_to_the_classifier(tmp_path, name, pool, size):
    layers = [Dense(6, activation="relu", name="fc6"), Dense(6, activation="relu", name="fc7"), Dense(6, name="fc8")]
    classification = Experiment(task="classification", classifier=ClassifierConfig(name=name))
    there = classifier.build(classification.classifier, 6)
    there.dense = layers
    image = tf.random.stateless_uniform([1, 224, 224, 3], (1, 2), 0, 255)
    there.logits(image)
    for place, variable in enumerate(v for v in there.variables if v.name == "bias"):
        variable.assign(0.1 * tf.random.stateless_normal(variable.shape, (place, 3)))
    layers[-1].kernel.assign(tf.eye(6))  # Its logits are what comes out of fc7.
    layers[-1].bias.assign(tf.zeros(6))
    backbone, box = BackboneConfig(name=name, frozen_stages=0), BoxConfig(size=size, hidden_units=6)
    detector = DetectorConfig(proposals="record", neck="single", pool=pool, backbone=backbone, box=box)
    ours = task_of(detector).build()
    start(ours, finished(tmp_path, classification, there), Experiment(detector=detector))
    # RoIPool rounds ends to cells of 16 pixels and takes the last one in: 215 is of the 14th of 14, and each bin has 2.
    end = 215.0 if pool == "roi_pool" else 224.0
    features = ours.extract(image, tf.constant([[224, 224]]))
    seen, expected = ours.trunk_outputs(features, tf.constant([[[0.0, 0, end, end]]])), there.logits(image)
    assert np.max(expected) > 1e-3
    np.testing.assert_allclose(seen[:, 0], expected, atol=1e-4 * np.max(expected))


def test_fully_connected_layers_of_another_size_are_left_out_with_their_biases(tmp_path):
    there = stand_in(*FC, fc6_kernel=np.ones(3))
    for variable in there.variables:
        variable.assign(5 * np.ones(variable.shape))
    ours = stand_in(*TRUNK)
    assert "2 of 4 variables" in start(ours, finished(tmp_path, VGG16, there), None)
    assert [variable.numpy().tolist() for variable in ours.variables] == [[1, 1], [1, 1], [5, 5], [5, 5]]
