"""The checks of an experiment's values, and the flagfiles in configs/."""

import re
from typing import Literal, get_args, get_origin

import pytest

from tests.folders import REPOSITORY
from tfrecog import tasks
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Ascending, Length, Range, When
from tfrecog.config import Experiment
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.training import schedules

# Those of studies have flags beside: tests/test_study.py.
FLAGFILES = sorted(path for path in (REPOSITORY / "configs").rglob("*.flags") if path.parent.name != "study")


def test_the_defaults_pass():
    validate.check(Experiment())


LEAVES = list(flags.leaves(Experiment()))
TASKS = get_args(next(leaf.kind for leaf in LEAVES if leaf.path == "task"))


def other_values(leaf):
    """Possible values of a setting that are not its default."""
    item = get_args(leaf.kind)[0] if get_origin(leaf.kind) is tuple else leaf.kind
    if get_origin(item) is Literal:
        values = get_args(item)
    elif item in (bool, str):
        values = (not leaf.value,) if item is bool else ("elsewhere",)
    elif isinstance(leaf.value, tuple):
        counts = range(0 if leaf.fact(Length) else 1, 5)
        values = [tuple(item(first + step / 2) for step in range(count)) for first in (0.4, 5) for count in counts]
    else:
        values = map(item, (0.4, 0.5, 1, 2, 5, 32, 64))
    checks = [fact for kind in (Range, Length, Ascending) for fact in leaf.facts_of(kind)]
    return [value for value in values if value != leaf.value and not any(fact.problem(value) for fact in checks)]


@pytest.mark.parametrize("leaf", [leaf for leaf in LEAVES if leaf.fact(When)], ids=lambda leaf: leaf.path)
def test_a_setting_hangs_on_values_that_another_can_have(leaf):
    known = {leaf.path: leaf for leaf in LEAVES}
    for fact in leaf.facts_of(When):
        other = known[fact.flag]
        assert set(fact.values) < {other.value, *other_values(other)}, fact
        assert fact.task in ("", *TASKS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.path)
def test_another_value_of_a_setting_is_accepted_or_refused_with_its_name(leaf, task):
    base = Experiment(task=task)
    values = [value for value in other_values(leaf) if leaf.path != "task"]
    assert values or leaf.path == "task"
    for value in values:
        experiment = flags.replace(base, {leaf.path: value})
        found = validate.problems(experiment)
        skipped = validate.unread(experiment).get(leaf.path, [])
        # What nothing reads is refused, unless it may keep its value; and what is refused says which flag it is about.
        assert not any(fact.refused for fact in skipped) or "leave it " in found[leaf.path]
        assert not found or leaf.path in found or any(str(value) in reason for reason in found.values())


# Settings of which the last does not go with the others, which do, or is not read beside them; and the flag that is
# named, where it is another.
CONFLICTS = """
    --detector.neck=c4 --detector.backbone.name=mobilenet_v3_large   detector.neck
    --detector.neck=c4 --detector.backbone.name=keras_resnet50   detector.neck
    --detector.neck=single --detector.backbone.name=mobilenet_v3_large
    --detector.neck=single --detector.backbone.name=vgg16 --detector.level=5
    --detector.backbone.name=vgg16
    --detector.backbone.name=mobilenet_v3_large --detector.rpn.anchor_sizes=32
    --detector.backbone.name=keras_resnet50 --detector.backbone.norm=group
    --detector.neck=single --detector.backbone.name=vgg16 --detector.backbone.frozen_stages=6
    --detector.backbone.name=mobilenet_v3_large --detector.backbone.frozen_stages=6 --detector.backbone.frozen_stages=7
    --detector.backbone.frozen_stages=5 --detector.backbone.frozen_stages=6
    --detector.backbone.name=keras_mobilenet_v2 --detector.backbone.frozen_stages=5 --detector.backbone.frozen_stages=6
    --detector.pool=warp
    --detector.proposals=record --detector.box.size=64 --detector.pool=warp --detector.masks=true
    --detector.proposals=record --detector.box.size=64 --detector.pool=warp --detector.box.convs=2
    --detector.proposals=record --detector.box.size=64 --detector.pool=warp --detector.box.size=7
    --detector.proposals=record --detector.box.size=64 --detector.pool=warp --detector.box.context=32
    --detector.neck=single --detector.pool=pyramid --detector.keypoints=true
    --detector.pool=pyramid --detector.neck=c4   detector.pool
    --detector.box.svd=8
    --detector.box.negative_iou=0.5
    --detector.rpn.negative_iou=0.8
    --task=segmentation --segmenter.backbone.name=keras_vgg16
    --task=segmentation --segmenter.backbone.name=resnet18   segmenter.padding
    --task=segmentation --segmenter.name=fcn_dilated   segmenter.backbone.name
    --task=segmentation --segmenter.fc_size=6
    --task=segmentation --segmenter.padding=80
    --task=segmentation --segmenter.class_weights=1,2 --segmenter.class_balance=0.5
    --task=classification --classifier.name=lenet5 --classifier.crop=11
    --task=classification --classifier.crop=801
    --task=classification --augment.crop=scale --data.short_side=200,480
    --task=classification --augment.shift=224
    --task=classification --classifier.norm=sync_batch --train.jit_compile=true
    --detector.neck=c4 --detector.box.hidden_units=512
    --detector.neck=c4 --detector.box.convs=4
    --detector.neck=c4 --detector.masks=true --detector.mask.convs=2
    --detector.neck=c4 --detector.masks=true --detector.mask.norm=group
    --detector.neck=c4 --detector.rpn.every_size=true
    --detector.neck=c4 --detector.fpn.channels=128
    --detector.box.norm=group
    --detector.box.hidden_layers=0 --detector.box.dropout=0.5
    --detector.keypoints=true --detector.keypoint.convs=0 --detector.keypoint.channels=64
    --data.short_side=0
    --data.eval_short_side=0
    --train.accumulate_steps=3
    --train.jit_compile=true
"""


@pytest.mark.parametrize("line", CONFLICTS.split("\n")[1:-1])
def test_settings_that_do_not_go_together_are_refused(line):
    *before, last = [word for word in line.split() if word.startswith("--")]
    named = line.split()[-1].removeprefix("--").partition("=")[0]
    validate.check(flags.change(Experiment(), before))
    with pytest.raises(UserError, match=rf"--{re.escape(named)}="):
        validate.check(flags.change(Experiment(), [*before, last]))


@pytest.mark.parametrize("choice", ["--schedule.warmup=none", "--schedule.warmup=constant", "--schedule.decay=cosine"])
def test_schedules_are_compared_by_one_flag(choice):
    recipe = ["--schedule.warmup_epochs=5", "--schedule.drop_epochs=30,60", "--schedule.warmup_from=base"]
    validate.check(flags.change(Experiment(), [*recipe, choice]))


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
    validate.check(flags.replace(Experiment(), {flag: value}))


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_flagfile_is_valid_from_anywhere_and_of_a_task_that_its_records_can_have(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = flags.load(Experiment(), path)
    validate.check(experiment)
    joints = {"keypoints": ("nose",), "keypoint_sigmas": (0.05,)}
    records = DatasetInfo(categories=(Category("dog", 1),), splits={}, masks=True, **joints)
    assert tasks.build(experiment, records).experiment == experiment


def test_the_mask_recipe_is_the_faster_recipe_with_masks():
    faster, mask = (
        flags.load(Experiment(), REPOSITORY / f"configs/coco/{name}_rcnn_r50_fpn.flags") for name in ("faster", "mask")
    )
    assert flags.differences(faster, mask) == {"detector.masks": (False, True)}


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
        "train.accumulate_steps": (1, 32),
        "schedule.warmup": ("none", "gradual"),
        "schedule.warmup_epochs": (0.136, 5.0),
        "schedule.warmup_from": ("factor", "base"),
    }
    # 0.1 for 256 images, 32 times as much for 32 times as many (Goyal et al. 2017, section 2.1).
    assert schedules.peak(baseline.optim, 256) == pytest.approx(0.1)
    assert schedules.peak(hour.optim, 8192) == pytest.approx(3.2)
