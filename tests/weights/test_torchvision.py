"""torchvision's detectors, given the same weights, see here what they see there."""

import functools
import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import sides
from tfrecog.config import BackboneConfig, DetectorConfig, Experiment
from tfrecog.data.classes import coco
from tfrecog.models.detector.rcnn import Detector
from tfrecog.models.layers import Conv
from tfrecog.ops import anchors, keypoints
from tfrecog.tasks.detection import Detection
from tfrecog.weights import torchvision
from tfrecog.weights.torchvision_detectors import EXPERIMENTS

PUBLISHED = [name for name in EXPERIMENTS if not name.endswith("legacy")]
STORED = [name for name in PUBLISHED if (sides.REFERENCE / f"torchvision_{name}.npz").exists()]
MASK_RCNN = "maskrcnn_resnet50_fpn"
LARGE = "fasterrcnn_mobilenet_v3_large_fpn"


@pytest.fixture(scope="module")
def rule():
    return sides.seeded_weights()


@pytest.fixture(scope="module")
def built(rule):
    """{name: task, model and state dict} of the models whose reference is stored, each made when it is asked for."""

    @functools.cache
    def build(name):
        state = rule.state(json.loads(str(sides.reference_of(name)["shapes"])))
        return *sides.build(name, sides.small(name), state), state

    return build


@pytest.fixture(scope="module")
def seen(built, rule):
    """{name: what such a model sees}, and what its network computed, for `as_computed`."""
    return functools.cache(lambda name: kept(*built(name)[:2], rule.image()))


@pytest.fixture(scope="module")
def mask_rcnn(built):
    return built(MASK_RCNN)


# MobileNet's other detector has the same network, for larger images.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == LARGE else name for name in STORED]
)
def test_with_torchvisions_weights_a_detector_sees_what_torchvision_sees(name, seen):
    reference = sides.reference_of(name)
    assert len(reference["labels"]) == 20 and np.ptp(reference["scores"]) > 0.1  # It is decided.
    print(name, sides.compare(seen(name)[0], reference))


@pytest.mark.parametrize("what", [("boxes", "labels", "scores", "masks"), ("proposals", "class_logits", "box_deltas")])
def test_another_order_is_noticed(what, seen):
    found = seen(MASK_RCNN)[0]
    sides.compare(found, reference := sides.reference_of(MASK_RCNN))
    turned = {name: value[::-1] if name in what else value for name, value in found.items()}
    with pytest.raises(AssertionError, match="the order is another"):
        sides.compare(turned, reference)
    turned = {
        name: np.concatenate([value[4::-1], value[5:]]) if name in what else value for name, value in found.items()
    }
    with pytest.raises(AssertionError, match="the order is another"):
        sides.compare(turned, reference)


@pytest.mark.parametrize("name", PUBLISHED)
def test_at_full_size_a_detector_sees_in_a_photo_what_torchvision_sees(name, rule, shared_data, tmp_path):
    photo = sorted((shared_data / "coco_ccby_instances_keypoints/images").glob("*.jpg"))[0]
    script = sides.REFERENCE / "make_torchvision_detectors.py"
    subprocess.run([sides.peer_python(), script, f"--picture={photo}", f"--out={tmp_path}", name], check=True)
    reference = sides.reference_of(name, tmp_path)
    task, model = sides.build(name, EXPERIMENTS[name], rule.state(json.loads(str(reference["shapes"]))))
    assert len(reference["labels"]) > 20
    print(name, sides.compare(sides.sees(task, model, np.array(Image.open(photo).convert("RGB"))), reference))


def an_epsilon(model, picture, state):
    set_epsilon(model, 1e-5)
    return picture


def swapped_channels(model, picture, state):
    return picture[..., ::-1]


def boxes_x_first(model, picture, state):
    torchvision.load(model, state | x_first("roi_heads.box_predictor.bbox_pred", state))
    return picture


def anchors_x_first(model, picture, state):
    torchvision.load(model, state | x_first("rpn.head.bbox_pred", state))
    return picture


def aligned_regions(model, picture, state):
    model.config = replace(model.config, aligned=True)
    return picture


def unrounded_anchors(model, picture, state):
    model.config = replace(model.config, rpn=replace(model.config.rpn, anchor_rule="detectron2"))
    return picture


def set_epsilon(model, epsilon):
    for layer in model.backbone._flatten_layers():
        if isinstance(layer, Conv):
            layer.norm.epsilon = epsilon


def x_first(layer, state):
    """The tensors of a layer with the rows of dy and dx, and of dh and dw, exchanged."""
    tensors = {name: value for name, value in state.items() if name.startswith(layer)}
    return {
        name: value.reshape(-1, 4, *value.shape[1:])[:, [1, 0, 3, 2]].reshape(value.shape)
        for name, value in tensors.items()
    }


@pytest.mark.parametrize(
    "wrong", [an_epsilon, swapped_channels, boxes_x_first, anchors_x_first, aligned_regions, unrounded_anchors]
)
def test_a_wrong_rule_is_noticed(wrong, mask_rcnn, seen, rule, monkeypatch):
    task, model, state = mask_rcnn
    config = model.config
    if wrong not in (an_epsilon, swapped_channels):  # Of the others the features stay, which take most of the time.
        as_computed(monkeypatch, seen(MASK_RCNN)[1], "extract")
    try:
        found = sides.sees(task, model, wrong(model, rule.image(), state))
    finally:
        model.config = config
        set_epsilon(model, config.backbone.norm_epsilon)
        torchvision.load(model, state)
    with pytest.raises(AssertionError):
        sides.compare(found, sides.reference_of(MASK_RCNN))


# What takes the time; a rule of a later step needs none of it anew.
NETWORK = ("extract", "propose", "box_outputs", "keypoint_logits")


def kept(task, model, picture):
    """What `model` sees, and {method: result} of the methods of NETWORK."""
    results = {}

    def keep(name, original):
        def method(self, *args, **options):
            results[name] = original(self, *args, **options)
            return results[name]

        return method

    with pytest.MonkeyPatch.context() as patch:
        for name in NETWORK:
            patch.setattr(Detector, name, keep(name, getattr(Detector, name)))
        return sides.sees(task, model, picture), results


def as_computed(patch, results, *names):
    """Lets methods of Detector give what they gave before."""
    for name in names:
        patch.setattr(Detector, name, lambda self, *args, result=results[name], **options: result)


def joints_in_another_order(patch, results):
    as_computed(patch, results | {"keypoint_logits": results["keypoint_logits"][..., ::-1]}, "keypoint_logits")


def no_half_pixel(patch, results):
    patch.setattr(Detection, "_index_shift", lambda self, batch: tf.zeros([1, 1, 1, 2]))


def heat_maps_x_first(patch, results):
    decode = keypoints.decode
    patch.setattr(keypoints, "decode", lambda maps, boxes: decode(tf.transpose(maps, [0, 2, 1, 3]), boxes))


def corners_of_cells(patch, results):
    def decode(maps, boxes, original=keypoints.decode):
        side = tf.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
        return original(maps, boxes) - tf.pad(0.5 * side / tf.math.ceil(side), [[0, 0], [0, 1]])[:, None]

    patch.setattr(keypoints, "decode", decode)


def keypoints_x_first(patch, results):
    decode = keypoints.decode
    patch.setattr(keypoints, "decode", lambda maps, boxes: tf.gather(decode(maps, boxes), [1, 0, 2], axis=-1))


@pytest.mark.parametrize(
    "wrong", [joints_in_another_order, no_half_pixel, heat_maps_x_first, corners_of_cells, keypoints_x_first]
)
def test_a_wrong_rule_of_keypoints_is_noticed(wrong, built, seen, rule, monkeypatch):
    name = "keypointrcnn_resnet50_fpn"
    (task, model, _), (intact, results) = built(name), seen(name)
    as_computed(monkeypatch, results, "extract", "box_outputs", "keypoint_logits")
    wrong(monkeypatch, results)
    found = sides.sees(task, model, rule.image())
    for key in ("proposals", "boxes", "scores"):
        np.testing.assert_array_equal(found[key], intact[key])
    with pytest.raises(AssertionError, match="keypoint"):
        sides.compare(found, sides.reference_of(name))


def shapes_before_sizes(patch, model, results):
    def cell(sizes, ratios, rounded, original=anchors.cell):
        made = np.reshape(original(sizes, ratios, rounded=rounded), [len(ratios), len(sizes), 4])
        return np.reshape(made.transpose(1, 0, 2), [-1, 4])

    patch.setattr(anchors, "cell", cell)


def regions_of_the_second_map(patch, model, results):
    def pool(self, features, *args, original=Detector._pool):
        return original(self, features | {5: features[6]}, *args)

    patch.setattr(Detector, "_pool", pool)


def keras_epsilon(patch, model, results):
    patch.undo()
    for conv in model.backbone._flatten_layers():
        if isinstance(conv, Conv) and conv.norm is not None:
            patch.setattr(conv.norm, "epsilon", 1e-3)


@pytest.mark.parametrize(
    "wrong",
    [shapes_before_sizes, regions_of_the_second_map, keras_epsilon],
)
def test_a_wrong_rule_of_mobilenets_detector_is_noticed(wrong, built, seen, rule, monkeypatch):
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    (task, model, _), (_, results) = built(name), seen(name)
    as_computed(monkeypatch, results, "extract")
    sides.compare(sides.sees(task, model, rule.image()), reference := sides.reference_of(name))
    wrong(monkeypatch, model, results)
    with pytest.raises(AssertionError):
        sides.compare(sides.sees(task, model, rule.image()), reference)


def test_every_tensor_has_one_variable_and_every_variable_one_tensor(mask_rcnn):
    _, model, state = mask_rcnn
    values = torchvision.arrays(model, state)  # Raises if one is left over.
    assert set(values) == {variable.path for variable in model.variables}
    # The background's box (4 of 1024 numbers and a bias) and mask (256 and a bias) have no place here.
    dropped = 4 * 1025 + 257
    assert sum(v.size for v in values.values()) == sum(v.size for v in state.values()) - dropped


def test_the_names_of_old_and_of_new_files_are_read(mask_rcnn):
    _, model, old = mask_rcnn
    new = {}
    for name, value in old.items():
        name = re.sub(r"(inner_blocks|layer_blocks)\.(\d)\.", r"\1.\2.0.", name)
        name = name.replace("rpn.head.conv.", "rpn.head.conv.0.0.")
        new[re.sub(r"mask_fcn(\d)", lambda found: f"{int(found[1]) - 1}.0", name)] = value
    assert "roi_heads.mask_head.0.0.weight" in new and "roi_heads.mask_head.mask_fcn1.weight" in old
    assert "rpn.head.conv.0.0.bias" in new and "backbone.fpn.layer_blocks.3.0.bias" in new
    expected = torchvision.arrays(model, old)
    for path, value in torchvision.arrays(model, new).items():
        np.testing.assert_array_equal(value, expected[path])


def test_the_file_of_faster_rcnn_lacks_nothing_but_the_masks(mask_rcnn):
    _, model, state = mask_rcnn
    with pytest.raises(ValueError) as error:
        torchvision.arrays(model, {name: value for name, value in state.items() if "mask" not in name})
    *problems, counts = str(error.value).splitlines()[1:]
    # Four convolutions, a deconvolution and the last one, each with a bias.
    assert len(problems) == 12 and all(line.split()[:1] == ["missing"] and "mask" in line for line in problems)
    assert counts == "In all: 12 missing."


def test_what_does_not_fit_is_listed(mask_rcnn):
    _, model, state = mask_rcnn
    broken = dict(state)
    del broken["rpn.head.cls_logits.bias"]
    broken["surplus.weight"] = np.zeros([2, 3])
    broken["roi_heads.box_head.fc7.bias"] = np.zeros([7])
    broken["roi_heads.box_head.fc6.weight"] = np.zeros([1024, 100])
    with pytest.raises(ValueError) as error:
        torchvision.arrays(model, broken)
    for part in (
        "missing rpn.head.cls_logits.bias for rpn/objectness/bias (3,)",
        "left over surplus.weight (2, 3)",
        "fc7.bias (7,) gives (7,), but trunk/dense2/bias is (1024,)",
        "fc6.weight (1024, 100) gives (1024, 100), but trunk/dense1/kernel is (12544, 1024)",
    ):
        assert part in str(error.value)


def test_a_detector_that_torchvision_does_not_have_is_refused(mask_rcnn):
    *_, state = mask_rcnn
    config = DetectorConfig(backbone=BackboneConfig(name="resnet18", norm="group", width=8, frozen_stages=0))
    model = Detection(Experiment(detector=config), coco.instances(coco.PERSON)).build()
    with pytest.raises(ValueError, match=r"no counterpart of backbone/stem/norm|gives"):
        torchvision.arrays(model, state)
