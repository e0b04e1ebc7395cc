"""R-CNN, SPP-net and Fast R-CNN: the detector without an RPN, on one map or on the image itself."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests.matrices import representatives
from tests.models.test_rcnn import batch_of, task_of
from tfrecog.cli import flags
from tfrecog.config import BackboneConfig, BoxConfig, DataConfig, DetectorConfig
from tfrecog.models.backbones import build
from tfrecog.models.backbones.alexnet import AlexNet
from tfrecog.models.backbones.zf import Zf
from tfrecog.models.detector import heads, postprocess
from tfrecog.runs import derived, folder, trained
from tfrecog.runs.compressed import compress, truncated
from tfrecog.runs.flags import RunFlags
from tfrecog.tasks.detection import Truth
from tfrecog.training import hard_negative_svm

FAST = DetectorConfig(
    proposals="record",
    neck="single",
    pool="roi_pool",
    backbone=BackboneConfig(name="resnet18", norm="group", width=8, frozen_stages=0),
    box=BoxConfig(size=3, hidden_units=16, samples=16, positive_fraction=0.5),
)
SPP = replace(FAST, pool="pyramid", box=replace(FAST.box, size=7))
RCNN = replace(FAST, pool="warp", neck="fpn", box=replace(FAST.box, size=32))
SYSTEMS = {"R-CNN": RCNN, "SPP-net": SPP, "Fast R-CNN": FAST}


def proposals_of(images=2, slots=12, filled=9):
    """Proposals of images of 64 x 96 pixels; the last slots are empty."""
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 30, (images, filled, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 30, (images, filled, 2))], axis=-1)
    return tf.constant(np.pad(boxes, [[0, 0], [0, slots - filled], [0, 0]]), tf.float32)


# Fast R-CNN differs from SPP-net in its pooling alone, and tests/test_train_family.py trains it.
@pytest.fixture(scope="module", params=representatives(SYSTEMS, "R-CNN", "SPP-net"))
def system(request):
    """Name, task and model of each of the three."""
    task = task_of(replace(SYSTEMS[request.param], output=replace(FAST.output, min_score=0.1)))
    return request.param, task, task.build()


def test_a_detector_on_given_proposals_has_no_rpn_and_learns_all_of_itself(system):
    name, task, model = system
    assert task.name == f"{name}, ResNet-18"
    assert {w.path.split("/")[0] for w in model.variables} == {"backbone", "trunk", "box"}
    with tf.GradientTape() as tape:
        terms = task.losses(model, batch_of() | {"proposals": proposals_of()})
        loss = tf.add_n([total / tf.maximum(count, 1) for total, count in terms.values()])
    assert set(terms) == {"class_loss", "box_loss"}
    gradients = tape.gradient(loss, [w.value for w in model.trainable_variables])
    assert not [w.path for w, g in zip(model.trainable_variables, gradients, strict=True) if g is None or not np.any(g)]


def test_empty_slots_and_other_images_change_no_detection(system):
    _, task, model = system
    batch, proposals = batch_of(), proposals_of()
    predict = tf.function(lambda batch: task.predict(model, batch), reduce_retracing=True)
    both = predict(batch | {"proposals": proposals})
    assert (both["labels"].numpy() > 0).any()
    full = {name: value[1:] for name, value in batch.items()} | {"proposals": proposals[1:, :9]}
    alone = task.predict(model, full)  # Eagerly, and alone, and without empty slots.
    for name in both:
        np.testing.assert_allclose(both[name][1], alone[name][0], atol=1e-4)
    nothing = task.predict(model, full | {"proposals": tf.zeros([1, 3, 4])})
    assert not nothing["labels"].numpy().any()


def test_without_proposals_a_detector_says_what_it_needs(system):
    _, _, model = system
    with pytest.raises(ValueError, match=r"proposals=record.*needs proposals"):
        model(tf.zeros([1, 64, 64, 3]), tf.constant([[64, 64]]))


def test_r_cnn_sees_of_a_roi_what_its_network_sees_of_the_cut_out_image():
    task = task_of(RCNN)
    model, batch = task.build(), batch_of(images=1)
    roi, side = [10, 20, 42, 52], RCNN.box.size  # As large as the warped region: no pixel is changed.
    features = model.extract(batch["image"], batch["size"])
    got = model.trunk_outputs(features, tf.constant([[roi]], tf.float32))
    cut = model.backbone.normalize(batch["image"])[:, 10 : 10 + side, 20 : 20 + side]
    expected = model.trunk(build.summary(RCNN.backbone, model.backbone(cut))[None])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    trained = model.trunk_outputs(features, tf.constant([[roi]], tf.float32), training=True)
    np.testing.assert_allclose(trained, expected, atol=1e-5)  # Group norm is the same in training.


@pytest.mark.parametrize("network", [Zf(), AlexNet(centred=True)], ids=["zf", "alexnet"])
def test_cells_of_a_single_map_are_centred_at_multiples_of_16(network):
    # Then an image of 3 * 16 + 1 pixels has a cell on its first and on its last, and with symmetric kernels a mirror
    # image has the mirrored map.
    image = tf.random.stateless_normal([1, 49, 49, 3], (1, 2))
    network(image)
    for kernel in [w for w in network.variables if w.name == "kernel"]:
        kernel.assign((kernel + tf.reverse(tf.convert_to_tensor(kernel), [1])) / 2)
    straight, mirrored = (network(x)[4].numpy() for x in (image, tf.reverse(image, [2])))
    assert straight.shape == (1, 4, 4, 256) and straight.any()
    np.testing.assert_allclose(mirrored, straight[:, :, ::-1], atol=1e-4 * np.abs(straight).max())


def test_dropout_is_of_the_image_and_not_of_its_place_in_a_batch():
    trunk = heads.DenseTrunk(BoxConfig(hidden_layers=1, hidden_units=64, dropout=0.5))
    pooled, seeds = tf.random.stateless_normal([3, 5, 2, 2, 4], (1, 2)), tf.constant([[7, 1], [7, 2], [7, 3]])
    both = trunk(pooled, training=True, seed=seeds).numpy()
    np.testing.assert_allclose(trunk(pooled[1:], training=True, seed=seeds[1:]), both[1:], atol=1e-5)
    same = trunk(tf.repeat(pooled[:1], 3, axis=0), training=True, seed=seeds).numpy()
    assert ((same[0] == 0) != (same[1] == 0)).any()  # Of equal rois; other numbers may be of another rounding.
    calm = trunk(pooled).numpy()
    rests = both == 0
    # Half of those that are not 0 by the ReLU, about 480; the share has a deviation of 0.02. The others make up for it.
    assert 0.4 < np.mean(rests[calm > 0]) < 0.6
    np.testing.assert_allclose(both[~rests], 2 * calm[~rests], rtol=1e-5)
    with pytest.raises(ValueError, match="seed"):
        trunk(pooled, training=True)


def test_rois_that_are_far_from_every_object_do_not_learn():
    task = task_of(replace(FAST, box=replace(FAST.box, negative_iou=0.1)))
    truth = Truth({"boxes": tf.constant([[[0.0, 0, 10, 10]]]), "labels": tf.constant([[2]])})
    # IoU 1, 0.6, 0.3, 0.05 and 0.
    rois = tf.constant([[[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 3], [0, 0, 10, 0.5], [50, 50, 60, 60]]])
    seed = tf.constant([[1, 2]])
    got, labels, _ = task.sample_rois(rois, tf.ones([1, 5], tf.bool), truth, seed)
    learned = {tuple(box): label for box, label in zip(got[0].numpy(), labels[0].numpy(), strict=True) if label >= 0}
    assert learned == {(0, 0, 10, 10): 2, (0, 0, 10, 6): 2, (0, 0, 10, 3): 0}


def test_scores_of_svms_are_sigmoids_of_their_margins_and_have_no_background():
    config = replace(FAST, box=replace(FAST.box, scores="svm"))
    logits = tf.constant([[100.0, 2.0, -100.0]])  # The first column is read by nobody.
    rois, valid, size = tf.constant([[0.0, 0, 10, 10]]), tf.constant([True]), tf.constant([20, 20])
    _, labels, scores = postprocess.detect(logits, tf.zeros([1, 2, 4]), rois, valid, size, config)
    assert labels.numpy()[:2].tolist() == [1, 0]
    np.testing.assert_allclose(scores[0], 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_svms_are_not_trained_by_gradients():
    with pytest.raises(ValueError, match=r"python -m tfrecog\.svm"):
        task_of(replace(FAST, box=replace(FAST.box, scores="svm"))).data()


def test_the_truncated_svd_is_the_nearest_matrix_of_its_rank():
    kernel = np.random.default_rng(1).normal(size=(12, 7)).astype(np.float32)
    values = np.linalg.svd(kernel, compute_uv=False)
    for rank in (1, 3, 7):
        left, right, error = truncated(kernel, rank)
        assert left.shape == (12, rank) and right.shape == (rank, 7)
        distance = np.linalg.norm(left @ right - kernel)
        # Eckart and Young: what is lost are the smaller singular values.
        np.testing.assert_allclose(distance, np.sqrt(np.sum(values[rank:] ** 2)), atol=1e-4)
        np.testing.assert_allclose(error, distance / np.linalg.norm(kernel), atol=1e-5)


def test_a_run_compressed_at_full_rank_computes_the_same(tmp_path):
    task = task_of(FAST)
    model, run = task.build(), tmp_path / "run"
    experiment = replace(task.experiment, workdir=str(run), data=DataConfig(max_proposals=20))
    derived.write(run, experiment, task.info, model, 5, "a test")
    fields = {name: getattr(experiment, name) for name in experiment.__dataclass_fields__}
    report = compress(RunFlags(**fields), (16, 16), str(tmp_path / "small"))
    assert "trunk/dense1/kernel: 4,608 weights, now 4,864 of rank 16" in report  # 3 * 3 * 32 inputs, 16 units
    smaller = flags.load(type(experiment)(), tmp_path / "small" / folder.FLAGFILE)
    assert smaller.detector.box.svd == (16, 16)
    _, other, _, _, step = trained.restore(smaller, "latest")
    assert step == 5
    batch, rois = batch_of(), proposals_of()
    outputs = [m.box_outputs(m.extract(batch["image"], batch["size"]), rois) for m in (model, other)]
    for before, after in zip(*outputs, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-4)
    with pytest.raises(ValueError, match="compressed already"):
        compress(RunFlags(**fields | {"detector": smaller.detector}), (2, 2), str(tmp_path / "other"))
    with pytest.raises(ValueError, match="16 singular values"):
        compress(RunFlags(**fields), (17, 2), str(tmp_path / "other"))


def test_a_machine_tells_classes_apart_and_keeps_hard_negatives_alone():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(2)
    positives = rng.normal(size=(40, 3)) + np.array([8, 0, 0])
    machine = hard_negative_svm.LinearSvm(positives, c=1.0, most=1000, refit=60)
    for _ in range(8):  # Half of the negatives are near the border, half are far away.
        near, far = rng.normal(size=(15, 3)), rng.normal(size=(15, 3)) - np.array([40, 0, 0])
        machine.add(np.concatenate([near, far]))
    machine.finish()
    assert (machine.margins(positives) > 0).mean() > 0.95 and machine.seen == 240
    assert machine.margins(np.array([[0.0, 0, 0]]))[0] < 0
    assert len(machine.negatives) < 130 and machine.negatives[:, 0].min() > -20, "the far ones are dropped"


def test_hard_negatives_that_come_later_count_and_those_before_are_not_forgotten():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(4)
    cloud = {name: rng.normal(size=(60, 3)) + np.array(at) for name, at in
             {"objects": (8, 0, 0), "far": (-40, 0, 0), "near": (0, 0, 0), "aside": (8, -12, 0)}.items()}  # fmt: skip
    machine = hard_negative_svm.LinearSvm(cloud["objects"], c=1.0, most=1000, refit=60)
    machine.add(cloud["far"])
    assert machine.fits == 1 and (machine.margins(cloud["near"]) > hard_negative_svm.HARD).all()
    machine.add(cloud["far"] - 1)  # Easy now: none of them is taken.
    assert not sum(map(len, machine.waiting))
    machine.add(cloud["near"])
    assert machine.fits == 2 and (machine.margins(cloud["near"]) < 0).mean() > 0.95
    # Told from these alone, an object has a higher second number, and the near ones would have one too.
    machine.add(cloud["aside"])
    machine.finish()
    for name in ("near", "aside", "far"):
        assert (machine.margins(cloud[name]) < 0).mean() > 0.95
    assert (machine.margins(cloud["objects"]) > 0).mean() > 0.95


def test_no_more_negatives_are_held_than_there_is_room_for():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(5)
    machine = hard_negative_svm.LinearSvm(rng.normal(size=(60, 3)), c=1.0, most=10, refit=60)
    machine.add(rng.normal(size=(60, 3)))  # Of one cloud with the objects: all are hard.
    hardest = np.sort(machine.margins(machine.negatives))
    assert len(hardest) == 10 and machine.seen == 60
