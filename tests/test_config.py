"""The checks of an experiment's values, and the flagfiles in configs/."""

from dataclasses import replace
from pathlib import Path

import pytest

from tfrecog import tasks
from tfrecog.cli import flags, validate
from tfrecog.config import Experiment
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.training import schedules

REPOSITORY = Path(__file__).resolve().parent.parent
# Those of studies have flags beside: tests/test_study.py.
FLAGFILES = sorted(path for path in (REPOSITORY / "configs").rglob("*.flags") if path.parent.name != "study")


def changed(flag, value, base=None):
    """An Experiment, or `base`, with one leaf changed."""

    def change(node, names):
        name, *rest = names
        return replace(node, **{name: change(getattr(node, name), rest) if rest else value})

    return change(base or Experiment(), flag.split("."))


def test_the_defaults_pass():
    validate.check(Experiment())


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("data.batch_size", 0),
        ("data.flip", 1.5),
        ("data.short_side", ()),
        ("data.short_side", (800, -1)),
        ("data.scale_jitter", (1.0,)),
        ("data.scale_jitter", (2.0, 0.5)),
        ("detector.backbone.frozen_stages", 6),
        ("detector.backbone.frozen_stages", -1),
        ("detector.fpn.channels", 0),
        ("detector.rpn.channels", -1),
        ("detector.rpn.train.per_level", 0),
        ("detector.rpn.infer.total", 0),
        ("detector.rpn.positive_iou", float("nan")),
        ("detector.rpn.negative_iou", 0.9),
        ("detector.box.delta_scale", (10.0, 10.0)),
        ("detector.box.size", 0),
        ("detector.box.trunk", -5),
        ("detector.mask.size", 0),
        ("detector.mask.channels", 0),
        ("detector.mask.layers", -1),
        ("detector.output.min_size", -1.0),
        ("optim.learning_rate", float("inf")),
        ("optim.learning_rate", -0.1),
        ("optim.weight_decay", -1e-4),
        ("schedule.epochs", 0.0),
        ("schedule.drop_epochs", (11.0, 8.0)),
        ("train.replicas", -1),
        ("train.seed", -1),
        ("train.seed", 2**31),
        ("train.log_steps", 0),
    ],
)
def test_a_value_that_cannot_work_is_answered_with_the_name_of_its_flag(flag, value):
    with pytest.raises(ValueError, match=rf"--{flag}="):
        validate.check(changed(flag, value))


@pytest.mark.parametrize(("name", "most"), [("mobilenet_v3_large", 6), ("resnet50", 5), ("keras_mobilenet_v2", 5)])
def test_as_many_stages_can_be_frozen_as_the_network_has(name, most):
    base = changed("detector.backbone.name", name)
    validate.check(changed("detector.backbone.frozen_stages", most, base))
    with pytest.raises(ValueError, match=rf"--detector\.backbone\.frozen_stages={most + 1}: .* {most}, "):
        validate.check(changed("detector.backbone.frozen_stages", most + 1, base))


@pytest.mark.parametrize(
    ("of", "choice", "flag", "value"),
    [
        ("backbone.name", "mobilenet_v3_large", "backbone.width", 32),
        ("backbone.name", "mobilenet_v3_large", "backbone.stride_in_1x1", True),
        ("backbone.name", "resnet18", "backbone.stride_in_1x1", True),
        ("backbone.name", "resnet34", "backbone.stride_in_1x1", True),
        ("pool", "roi_pool", "box.pool_samples", 0),
        ("pool", "roi_pool", "mask.pool_samples", 3),
        ("pool", "roi_pool", "keypoint.pool_samples", 1),
        ("pool", "roi_pool", "aligned", True),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(of, choice, flag, value):
    base = changed(f"detector.{of}", choice)
    validate.check(base)
    validate.check(changed(f"detector.{flag}", value))
    with pytest.raises(ValueError, match=rf"--detector\.{flag}={value}: .*{choice}.*leave it at"):
        validate.check(changed(f"detector.{flag}", value, base))


def test_all_wrong_values_are_named_at_once():
    wrong = replace(changed("data.flip", 2.0), schedule=replace(Experiment().schedule, epochs=-1.0))
    with pytest.raises(ValueError, match=r"(?s)data\.flip.*schedule\.epochs"):
        validate.check(wrong)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("detector.backbone.norm_epsilon", 0.0),  # of torchvision's first weights
        ("detector.rpn.channels", 0),
        ("optim.clip_norm", 0.0),
        ("schedule.drop_epochs", ()),
    ],
)
def test_zero_is_allowed_where_it_has_a_meaning(flag, value):
    validate.check(changed(flag, value))


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_flagfile_of_the_repository_is_valid(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # From anywhere.
    validate.check(flags.load(Experiment(), path))


def test_the_mask_recipe_is_the_faster_recipe_with_masks():
    faster, mask = (
        flags.load(Experiment(), REPOSITORY / f"configs/coco/{name}_rcnn_r50_fpn.flags") for name in ("faster", "mask")
    )
    assert flags.differences(faster, mask) == {"detector.masks": (False, True)}


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_flagfile_names_a_task_that_its_records_can_have(path):
    joints = {"keypoints": ("nose",), "keypoint_sigmas": (0.05,)}
    records = DatasetInfo(categories=(Category("dog", 1),), splits={}, masks=True, **joints)
    experiment = flags.load(Experiment(), path)
    assert tasks.build(experiment, records).experiment == experiment


def test_the_expected_oks_needs_sigmas():
    path = REPOSITORY / "configs/scenes/keypoint_rcnn_r18_fpn.flags"
    records = DatasetInfo(categories=(Category("disc", 1),), splits={}, keypoints=("top",))
    with pytest.raises(ValueError, match="keypoint_sigmas"):
        tasks.build(flags.load(Experiment(), path), records)


def test_imagenet_in_an_hour_is_the_baseline_with_a_larger_batch_and_a_warmup_from_its_rate():
    baseline, hour = (
        flags.load(Experiment(), REPOSITORY / f"configs/imagenet/resnet50{name}.flags") for name in ("", "_1hour")
    )
    assert flags.differences(baseline, hour) == {
        "data.batch_size": (256, 8192),
        "train.accumulation": (1, 32),
        "schedule.warmup": ("none", "gradual"),
        "schedule.warmup_epochs": (0.136, 5.0),
        "schedule.warmup_from": ("factor", "base"),
    }
    # 0.1 for 256 images, 32 times as much for 32 times as many (Goyal et al. 2017, section 2.1).
    assert schedules.peak(baseline.optim, 256) == pytest.approx(0.1)
    assert schedules.peak(hour.optim, 8192) == pytest.approx(3.2)
