import dataclasses
from pathlib import Path

import pytest

from tests.fitting import made
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.fitting import choices, finetuning, start
from tfrecog.runs import folder as runs

RACCOONS = made.detection(160, 350, 1.4, (("raccoon", 0.6),), each=1, camera=0.9)
COCO = {"data.short_side": (800,), "detector.backbone.norm_epsilon": 0.0, "detector.masks": True}
OWN = {
    "data.short_side": (320,), "data.eval_short_side": 320, "data.long_side": 448,
    "detector.backbone.name": "resnet18", "detector.backbone.norm": "batch", "detector.backbone.frozen_stages": 0,
    "detector.backbone.width": 48, "detector.fpn.channels": 64, "detector.rpn.anchor_sizes": (32, 64, 128, 256),
}  # fmt: skip


@pytest.fixture
def weights(tmp_path):
    def make(values, *, published):
        values = values | {"data.records": "theirs", "optim.learning_rate": 7.0}
        (tmp_path / runs.FLAGFILE).write_text(validate.dumps(flags.replace(Experiment(), values)))
        if published:
            (tmp_path / runs.IMPORTED).write_text("{}")
        return start.of_run(tmp_path)

    return make


def test_the_network_is_that_of_the_weights_and_boxes_alone_need_no_masks(weights):
    theirs = weights(COCO, published=True)
    plans = choices.ladder(RACCOONS, made.TWO_CORES, {}, 20, theirs)
    for plan in plans:
        experiment = plan.experiment(workdir="x")
        validate.check(experiment)
        backbone = experiment.detector.backbone
        assert (backbone.name, backbone.norm, backbone.norm_epsilon) == ("resnet50", "frozen", 0)
        assert (backbone.frozen_stages, experiment.detector.fpn.channels, experiment.detector.fpn.norm) == (
            2,
            256,
            "none",
        )
        assert not experiment.detector.masks and experiment.train.start_from == theirs.folder
        assert experiment.data.records == "data" and experiment.optim.learning_rate != 7
    assert [plan.experiment().data.eval_short_side for plan in plans] == [800, 608, 480, 320]


def test_a_gpu_has_the_time_for_their_size(weights):
    (plan,) = choices.ladder(RACCOONS, made.A_GPU, {}, 20, weights(COCO, published=True))
    assert plan.experiment().data.eval_short_side == 800


def test_few_photographs_freeze_the_backbone_but_few_x_rays_do_not(weights):
    theirs, few = weights(COCO, published=True), dataclasses.replace(RACCOONS, images=20)
    stages = lambda facts: choices.ladder(facts, made.A_GPU, {}, 20, theirs)[0].experiment().detector.backbone  # noqa: E731
    assert stages(few).frozen_stages == 5
    assert stages(dataclasses.replace(few, grey=1.0)).frozen_stages == 2
    assert stages(dataclasses.replace(few, camera=0.0)).frozen_stages == 2


def test_weights_of_ones_own_freeze_nothing(weights):
    plan = choices.ladder(RACCOONS, made.TWO_CORES, {}, 20, weights(OWN, published=False))[0]
    backbone = plan.experiment().detector.backbone
    assert (backbone.name, backbone.width, backbone.frozen_stages, backbone.norm) == ("resnet18", 48, 0, "batch")


def test_their_anchors_stay_where_they_reach_the_boxes(weights):
    theirs = weights(OWN, published=False)
    kept = choices.ladder(RACCOONS, made.TWO_CORES, {}, 20, theirs)[0].experiment().detector.rpn
    assert kept.anchor_sizes == (32, 64, 128, 256)
    tiny = made.detection(200, 480, sides=(("bird", 0.012),))
    other = choices.ladder(tiny, made.TWO_CORES, {}, 20, theirs)[0].experiment().detector.rpn
    assert other.anchor_sizes != kept.anchor_sizes and len(other.anchor_ratios) == len(kept.anchor_ratios)


@pytest.mark.parametrize("published", [True, False])
def test_the_rate_is_lower_than_from_nothing_and_for_few_pictures(weights, published, monkeypatch):
    monkeypatch.setattr(choices, "steps_per_epoch", lambda experiment: 40)
    theirs = weights(OWN, published=published)

    def rate(images, start):
        facts = dataclasses.replace(RACCOONS, images=images)
        plan = choices.ladder(facts, made.TWO_CORES, {}, 20, start)[0]
        return choices.with_length(plan, facts, 4, 400, 2).experiment().optim.learning_rate

    assert rate(25, theirs) < rate(160, theirs) < rate(160, None)
    assert rate(2, theirs) >= (1e-4 if published else 2e-4)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("facts", [RACCOONS, made.segmentation(200)], ids=["detection", "segmentation"])
def test_of_a_classifier_the_backbone_is_taken_and_the_rest_is_chosen_by_the_data(weights, facts, published):
    own = {"task": "classification", "classifier.name": "resnet34", "classifier.width": 16, "classifier.norm": "batch"}
    theirs = weights(own, published=published)
    plans = choices.ladder(facts, made.TWO_CORES, {}, 20, theirs)
    random = [plan.experiment() for plan in choices.ladder(facts, made.TWO_CORES, {}, 20)]
    for plan in plans:
        experiment = plan.experiment(workdir="x")
        validate.check(experiment)
        backbone = experiment.detector.backbone if facts is RACCOONS else experiment.segmenter.backbone
        assert (backbone.name, backbone.width) == ("resnet34", 16)
        assert (backbone.norm, backbone.frozen_stages) == (("frozen", 2) if published else ("batch", 0))
        assert experiment.train.start_from == theirs.folder and experiment.train.skip_mismatched
        ours = experiment.data.short_side, experiment.detector.rpn
        assert ours in [(one.data.short_side, one.detector.rpn) for one in random]


def test_a_classifier_takes_the_backbone_of_a_detector_and_no_task_that_of_a_lenet(weights):
    plan = choices.ladder(made.classification(200), made.TWO_CORES, {}, 20, weights(OWN, published=False))[0]
    validate.check(plan.experiment(workdir="x"))
    classifier = plan.experiment().classifier
    assert (classifier.name, classifier.width, classifier.norm) == ("resnet18", 48, "batch")
    digits = weights({"task": "classification", "classifier.name": "lenet_modern"}, published=False)
    with pytest.raises(UserError, match=r"--start_from=.* of a lenet_modern for classification.* for detection"):
        choices.ladder(RACCOONS, made.TWO_CORES, {}, 20, digits)


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--start_from=.* is no run"):
        start.of_run(tmp_path)


DRAWN = {
    "detector.backbone.name": "resnet18", "detector.backbone.norm": "batch", "detector.backbone.frozen_stages": 0,
    "detector.backbone.width": 32, "detector.fpn.channels": 64, "detector.fpn.norm": "batch",
}  # fmt: skip


def starter(asked):
    return start.Start("starter", flags.replace(Experiment(), DRAWN), drawn=True, asked=asked)


def begun(plans):
    """Width of the network → whether plans with it start from weights."""
    return {
        plan.experiment().detector.backbone.width: bool(plan.experiment(workdir="x").train.start_from) for plan in plans
    }


def test_this_packages_weights_are_taken_where_the_network_is_theirs_and_all_else_is_chosen_by_the_data():
    chosen = choices.ladder(RACCOONS, made.TWO_CORES, {}, 600, starter(asked=False))
    assert begun(chosen) == {32: True}  # Width 64 would learn more in so much time, and 24 cost less.
    assert begun(choices.ladder(RACCOONS, made.TWO_CORES, {}, 1, starter(asked=False))) == {32: True}
    random = [
        plan
        for plan in choices.ladder(RACCOONS, made.TWO_CORES, {}, 600)
        if plan.experiment().detector.backbone.width == 32
    ]
    weights = {"train.start_from": "", "train.skip_mismatched": False}
    for mine, other in zip(chosen, random, strict=True):
        assert flags.replace(mine.experiment(), weights) == other.experiment()
    line = next(line for plan in chosen for line in plan.lines().splitlines() if "start_from=starter" in line)
    assert "--start_from=none" in line and "random ones" in line


def test_weights_of_this_package_that_are_asked_for_choose_the_network():
    assert begun(choices.ladder(RACCOONS, made.TWO_CORES, {}, 600, starter(asked=True))) == {32: True}
    assert begun(choices.ladder(RACCOONS, made.A_GPU, {}, 600, starter(asked=True))) == {32: True}


def test_they_get_the_rate_and_the_passes_of_random_weights(monkeypatch):
    from tfrecog.weights import starter as weights_of_package

    monkeypatch.setattr(choices, "steps_per_epoch", lambda experiment: 40)
    random, begins = (choices.ladder(RACCOONS, made.TWO_CORES, {}, 20, one)[0] for one in (None, starter(asked=True)))
    longer = [choices.with_length(plan, RACCOONS, 4, 300, 3).experiment().optim for plan in (random, begins)]
    assert longer[1].learning_rate < longer[0].learning_rate  # of a run
    monkeypatch.setattr(weights_of_package, "place", lambda: Path(starter(asked=True).folder))
    assert choices.with_length(begins, RACCOONS, 4, 300, 3).experiment().optim == longer[0]
    assert choices.wanted_pictures(begins, RACCOONS) == choices.wanted_pictures(random, RACCOONS)


def test_many_pictures_need_no_drawn_ones_where_a_wider_network_has_time_but_may_have_them():
    many = dataclasses.replace(RACCOONS, images=finetuning.STARTER_MOST + 1)
    assert begun(choices.ladder(many, made.TWO_CORES, {}, 20, starter(asked=False))) == {32: True}
    assert begun(choices.ladder(many, made.TWO_CORES, {}, 600, starter(asked=False)))[64] is False
    assert begun(choices.ladder(many, made.TWO_CORES, {}, 600, starter(asked=True))) == {32: True}
    assert begun(choices.ladder(RACCOONS, made.TWO_CORES, {}, 600, starter(asked=False))) == {32: True}
    assert begun(choices.ladder(many, made.TWO_CORES, {"detector.backbone.width": 32}, 600, starter(asked=False))) == {
        32: True
    }


def test_a_classifier_takes_the_network_that_the_time_affords_and_starts_from_this_packages_weights_if_it_is_theirs():
    photographs = made.classification(9000, 320, tuple(f"kind {n}" for n in range(10)))
    ladder = choices.ladder(photographs, made.TWO_CORES, {}, 600, starter(asked=False))
    widths = [
        (plan.experiment().classifier.width, bool(plan.experiment(workdir="x").train.start_from)) for plan in ladder
    ]
    assert widths[0] == (64, False) and set(widths[1:]) == {(32, True)}
    ladder = choices.ladder(photographs, made.TWO_CORES, {}, 5, starter(asked=False))
    assert all(plan.experiment(workdir="x").train.start_from == "starter" for plan in ladder)


def test_a_network_or_weights_that_are_given_win_over_this_packages():
    narrow = {"detector.backbone.width": 16}
    assert begun(choices.ladder(RACCOONS, made.TWO_CORES, narrow, 20, starter(asked=False))) == {16: False}
    with pytest.raises(UserError, match=r"--start_from=starter.*width 32"):
        choices.ladder(RACCOONS, made.TWO_CORES, narrow, 20, starter(asked=True))
    wide = {"classifier.width": 64}
    with pytest.raises(UserError, match=r"--start_from=starter.*classification"):
        choices.ladder(made.classification(200), made.TWO_CORES, wide, 20, starter(asked=True))
    small = dataclasses.replace(made.classification(200), short=(28.0, 28.0, 28.0), grey=1.0)
    (digits,) = choices.ladder(small, made.TWO_CORES, {}, 20, starter(asked=False))
    assert digits.experiment().classifier.name == "lenet_modern" and not digits.experiment(workdir="x").train.start_from


def test_classifiers_and_segmenters_may_start_from_this_packages_backbone():
    for facts in (made.classification(200), made.segmentation(200)):
        for plan in choices.ladder(facts, made.TWO_CORES, {}, 60, starter(asked=True)):
            experiment = plan.experiment(workdir="x")
            own = experiment.classifier if facts.task == "classification" else experiment.segmenter.backbone
            assert (own.width, experiment.train.start_from, experiment.train.skip_mismatched) == (32, "starter", True)
