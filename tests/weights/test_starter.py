"""The starter weights: a run becomes a small file, and that a run again, which others start from."""

import json
import re

import numpy as np
import pytest

import tfrecog
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info as dataset
from tfrecog.runs import checkpoints, derived, warm_start
from tfrecog.runs import folder as runs
from tfrecog.weights import starter

SMALL = flags.replace(
    Experiment(),
    {
        "data.short_side": (64,), "data.eval_short_side": 64, "data.long_side": 64, "data.aspect_ratios": (1.0,),
        "detector.masks": True, "detector.keypoints": True, "detector.backbone.name": "resnet18",
        "detector.backbone.norm": "batch", "detector.backbone.width": 8, "detector.backbone.frozen_stages": 0,
        "detector.fpn.channels": 8, "detector.fpn.norm": "batch", "detector.rpn.anchor_sizes": (16, 32, 64),
        "detector.box.hidden_units": 16, "detector.mask.channels": 8, "detector.keypoint.channels": 8,
        "detector.keypoint.convs": 1,
    },
)  # fmt: skip
MOST_BYTES = 4 * 2**20


def info_of(count):
    names = [dataset.Category(f"class_{label}", label) for label in range(1, count + 1)]
    points = {"keypoints": ("end", "joint"), "keypoint_sigmas": (0.07,) * 2}
    return dataset.DatasetInfo(tuple(names), splits={}, masks=True, **points)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run of random weights, the file that is made of it, and its model."""
    place = tmp_path_factory.mktemp("starter")
    model = tasks.build(SMALL, info_of(4)).build()
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    derived.write(place / "run", SMALL, info_of(4), model, 7, "a test")
    return place / "run", starter.pack(place / "run", place / "starter.zip"), model


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Nothing is in the cache."""
    monkeypatch.setenv("TFRECOG_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def shipped(packed, cache, monkeypatch):
    """The package has that file."""
    monkeypatch.setattr(starter, "FILE", packed[1])


def test_kernels_lose_a_sixteenth_at_most_and_all_else_nothing(packed):
    _, path, model = packed
    found, texts = starter.read(path)
    given = starter.of_one_class({variable.path: np.asarray(variable) for variable in model.variables}, 4)
    assert found.keys() == given.keys()
    for name, value in given.items():
        if value.ndim > 1:
            assert 0 < np.abs(found[name] / value - 1).max() <= 1 / 16
        else:
            np.testing.assert_array_equal(found[name], np.float32(value))
    assert json.loads(texts["made.json"]) == {"step": 7, "batch_size": 16}


def test_the_one_class_is_as_likely_as_all_of_equal_ones_together():
    """softmax([z0, z, z, z]) has 1 - p0 for three classes of one logit: so has softmax([z0, z + log 3])."""
    rng = np.random.default_rng(0)
    x, one = rng.normal(size=[5, 8]), rng.normal(size=[8, 1])
    logits = {"kernel": np.hstack([rng.normal(size=[8, 1]), np.repeat(one, 3, 1)]), "bias": np.array([0.3, 1, 1, 1.0])}
    deltas = {"kernel": rng.normal(size=[8, 12]), "bias": np.arange(12.0)}  # of a class one after another
    masks = {"kernel": rng.normal(size=[1, 1, 8, 3]), "bias": np.array([1.0, 2, 6])}
    named = {"box/logits": logits, "box/deltas": deltas, "mask/logits": masks}
    values = {f"{layer}/{part}": value for layer, parts in named.items() for part, value in parts.items()}
    found = starter.of_one_class(values, 3)
    exp = [np.exp(x @ one["box/logits/kernel"] + one["box/logits/bias"]) for one in (values, found)]
    shares = [one[:, 1:].sum(1) / one.sum(1) for one in exp]
    np.testing.assert_allclose(shares[0], shares[1])
    np.testing.assert_array_equal(found["box/deltas/bias"], [4, 5, 6, 7])
    np.testing.assert_array_equal(found["mask/logits/bias"], [3])
    assert found["box/deltas/kernel"].shape == (8, 4) and found["mask/logits/kernel"].shape == (1, 1, 8, 1)


@pytest.mark.parametrize("value, nearest", [(1.0, 1.0), (1.06, 1.0), (1.07, 1.125), (-1.96, -2.0), (0.0, 0.0)])
def test_rounding_is_to_the_nearest(value, nearest):
    assert starter.rounded(np.array([value]))[0] == nearest


def test_the_same_run_makes_the_same_bytes(packed, tmp_path):
    run, path, _ = packed
    assert starter.pack(run, tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_no_path_of_the_machine_is_in_the_file(packed):
    run, path, _ = packed
    assert str(run.parent) not in "".join(starter.read(path)[1].values())


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match=r"configs/starter"):
        starter.pack(tmp_path)


def test_load_sees_with_them_and_makes_their_run_once(shipped, packed):
    model = tfrecog.load("starter")
    values, _ = starter.read(packed[1])
    for variable in model.keras_model.variables:
        np.testing.assert_array_equal(variable, values[variable.path], variable.path)
    before = (starter.folder() / runs.FLAGFILE).stat()
    assert tfrecog.load("starter").predict(np.zeros([64, 64, 3], np.uint8)).boxes.shape[1] == 4
    assert (starter.folder() / runs.FLAGFILE).stat() == before


def test_a_new_run_takes_all_but_what_is_of_other_classes(shipped, packed):
    values, _ = starter.read(packed[1])
    model = tasks.build(SMALL, info_of(3)).build()
    before = {variable.path: np.asarray(variable).copy() for variable in model.variables}
    warm_start.load_weights(str(starter.folder()), model, skip_mismatched=True)
    anew = {variable.path for variable in model.variables if np.array_equal(variable, before[variable.path])}
    assert {path.rpartition("/")[0] for path in anew} == {"box/logits", "box/deltas", "mask/logits"}
    for variable in model.variables:
        if variable.path not in anew:
            np.testing.assert_array_equal(variable, values[variable.path], variable.path)


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"no zip")])
def test_a_file_that_is_missing_or_damaged_is_named_with_the_remedy(cache, monkeypatch, damage):
    file = cache / "starter.zip"
    file.write_bytes(b"")
    damage(file)
    monkeypatch.setattr(starter, "FILE", file)
    with pytest.raises(UserError, match=re.escape(str(file)) + ".*install tfrecog again"):
        tfrecog.load("starter")


def test_the_file_of_this_package_is_small_and_of_the_recipe(cache):
    assert starter.FILE.stat().st_size <= MOST_BYTES
    recipe = flags.load(Experiment(), "configs/starter/mask_rcnn_r18_fpn.flags")
    trained = flags.load(Experiment(), starter.folder() / runs.FLAGFILE)
    for section in ("detector", "data", "optim", "schedule"):
        assert getattr(trained, section) == getattr(recipe, section)
