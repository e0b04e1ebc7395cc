"""The keypoints of the detection task; its boxes and masks are tested in tests/models/test_rcnn.py."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import (
    BackboneConfig,
    BoxConfig,
    DetectorConfig,
    Experiment,
    FpnConfig,
    KeypointConfig,
    OutputConfig,
    ProposalConfig,
    RpnConfig,
)
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.tasks.detection import Detection

JOINTS = ("nose", "left", "right")
SMALL = DetectorConfig(
    keypoints=True,
    backbone=BackboneConfig(name="resnet18", norm="group", width=8, frozen_stages=0),
    fpn=FpnConfig(channels=16),
    rpn=RpnConfig(anchor_sizes=(16, 32, 64), samples=32, infer=ProposalConfig(20, 12)),
    box=BoxConfig(hidden_units=16, samples=16),
    keypoint=KeypointConfig(channels=8, convs=1),
    output=OutputConfig(min_score=0.1),
)
BOXES = np.float32([[8, 10, 40, 50], [20, 60, 60, 90]])
# Centres of the cells (3, 5), (20, 40), (55, 0) of each box's 56 x 56 map.
CELLS = np.array([[3, 5], [20, 40], [55, 0]])
POINTS = BOXES[:, None, :2] + (CELLS + 0.5) / 56 * (BOXES[:, 2:] - BOXES[:, :2])[:, None]


def task_of(detector, classes=2, joints=JOINTS):
    categories = tuple(Category(str(i), i) for i in range(1, classes + 1))
    return Detection(Experiment(detector=detector), DatasetInfo(categories, splits={}, keypoints=joints, masks=True))


def with_keypoint(**options):
    """The task of another KeypointConfig; the models of all have the same weights."""
    return task_of(dataclasses.replace(SMALL, keypoint=dataclasses.replace(SMALL.keypoint, **options)))


def batch_of(images=2, scale=1.0, shift=0.0, labelled=((2, 1, 2), (2, 0, 0))):
    visibility = np.array(labelled)[..., None]
    points = np.where(visibility > 0, np.concatenate([POINTS + shift, visibility], axis=-1), 0)
    slots = {"boxes": BOXES, "labels": np.int32([1, 2]), "keypoints": points.astype(np.float32)}
    return {
        "image": tf.random.stateless_uniform([images, 64, 96, 3], (1, 2), 0, 255),
        "size": tf.constant([[64, 96]] * images),
        "scale": tf.constant([[scale, 2 * scale]] * images),
        "seed": tf.constant([[7, i] for i in range(images)]),
        **{name: tf.constant(np.stack([np.pad(x, [(0, 2)] + [(0, 0)] * (x.ndim - 1))] * images))
           for name, x in slots.items()},
    }  # fmt: skip


def test_keypoint_rcnn_has_as_many_parameters_as_torchvisions():
    # keypointrcnn_resnet50_fpn has 59,137,258, batch norm not counted; ours have no box for the background.
    built = task_of(DetectorConfig(keypoints=True), classes=1, joints=tuple(map(str, range(17)))).build()
    ours = sum(int(np.prod(w.shape)) for w in built.variables if w.name in ("kernel", "bias"))
    assert ours == 59_137_258 - 4 * 1025
    assert {w.path for w in built.variables if w.path.startswith("keypoint/")} == {
        f"keypoint/{layer}/{leaf}"
        for layer in (*(f"conv{i}" for i in range(1, 9)), "deconv")
        for leaf in ("kernel", "bias")
    }


@pytest.mark.parametrize("neck", ["fpn", "c4"])
def test_the_keypoint_loss_teaches_the_branch_and_the_backbone(neck):
    task = task_of(dataclasses.replace(SMALL, neck=neck))
    model = task.build()
    with tf.GradientTape() as tape:
        terms = task.losses(model, batch_of())
        total, count = terms["keypoint_loss"]
    assert set(terms) == {"objectness_loss", "rpn_box_loss", "class_loss", "box_loss", "keypoint_loss"}
    weights = [w for w in model.trainable_variables if w.path.startswith(("keypoint/", "backbone/res2"))]
    gradients = tape.gradient(total, [w.value for w in weights])
    assert float(count) >= 8  # Four labelled keypoints in an image, and the ground truth among the rois.
    assert not [w.path for w, g in zip(weights, gradients, strict=True) if g is None or not np.any(g)]


def assigned(task, batch, logits_shift=0):
    """The loss where the maps have all their weight on the cells; rois 0 and 2 stand for instance 1, roi 1 for 0."""
    rows, columns = (CELLS + logits_shift).T
    logits = np.zeros([2, 3, 56, 56, 3], np.float32)
    logits[:, :, rows, columns, range(3)] = 50
    gt = [1, 0, 1]
    arguments = tf.constant(BOXES[gt]), tf.constant([2, 1, 0]), tf.constant(gt)  # The third is an empty slot.
    total, count = task.keypoint_loss(tf.constant(logits), batch, *(tf.stack([x, x]) for x in arguments))
    return float(total), float(count)


def test_each_roi_learns_the_labelled_keypoints_of_its_own_instance():
    total, count = assigned(task_of(SMALL), batch_of())
    assert count == 2 * (3 + 1) and total < 1e-3
    total, _ = assigned(task_of(SMALL), batch_of(), logits_shift=[[0, 1], [0, 1], [0, 1]])  # one cell to the right
    np.testing.assert_allclose(total, 2 * (3 + 1) * 50, rtol=1e-3)


def test_pixel_indices_are_half_an_original_pixel_less():
    # Resized by 2 and by 4: an index is 1 and 2 pixels less than the pixel's centre.
    total, count = assigned(with_keypoint(pixel_index=True), batch_of(scale=2.0, shift=[1, 2]))
    assert count == 8 and total < 1e-3


def test_predicted_keypoints_lie_in_their_boxes_and_pixel_indices_become_centres():
    few_layers = dataclasses.replace(SMALL, neck="single", backbone=BackboneConfig(name="zf", frozen_stages=0))
    model, batch = task_of(few_layers).build(), batch_of(scale=2.0)
    centre, index = (
        {name: value.numpy() for name, value in with_keypoint(pixel_index=rule).predict(model, batch).items()}
        for rule in (False, True)
    )
    filled = centre["labels"] > 0
    assert filled.any() and not filled.all() and filled.shape == (2, SMALL.output.max_detections)
    boxes, points = centre["boxes"][filled], centre["keypoints"][filled][..., :2]
    ends = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)  # A box is taken to be a pixel long at least.
    assert np.all((points >= boxes[:, None, :2]) & (points <= ends[:, None]))
    assert np.abs(points - points.mean(axis=1, keepdims=True)).max() > 1  # not all the same
    moved = index["keypoints"] - centre["keypoints"]
    np.testing.assert_allclose(moved[filled], np.broadcast_to([1, 2, 0], moved[filled].shape), atol=1e-4)
    assert not index["keypoints"][~filled].any(), "empty slots stay zero"


@pytest.mark.parametrize(("margin", "seen"), [(0.0, 2), (0.25, 3)])
def test_a_margin_shows_the_branch_what_a_roi_cuts_off(margin, seen):
    keypoint = dataclasses.replace(SMALL.keypoint, margin=margin)
    task = task_of(dataclasses.replace(SMALL, proposals="record", keypoint=keypoint))
    batch = batch_of(images=1, labelled=((2, 2, 2), (0, 0, 0)))
    roi = BOXES[:1].copy()
    roi[0, 2] = POINTS[0, :, 0].max() - 0.5  # Half a pixel too short for the lowest keypoint.
    _, count = task.losses(task.build(), batch | {"proposals": tf.constant(roi[None])})["keypoint_loss"]
    assert float(count) == seen + 3  # The instance's own box is a roi too, and has all three in it.


def test_instances_with_too_few_labelled_keypoints_do_not_train_the_branch():
    assert [assigned(with_keypoint(min_visible=least), batch_of())[1] for least in (0, 1, 2, 3, 4)] == [8, 8, 6, 6, 0]


def test_the_loss_is_divided_by_the_visible_keypoints_or_by_the_room_for_them():
    wrong = {"batch": batch_of(), "logits_shift": -1}  # Negative: the last row or column, which is as wrong.
    visible, count = assigned(with_keypoint(), **wrong)
    slots, room = assigned(with_keypoint(normalize="slots", loss_weight=4.0), **wrong)
    assert count == 8 and room == 2 * (16 * 0.25) * 3  # images x positives x joints
    np.testing.assert_allclose(slots, 4 * visible, rtol=1e-6)
    _, room = assigned(with_keypoint(normalize="slots", samples=3), **wrong)
    assert room == 2 * 3 * 3, "the branch sees three rois of an image at most"


def test_the_branch_learns_from_as_many_positives_as_it_is_given():
    model, batch = task_of(SMALL).build(), batch_of(images=4, labelled=((2, 2, 2), (2, 2, 2)))
    counts = [float(with_keypoint(samples=n).losses(model, batch)["keypoint_loss"][1]) for n in (0, 1)]
    assert 0 < counts[1] <= 4 * 3 < counts[0]  # images x joints; a roi may cut some off


def test_records_without_keypoints_are_refused_with_the_flag():
    with pytest.raises(ValueError, match=r"holds no keypoints, which --detector\.keypoints needs"):
        task_of(SMALL, joints=())


def test_the_name_is_the_papers():
    assert task_of(SMALL).name == "Keypoint R-CNN, ResNet-18-FPN"
    assert task_of(dataclasses.replace(SMALL, masks=True)).name == "Mask and Keypoint R-CNN, ResNet-18-FPN"
