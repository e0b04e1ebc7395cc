import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig, BoxConfig, DetectorConfig, Experiment, FpnConfig, MaskConfig, RpnConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.models import layers
from tfrecog.models.detector import rcnn
from tfrecog.tasks.detection import Detection, Truth

SMALL = DetectorConfig(
    masks=True,
    backbone=BackboneConfig(name="resnet18", norm="group", width=8, frozen_stages=0),
    fpn=FpnConfig(channels=16),
    rpn=RpnConfig(anchor_sizes=(16, 32, 64), samples=32),
    box=BoxConfig(hidden_units=16, samples=16),
    mask=MaskConfig(channels=8, convs=1),
)


def task_of(detector, classes=3):
    info = DatasetInfo(tuple(Category(str(i), i) for i in range(1, classes + 1)), splits={}, masks=True)
    return Detection(Experiment(detector=detector), info)


def batch_of(images=2, canvas=(64, 96), boxes=((8.0, 10, 40, 50), (20, 60, 60, 90))):
    slots = np.zeros([images, 4, 4], np.float32)
    slots[:, : len(boxes)] = np.reshape(boxes, [-1, 4])
    labels = np.zeros([images, 4], np.int32)
    labels[:, : len(boxes)] = 1 + np.arange(len(boxes))
    return {
        "image": tf.random.stateless_uniform([images, *canvas, 3], (1, 2), 0, 255),
        "size": tf.constant([canvas] * images),
        "seed": tf.constant([[7, i] for i in range(images)]),
        "boxes": tf.constant(slots),
        "labels": tf.constant(labels),
        "mask_boxes": tf.constant(slots),
        "masks": tf.ones([images, 4, 28, 28], tf.uint8),
    }


def test_mask_rcnn_has_as_many_parameters_as_torchvisions():
    # maskrcnn_resnet50_fpn has 44,401,393 with 91 outputs a class branch, batch norm not counted. Ours have none for
    # the background's box (4 of 1024 inputs and a bias) and mask (256 inputs and a bias).
    model = task_of(DetectorConfig(masks=True), classes=90).build()
    ours = sum(int(np.prod(w.shape)) for w in model.variables if w.name in ("kernel", "bias"))
    assert ours == 44_401_393 - 4 * 1025 - 257


def test_padding_is_zero_after_normalisation():
    image = tf.ones([1, 4, 6, 3]) * layers.PIXEL_MEAN + tf.constant(layers.PIXEL_STD)
    got = rcnn.zero_padding(layers.Backbone().normalize(image), tf.constant([[3, 2]]))[0].numpy()
    np.testing.assert_allclose(got[:3, :2], 1, atol=1e-5)
    assert not got[3:].any() and not got[:, 2:].any()


NORMALISED = dataclasses.replace(
    SMALL,
    backbone=BackboneConfig(name="resnet18", norm="batch", width=8, frozen_stages=0),
    fpn=FpnConfig(channels=16, norm="batch"),
    rpn=dataclasses.replace(SMALL.rpn, convs=2, channels=16),
    box=BoxConfig(hidden_units=16, samples=16, convs=2, channels=16, norm="batch", hidden_layers=1),
    mask=MaskConfig(channels=8, convs=1, norm="batch"),
)
MOBILE = dataclasses.replace(
    SMALL,
    backbone=BackboneConfig(name="mobilenet_v3_large", norm="batch", frozen_stages=0),
    rpn=dataclasses.replace(SMALL.rpn, every_size=True),
)


@pytest.mark.parametrize(
    "detector",
    [SMALL, dataclasses.replace(SMALL, neck="c4"), NORMALISED, MOBILE],
    ids=["fpn", "c4", "normalised", "mobile"],
)
def test_every_weight_of_a_detector_learns(detector):
    task = task_of(detector)
    model = task.build()
    with tf.GradientTape() as tape:
        terms = task.losses(model, batch_of())
        loss = tf.add_n([total / tf.maximum(count, 1) for total, count in terms.values()])
    gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
    still = [w.path for w, g in zip(model.trainable_variables, gradients, strict=True) if g is None or not np.any(g)]
    assert not still
    assert set(terms) == {"objectness_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss"}


@pytest.mark.parametrize("neck", ["fpn", "c4"])
def test_detections_are_padded_sorted_and_inside_the_image(neck):
    task = task_of(dataclasses.replace(SMALL, neck=neck, output=dataclasses.replace(SMALL.output, min_score=0.1)))
    model = task.build()
    found = {k: v.numpy() for k, v in task.predict(model, batch_of() | {"size": tf.constant([[50, 80]] * 2)}).items()}
    slots = SMALL.output.max_detections
    assert found["boxes"].shape == (2, slots, 4) and found["masks"].shape[:2] == (2, slots)
    assert (found["labels"] > 0).any()
    assert (np.diff(found["scores"], axis=1) <= 0).all()
    assert (found["boxes"] >= 0).all() and (found["boxes"] <= [50, 80, 50, 80]).all()
    empty = found["labels"] == 0
    for name in ("boxes", "scores", "masks"):
        assert not found[name][empty].any()


def test_an_image_without_instances_has_finite_losses_and_gradients():
    task = task_of(SMALL)
    model = task.build()
    with tf.GradientTape() as tape:
        terms = task.losses(model, batch_of(boxes=()))
        loss = tf.add_n([total / tf.maximum(count, 1) for total, count in terms.values()])
    assert float(terms["mask_loss"][1]) == 0 and float(terms["box_loss"][0]) == 0
    gradients = tape.gradient(loss, [w.value for w in model.trainable_variables], unconnected_gradients="zero")
    assert all(np.isfinite(g).all() for g in gradients)


def test_an_object_without_a_mask_trains_its_box_and_no_mask():
    task, batch = task_of(SMALL), batch_of(boxes=[(8.0, 10, 40, 50)])
    model = task.build()
    with_mask, without = task.losses(model, batch), task.losses(model, batch | {"masks": 0 * batch["masks"]})
    assert float(with_mask["mask_loss"][1]) > 0 and float(without["mask_loss"][1]) == 0
    np.testing.assert_array_equal(with_mask["box_loss"], without["box_loss"])
    # Of two objects, each sampled, the loss is that of the one that has a mask.
    batch = batch_of()
    half = batch | {"masks": tf.concat([batch["masks"][:, :1], 0 * batch["masks"][:, 1:]], 1)}
    assert 0 < float(task.losses(model, half)["mask_loss"][1]) < float(task.losses(model, batch)["mask_loss"][1])


def test_the_mask_branch_learns_from_a_random_sample_of_the_positives():
    def mask_loss(samples, batch):
        task = task_of(dataclasses.replace(SMALL, mask=dataclasses.replace(SMALL.mask, samples=samples)))
        return [float(number) for number in task.losses(model, batch)["mask_loss"]]

    model, batch = task_of(SMALL).build(), batch_of(images=4)
    whole, count = mask_loss(0, batch)
    assert mask_loss(4, batch) == [whole, count], "a bound that no image reaches changes nothing"
    total, fewer = mask_loss(1, batch)
    assert fewer == 4 and count > 2 * fewer
    np.testing.assert_allclose(total / fewer, whole / count, rtol=0.3)  # A mean over the masks, however many.

    # Only the first of two objects has a mask, so an image whose sample is the other has none.
    half = batch | {"masks": tf.concat([batch["masks"][:, :1], 0 * batch["masks"][:, 1:]], 1)}
    assert 0 < mask_loss(1, half)[1] < 4
    assert mask_loss(1, half) == mask_loss(1, half), "the sample depends on the seeds of the images alone"


def test_an_image_is_detected_alike_alone_and_in_a_batch():
    task = task_of(dataclasses.replace(SMALL, output=dataclasses.replace(SMALL.output, min_score=0.1)))
    model, batch = task.build(), batch_of()
    both = task.predict(model, batch)
    alone = task.predict(model, {name: value[1:] for name, value in batch.items()})
    for name in both:
        np.testing.assert_allclose(both[name][1], alone[name][0], atol=1e-4)


def test_a_map_per_image_gives_what_a_row_of_images_does():
    both = (tf.random.stateless_normal([3, 5], (1, 1)),)
    rows = rcnn.per_image(lambda x: (x + 1,), both, (tf.float32,))
    mapped = tf.function(lambda x: rcnn.per_image(lambda x: (x + 1,), (x,), (tf.float32,)))
    unknown = mapped.get_concrete_function(tf.TensorSpec([None, 5]))(both[0])
    np.testing.assert_array_equal(rows[0], unknown[0])


def test_every_positive_anchor_moved_by_its_target_lies_on_its_instance():
    # An oracle of the whole target assignment: predict exactly the targets, and the RPN's box loss is zero.
    from tfrecog.ops import boxes, matching

    task, batch = task_of(SMALL), batch_of()
    anchors = tf.concat(
        rcnn.rpn.level_anchors(
            {k: tf.zeros([1, 64 >> k, 96 >> k, 1]) for k in (2, 3, 4)}, (64, 96), SMALL.rpn, {2: 4, 3: 8, 4: 16}
        ),
        0,
    )
    gt, state = matching.match(
        boxes.pairwise_iou(batch["boxes"][0], anchors), batch["labels"][0], 0.7, 0.3, low_quality=True
    )
    assert set(gt.numpy()[state.numpy() == 1]) == {0, 1}
    targets = boxes.encode(tf.gather(batch["boxes"][0], gt), anchors, (1.0,) * 4)
    state = tf.constant(state)
    terms = task.rpn_losses(
        tf.where(state == 1, 50.0, -50.0)[None],
        targets[None],
        anchors,
        Truth({name: batch[name][:1] for name in ("boxes", "labels")}),
        batch["seed"][:1],
    )
    for total, count in terms.values():
        assert float(count) > 0 and abs(float(total)) < 1e-4
