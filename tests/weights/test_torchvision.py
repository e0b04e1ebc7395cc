"""torchvision's detectors, given the same weights, see here what they see there."""

import functools
import json
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests import sides
from tfrecog.config import BackboneConfig, DetectorConfig, Experiment
from tfrecog.data.classes import coco
from tfrecog.tasks.detection import Detection
from tfrecog.weights import torchvision
from tfrecog.weights.torchvision_detectors import EXPERIMENTS

PUBLISHED = [name for name in EXPERIMENTS if not name.endswith("legacy")]
STORED = [name for name in PUBLISHED if (sides.REFERENCE / f"torchvision_{name}.npz").exists()]
MASK_RCNN = "maskrcnn_resnet50_fpn"
LARGE = "fasterrcnn_mobilenet_v3_large_fpn"


@pytest.fixture(scope="module")
def rule():
    return sides.seeded("seeded_weights")


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
    """{name: what such a model sees}"""
    return functools.cache(lambda name: sides.sees(*built(name)[:2], rule.image()))


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
    print(name, sides.compare(seen(name), reference))


@pytest.mark.parametrize("what", [("boxes", "labels", "scores", "masks"), ("proposals", "class_logits", "box_deltas")])
def test_another_order_is_noticed(what, seen):
    found = seen(MASK_RCNN)
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


def more_variance(state, by):
    """What another epsilon of the backbone's norms does."""
    norms = {name for name in state if name.startswith("backbone.body") and name.endswith("running_var")}
    return {name: state[name] + np.float32(by) for name in norms}


def x_for_y(state, layer):
    """Deltas in the order of torchvision's boxes."""
    deltas = {name: value for name, value in state.items() if name.startswith(layer)}
    return {n: v.reshape(-1, 4, *v.shape[1:])[:, [1, 0, 3, 2]].reshape(v.shape) for n, v in deltas.items()}


def sizes_before_shapes(state):
    """Of each of three shapes five sizes, a logit and four deltas of each."""
    each = {"rpn.head.cls_logits": 1, "rpn.head.bbox_pred": 4}
    return {
        key: np.swapaxes(state[key].reshape(3, 5, numbers, *state[key].shape[1:]), 0, 1).reshape(state[key].shape)
        for layer, numbers in each.items()
        for key in (f"{layer}.weight", f"{layer}.bias")
    }


def turned_joints(state):
    key = "roi_heads.keypoint_predictor.kps_score_lowres"
    return {f"{key}.weight": state[f"{key}.weight"][:, ::-1], f"{key}.bias": state[f"{key}.bias"][::-1]}


def half_a_pixel(detector):
    return replace(detector, keypoint=replace(detector.keypoint, pixel_index=not detector.keypoint.pixel_index))


SMALL, KEYPOINTS = "fasterrcnn_mobilenet_v3_large_320_fpn", "keypointrcnn_resnet50_fpn"
# What is wrong, and with which model: its weights, its settings, or the picture.
WRONG = {
    "blue for red": (MASK_RCNN, "picture", lambda picture: picture[..., ::-1]),
    "x for y of boxes": (MASK_RCNN, "weights", lambda state: x_for_y(state, "roi_heads.box_predictor.bbox_pred")),
    "x for y of anchors": (MASK_RCNN, "weights", lambda state: x_for_y(state, "rpn.head.bbox_pred")),
    "aligned regions": (MASK_RCNN, "settings", lambda config: replace(config, aligned=True)),
    "unrounded anchors": (
        MASK_RCNN, "settings", lambda config: replace(config, rpn=replace(config.rpn, anchor_rule="detectron2"))
    ),
    "an epsilon": (MASK_RCNN, "weights", lambda state: more_variance(state, 1e-5)),
    "sizes before shapes": (SMALL, "weights", sizes_before_shapes),
    "Keras's epsilon": (
        SMALL, "weights",
        lambda state: more_variance(state, 1e-3 - EXPERIMENTS[SMALL].detector.backbone.norm_epsilon),
    ),
    "the order of the joints": (KEYPOINTS, "weights", turned_joints),
    "half a pixel": (KEYPOINTS, "settings", half_a_pixel),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_rule_is_noticed(wrong, built, rule):
    name, what, change = WRONG[wrong]
    task, model, state = built(name)
    config, picture = model.config, rule.image()
    if what == "picture":
        picture = change(picture)
    elif what == "settings":
        model.config = change(config)
        task = Detection(replace(task.experiment, detector=change(task.experiment.detector)), task.info)
    else:
        torchvision.load(model, state | change(state))
    try:
        found = sides.sees(task, model, picture)
    finally:
        model.config = config
        torchvision.load(model, state)
    with pytest.raises(AssertionError, match="keypoint" if name == KEYPOINTS else None):
        sides.compare(found, sides.reference_of(name))


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


def test_a_detector_that_torchvision_does_not_have_is_refused(mask_rcnn):
    *_, state = mask_rcnn
    config = DetectorConfig(backbone=BackboneConfig(name="resnet18", norm="group", width=8, frozen_stages=0))
    model = Detection(Experiment(detector=config), coco.instances(coco.PERSON)).build()
    with pytest.raises(ValueError, match=r"no counterpart of backbone/stem/norm|gives"):
        torchvision.arrays(model, state)
