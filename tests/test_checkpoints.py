"""Checkpoints: whole or absent, of this model or refused."""

import resource
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import OptimConfig
from tfrecog.runs import checkpoints
from tfrecog.tasks.detection import Detection
from tfrecog.tasks.segmentation import Segmentation
from tfrecog.training.optimizer import Optimizer


def network(classes=2, hidden=3, seed=0):
    """A model and its optimizer, with numbers in every variable."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((4,), name="x"),
        keras.layers.Dense(hidden, name="hidden"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(classes, name="class"),
    ]
    model = keras.Sequential(layers, name="net")
    optimizer = Optimizer(model.trainable_variables, OptimConfig())
    random = np.random.default_rng(seed)
    for variable in [*(v.value for v in model.variables), *(s for slot in optimizer.slots.values() for s in slot)]:
        variable.assign(random.normal(size=variable.shape))
    return model, optimizer


def numbers(model, optimizer):
    return [
        v.numpy().copy()
        for v in [*(v.value for v in model.variables), *(s for slot in optimizer.slots.values() for s in slot)]
    ]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_restore_gives_back_every_bit_and_the_step(tmp_path):
    saved = network(seed=1)
    path = checkpoints.save(tmp_path, 7, *saved, keep=1)
    other = network(seed=2)
    assert checkpoints.restore(path, *other) == 7
    assert_same(numbers(*other), numbers(*saved))


def test_replicas_read_what_one_device_wrote(tmp_path, two_replicas):
    path = checkpoints.save(tmp_path, 7, *network(seed=1), keep=1)
    with two_replicas.scope():
        mirrored = network(seed=2)
    checkpoints.restore(path, *mirrored)
    assert_same(numbers(*mirrored), numbers(*network(seed=1)))
    for variable in mirrored[0].variables:
        first, second = two_replicas.experimental_local_results(variable.value)
        np.testing.assert_array_equal(first, second)


def test_names_in_the_file_are_the_variables_paths(tmp_path):
    path = checkpoints.save(tmp_path, 7, *network(), keep=1)
    reader = tf.train.load_checkpoint(str(path / "variables"))
    assert reader.has_tensor("model/net.Shidden.Skernel/.ATTRIBUTES/VARIABLE_VALUE")


def test_the_latest_and_the_best_are_kept(tmp_path):
    parts = network()
    for step, ap in [(1, 0.1), (2, 0.3), (3, 0.2), (4, 0.25), (5, 0.29)]:
        checkpoints.save(tmp_path, step, *parts, keep=2)
        assert checkpoints.mark_if_best(tmp_path, step, {"box_AP": ap}, Detection.best_by) == (ap in (0.1, 0.3))
    assert checkpoints.steps(tmp_path) == [2, 4, 5]
    assert checkpoints.latest(tmp_path).name == "step-00000005"
    assert checkpoints.best(tmp_path).name == "step-00000002"
    assert checkpoints.find(tmp_path) == checkpoints.best(tmp_path)


@pytest.mark.parametrize(
    "task, measured",
    [
        (Detection, [({"box_AP": 0.5, "mask_AP": 0.1}, True), ({"box_AP": 0.4, "mask_AP": 0.2}, True)]),
        (Detection, [({"box_AP": 0.5, "keypoint_AP": 0.1}, True), ({"box_AP": 0.4, "keypoint_AP": 0.2}, True)]),
        (Detection, [({"voc_mAP": 0.5}, True), ({"voc_mAP": 0.4, "voc_mAP_11": 0.9}, False)]),
        (Detection, [({"voc_mAP": 0.5}, True), ({"box_AP": 0.3, "voc_mAP": 0.4}, True)]),
        (Detection, [({"box_AP": 0.3, "voc_mAP": 0.4}, True), ({"box_AP": 0.2, "voc_mAP": 0.9}, False)]),
        (Segmentation, [({"mean_iou": 0.2, "pixel_accuracy": 0.8}, True), ({"mean_iou": 0.5}, True)]),
        (Segmentation, [({"mean_iou": 0.5, "pixel_accuracy": 0.5}, True), ({"mean_iou": 0.4}, False)]),
        # Without objects AP is undefined: NaN, or as COCO has it.
        (Detection, [({"box_AP": float("nan")}, False), ({"box_AP": -1.0, "mask_AP": -1.0}, False)]),
    ],
)
def test_the_best_is_chosen_by_the_first_metric_of_its_task_that_was_measured(tmp_path, task, measured):
    for step, (metrics, better) in enumerate(measured, 1):
        assert checkpoints.mark_if_best(tmp_path, step, metrics, task.best_by) == better


def test_a_checkpoint_of_another_model_is_refused_with_a_list_and_changes_nothing(tmp_path):
    path = checkpoints.save(tmp_path, 7, *network(classes=2), keep=1)
    other = network(classes=5, seed=2)
    before = numbers(*other)
    with pytest.raises(checkpoints.CheckpointError) as error:
        checkpoints.restore(path, *other)
    assert "net/class/kernel: [3, 2] there, [3, 5] in this model" in str(error.value)
    assert "skip_mismatched" in str(error.value)
    assert_same(numbers(*other), before)


def test_missing_and_surplus_variables_are_named(tmp_path):
    path = checkpoints.save(tmp_path, 7, *network(), keep=1)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, name="dense")], name="net")
    with pytest.raises(
        checkpoints.CheckpointError, match=r"(?s)Missing there.*net/dense/kernel.*Only there.*norm/gamma"
    ):
        checkpoints.restore(path, model)


def test_a_folder_without_a_checkpoint_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match="no checkpoint at"):
        checkpoints.find(tmp_path)
    command = "--model=resnet50 --out=weights/resnet50"
    with pytest.raises(checkpoints.CheckpointError, match=command):
        checkpoints.find("weights/resnet50")


def test_a_full_disk_leaves_the_older_checkpoint_and_no_half_one(tmp_path):
    parts = network(hidden=100_000)
    old = checkpoints.save(tmp_path, 1, *parts, keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))  # A write past this fails, as on a full disk.
    try:
        with pytest.raises(checkpoints.CheckpointError, match=r"(?s)could not write.*step-00000001 is whole and stays"):
            checkpoints.save(tmp_path, 2, *parts, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.steps(tmp_path) == [1]
    assert sorted(part.name for part in old.parent.iterdir()) == ["step-00000001"]
    assert checkpoints.restore(old, *parts) == 1


def test_a_disk_without_room_for_all_checkpoints_is_an_error_before_the_first_step(tmp_path, monkeypatch):
    parts = network(hidden=100)
    # 4 x 100 + 100 (hidden), 4 x 100 (norm), 100 x 2 + 2 (class); momenta without the two moving statistics; float32.
    size = 4 * (1102 + 902)
    room = shutil.disk_usage(tmp_path)._replace(free=4 * size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    checkpoints.check_room(tmp_path, *parts, keep=1)
    with pytest.raises(checkpoints.CheckpointError, match=r"MB free.*--train\.keep_checkpoints"):
        checkpoints.check_room(tmp_path, *parts, keep=2)
    checkpoints.save(tmp_path, 1, *parts, keep=2)
    checkpoints.check_room(tmp_path, *parts, keep=2)


def test_a_write_cut_short_is_not_read(tmp_path):
    # What a kill leaves behind: files of a checkpoint under the name of a draft.
    path = checkpoints.save(tmp_path, 1, *network(), keep=1)
    shutil.copytree(path, path.with_name(".draft-00000002"))
    assert checkpoints.latest(tmp_path) == path


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("*.data-*", lambda content: bytes([content[0] ^ 1]) + content[1:]),  # in the first variable
        ("*.data-*", lambda content: content[:9]),
        ("*.data-*", lambda content: b""),
        ("*.index", lambda content: content[60:]),
        ("*.index", lambda content: content[:60]),
        ("*.index", lambda content: b""),
    ],
)
def test_a_damaged_file_is_an_error_that_names_the_checkpoint(tmp_path, name, change):
    path = checkpoints.save(tmp_path, 1, *network(), keep=1)
    (file,) = path.glob(name)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(checkpoints.CheckpointError, match=r"(?s)step-00000001 cannot be read.*delete its folder"):
        checkpoints.restore(path, *network())


def test_a_workdir_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(checkpoints.CheckpointError, match="could not write"):
        checkpoints.save(tmp_path / "file", 1, *network(), keep=1)


def test_layers_of_one_name_are_refused(tmp_path):
    class Twins(keras.Model):
        def __init__(self):
            super().__init__(name="twins")
            self.one, self.two = (keras.layers.Dense(2, name="same") for _ in range(2))
            self.one.build((None, 2))
            self.two.build((None, 2))

    model = Twins()
    with pytest.raises(checkpoints.CheckpointError, match="different names"):
        checkpoints.save(tmp_path, 1, model, Optimizer([], OptimConfig()), keep=1)
