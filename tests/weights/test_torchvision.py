import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import DetectorConfig, Experiment, OutputConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.tasks.detection import Detection
from tfrecog.weights import torchvision

REFERENCE = Path(__file__).resolve().parent.parent / "reference"


@pytest.fixture(scope="module")
def reference():
    """What torchvision's Mask R-CNN sees; see reference/make_torchvision_detector.py."""
    return dict(np.load(REFERENCE / "torchvision_detector.npz"))


@pytest.fixture(scope="module")
def rule():
    spec = importlib.util.spec_from_file_location("seeded_weights", REFERENCE / "seeded_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def state(reference, rule):
    return rule.state(json.loads(str(reference["shapes"])))


@pytest.fixture(scope="module")
def task():
    info = DatasetInfo(tuple(Category(str(i), i) for i in range(1, 91)), splits={}, masks=True)
    return Detection(Experiment(detector=DetectorConfig(masks=True, output=OutputConfig(min_score=0.12))), info)


@pytest.fixture(scope="module")
def model(task):
    return task.build()


def test_every_tensor_has_one_variable_and_every_variable_one_tensor(model, state):
    values = torchvision.arrays(model, state)  # Raises if one is left over.
    assert set(values) == {variable.path for variable in model.variables}
    # The background's box (4 of 1024 numbers and a bias) and mask (256 and a bias) have no place here.
    dropped = 4 * 1025 + 257
    assert sum(v.size for v in values.values()) == sum(v.size for v in state.values()) - dropped


def test_with_torchvisions_weights_the_detector_sees_what_torchvision_sees(task, model, state, reference, rule):
    torchvision.load(model, state)
    found = task.predict(model, {"image": tf.constant(rule.image())[None], "size": tf.constant([[128, 160]])})
    boxes, labels, scores, masks = (found[name][0].numpy() for name in ("boxes", "labels", "scores", "masks"))
    count = len(reference["scores"])
    assert 50 < count == (labels > 0).sum()
    boxes, labels, scores, masks = boxes[:count], labels[:count], scores[:count], masks[:count]
    # Rounding of 1e-7 grows through fifty random layers; a wrong rule anywhere changes far more than this.
    np.testing.assert_allclose(scores, reference["scores"], rtol=1e-3)
    # Where scores are equal to rounding, neighbours may change places: compare each with the nearest of its label.
    order = _pairs(boxes, labels, reference["boxes"], reference["labels"])
    np.testing.assert_array_equal(labels[order], reference["labels"])
    np.testing.assert_allclose(boxes[order], reference["boxes"], atol=5e-2)
    np.testing.assert_allclose(masks[order][:, ::4, ::4], reference["masks"], atol=1e-2)


def test_what_does_not_fit_is_listed(model, state):
    broken = dict(state)
    del broken["rpn.head.cls_logits.bias"]
    broken["surplus.weight"] = np.zeros([2, 3])
    broken["roi_heads.box_head.fc7.bias"] = np.zeros([7])
    with pytest.raises(ValueError) as error:
        torchvision.arrays(model, broken)
    for part in ("missing rpn.head.cls_logits.bias", "left over surplus.weight (2, 3)", "fc7.bias (7,) gives (7,)"):
        assert part in str(error.value)


def test_a_detector_that_torchvision_does_not_have_is_refused(state):
    info = DatasetInfo((Category("a", 1),), splits={}, masks=True)
    group = dataclasses.replace(DetectorConfig().backbone, name="resnet18", norm="group", width=8, frozen_stages=0)
    model = Detection(Experiment(detector=dataclasses.replace(DetectorConfig(), backbone=group)), info).build()
    with pytest.raises(ValueError, match="gives"):
        torchvision.arrays(model, state)


def _pairs(boxes, labels, other_boxes, other_labels):
    """For each of the others the position of the nearest box of its label."""
    distance = np.abs(boxes[None] - other_boxes[:, None]).max(axis=-1)
    return np.argmin(np.where(labels[None] == other_labels[:, None], distance, np.inf), axis=1)
