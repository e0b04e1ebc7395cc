"""detectron2's weights see here what they see by detectron2's rules.

Compared: from a `.pkl` of seeded weights in detectron2's names and layouts, and a picture, to boxes, scores, masks and
keypoints in the picture, of Mask and Keypoint R-CNN R50-FPN, with a reading of detectron2's rules in NumPy
(reference/make_detectron2.py, made from its source); of R101, the names and shapes of its tensors.

Not compared: detectron2 itself, which cannot be installed here, and the zoo's own files, which were never seen here;
their names, shapes and left-over tensors are those of detectron2's modules and checkpointer. Of the rules, the picture
does not try the pyramid's level 5 (tests/ops/test_region_features.py does, with torchvision's RoIAlign, which is
detectron2's) and more than a hundred detections.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests import sides
from tfrecog import tasks
from tfrecog.inference import detection
from tfrecog.metrics import coco_rows
from tfrecog.models.detector.rcnn import Detector
from tfrecog.ops import rle
from tfrecog.weights import detectron2, tensors
from tfrecog.weights.detectron2_models import MODELS
from tfrecog.weights.formats import read

NAMES = {"mask": "mask_rcnn_R_50_FPN_3x", "keypoint": "keypoint_rcnn_R_50_FPN_3x"}
# As in make_detectron2.py.
SHORT, LONG, SCORES, PASTED = 256, 416, {"mask": 0.5, "keypoint": 0.98}, 6


@pytest.fixture(scope="module")
def rule():
    return sides.seeded("seeded_detectron2")


@pytest.fixture(scope="module", autouse=True)
def zeros():
    with sides.zeros():
        yield


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(sides.REFERENCE / "detectron2.npz"))


def shapes_of(rule, name):
    info = MODELS[name].info
    joints = len(info.keypoints) if name.startswith("keypoint") else 0
    return rule.shapes(int(name.split("_")[3]), info.num_classes, masks=name.startswith("mask"), joints=joints)


def experiment_of(case):
    """The published experiment with the sizes and the threshold of the reference."""
    published = MODELS[NAMES[case]].experiment
    output = replace(published.detector.output, min_score=SCORES[case])
    data = replace(published.data, eval_short_side=SHORT, long_side=LONG)
    return replace(published, data=data, detector=replace(published.detector, output=output))


@pytest.fixture(scope="module")
def built(rule, tmp_path_factory):
    """Function of a case → task, its model with the weights of a file, and a batch of one picture."""

    @functools.cache
    def build(case):
        file = tmp_path_factory.mktemp(case) / "weights.pkl"
        rule.write(file, rule.state(shapes_of(rule, NAMES[case])) | rule.leftovers())
        experiment = experiment_of(case)
        task = tasks.build(experiment, MODELS[NAMES[case]].info)
        model = task.build()
        tensors.assign(model.variables, detectron2.arrays(model, read.read(file)))
        file.unlink()  # It is large.
        return task, model, detection.batch_of(rule.image(), experiment.data)

    return build


@pytest.fixture
def mask_rcnn(built):
    return built("mask")


def detections(task, model, batch):
    (found,) = detection.detections(task, model, tf.distribute.get_strategy(), [batch], model.config.output)
    return found


def assert_boxes(found, reference, case, batch):
    np.testing.assert_array_equal(batch["size"][0], reference[f"{case}_size"])
    assert 20 < len(found.labels) < 100
    np.testing.assert_array_equal(found.labels, reference[f"{case}_labels"] + 1)
    np.testing.assert_allclose(found.boxes, reference[f"{case}_boxes"][:, [1, 0, 3, 2]], rtol=0, atol=0.01)
    np.testing.assert_allclose(found.scores, reference[f"{case}_scores"], rtol=0, atol=1e-4)


def test_mask_rcnn_sees_what_detectron2s_rules_see(mask_rcnn, reference):
    task, model, batch = mask_rcnn
    found = detections(task, model, batch)
    assert_boxes(found, reference, "mask", batch)
    assert found.masks is not None
    pasted = np.stack([rle.decode(*rle.from_coco(mask)) for mask in found.masks[:PASTED]])
    expected = np.unpackbits(reference["mask_pasted"])[: pasted.size].reshape(pasted.shape).astype(bool)
    assert (pasted != expected).sum() <= 1e-3 * expected.sum()  # Pixels at one half, as random masks have them.


@pytest.mark.long  # Of detectron2's rules, the other test has those of a whole detector.
def test_keypoint_rcnn_sees_what_detectron2s_rules_see(built, reference):
    task, model, batch = built("keypoint")
    found = detections(task, model, batch)
    assert_boxes(found, reference, "keypoint", batch)
    assert found.keypoints is not None
    expected = reference["keypoint_keypoints"]
    np.testing.assert_allclose(found.keypoints[..., :2], expected[..., [1, 0]], rtol=0, atol=0.05)
    # Logits of up to 22, of which rounding is a fraction of the largest and not of each.
    atol = 5e-4 * np.abs(expected[..., 2]).max()
    np.testing.assert_allclose(found.keypoints[..., 2], expected[..., 2], rtol=0, atol=atol)
    # In a file of results a keypoint is the index of a pixel, so detectron2 takes half a pixel off there.
    row = coco_rows.results(1, task.info.categories, *found.instances)[0]
    points = np.reshape(row["keypoints"], [-1, 3])[:, :2]
    np.testing.assert_allclose(points, expected[0, :, :2] - 0.5, rtol=0, atol=0.05)


def test_every_rule_that_is_broken_is_noticed(mask_rcnn, reference, monkeypatch):
    """Those of detectron2's rules that torchvision or we have otherwise, and that a setting changes."""
    task, model, batch = mask_rcnn
    expected = reference["mask_boxes"][:, [1, 0, 3, 2]] * np.tile(batch["scale"][0], 2)
    labels = reference["mask_labels"] + 1
    features, config = model.extract(batch["image"], batch["size"]), model.config
    monkeypatch.setattr(Detector, "extract", lambda *_: features)  # It takes most of the time, and stays as it is.
    farthest = {}
    for name, change in {
        "nothing": {},
        "not aligned": {"aligned": False},
        "two samples": {"box": replace(config.box, sampling_ratio=2)},
        "rounded anchors": {"rpn": replace(config.rpn, anchor_rule="torchvision")},
    }.items():
        monkeypatch.setattr(model, "config", replace(config, **change))
        found = {key: value[0].numpy() for key, value in task.predict(model, batch).items()}
        distance = np.abs(found["boxes"] - expected[:, None]).max(axis=-1)
        distance = np.where(found["labels"] == labels[:, None], distance, np.inf).min(axis=1)
        farthest[name] = distance.max()
        if name == "nothing":
            masks = found["masks"][: len(labels)]
            np.testing.assert_allclose(masks[:, ::3, ::3], reference["mask_masks"], rtol=0, atol=1e-3)
    assert farthest.pop("nothing") < 0.01
    assert {name: value for name, value in farthest.items() if not value > 0.1} == {}


@pytest.mark.long
def test_every_tensor_of_a_deeper_network_has_one_variable_and_every_variable_one_tensor(rule):
    name = "keypoint_rcnn_R_101_FPN_3x"
    published = MODELS[name]
    state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes_of(rule, name).items()}
    model = tasks.build(published.experiment, published.info).build()
    values = detectron2.arrays(model, state | rule.leftovers())
    assert sum(value.size for value in values.values()) == sum(value.size for value in state.values())


def test_batch_norm_without_statistics_has_mean_0_and_variance_1(mask_rcnn, rule):
    _, model, _ = mask_rcnn
    state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes_of(rule, NAMES["mask"]).items()}
    state = {key: value for key, value in state.items() if ".running_" not in key}
    values = detectron2.arrays(model, state)
    assert (values["backbone/stem/norm/moving_mean"] == 0).all()
    assert (values["backbone/stem/norm/moving_variance"] == 1).all()


def test_weights_of_other_means_and_deviations_are_refused(mask_rcnn):
    _, model, _ = mask_rcnn
    deviations = {"pixel_std": np.float32([57.375, 57.12, 58.395])}  # A ResNeXt-101's.
    with pytest.raises(ValueError, match="other backbones are not supported"):
        detectron2.arrays(model, deviations)


def test_of_a_file_of_the_zoo_only_the_weights_are_read(tmp_path, rule):
    rule.write(tmp_path / "a.pkl", {"b.weight": np.float32([1, 2])})
    assert {name: value.tolist() for name, value in read.read(tmp_path / "a.pkl").items()} == {"b.weight": [1, 2]}
