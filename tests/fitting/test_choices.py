import pytest

from tests.fitting import made
from tfrecog.cli import validate
from tfrecog.fitting import choices

SETS = {
    "cells": made.detection(205, sides=(("platelet", 0.08), ("red", 0.21), ("white", 0.4)), each=5),
    "five": made.detection(5),
    "ten": made.detection(10),
    "eight pixels": made.detection(200, 1080, 16 / 9, (("bird", 8 / 1080),)),
    "whole pictures": made.detection(160, 400, sides=(("animal", 0.95),), each=1),
    "eighty classes": made.detection(2000, sides=tuple((f"class {n}", 0.05 + n / 100) for n in range(80)), each=1),
    "masks": made.detection(170, sides=(("pedestrian", 0.5),), shape=2.5, masks=1.0),
    "keypoints": made.detection(300, posed=0.9, visible=12.0, keypoints=("nose", "tail"), sigmas=True),
    "photographs": made.classification(9000, 160, tuple(f"kind {n}" for n in range(10))),
    "five photographs": made.classification(5),
    "digits": made.classification(2000, 28, tuple("0123456789"), grey=1.0),
    "roads": made.segmentation(),
    "five maps": made.segmentation(5),
}


@pytest.fixture(autouse=True)
def no_records(monkeypatch):
    monkeypatch.setattr(choices, "steps_per_epoch", lambda experiment: -(-200 // experiment.data.batch_size))


@pytest.mark.parametrize("machine", [made.TWO_CORES, made.A_GPU], ids=["cpu", "gpu"])
@pytest.mark.parametrize("facts", SETS.values(), ids=SETS)
def test_every_plan_is_an_experiment_that_can_run(facts, machine):
    for minutes in (1, 20, 600):
        plans = choices.ladder(facts, machine, {}, minutes)
        for plan in plans:
            batch = choices.batches(facts, machine)[0]
            validate.check(choices.with_length(plan, facts, batch, 300, 3).experiment(workdir="runs/mine"))
        least, most = choices.wanted_pictures(plans[0], facts)
        assert 0 < least <= most


def test_what_is_given_wins_and_is_marked():
    given = {"data.short_side": (200,), "optim.learning_rate": 0.5, "detector.box.samples": 7, "data.batch_size": 3}
    plan = choices.ladder(SETS["cells"], made.TWO_CORES, given, 20)[0]
    plan = choices.with_length(plan, SETS["cells"], 4, 100, 1)
    experiment = plan.experiment()
    assert experiment.data.short_side == (200,) and experiment.optim.learning_rate == 0.5
    assert experiment.detector.box.samples == 7 and experiment.data.batch_size == 3
    assert {path for one in plan.choices if one.given for path in one.flags} == set(given)
    assert "as given" in plan.lines()
    paths = [path for one in plan.choices for path in one.flags]
    assert len(paths) == len(set(paths))


def test_a_flag_that_nothing_reads_any_more_is_not_chosen():
    given = {"detector.neck": "c4", "detector.masks": False}
    plan = choices.ladder(SETS["masks"], made.TWO_CORES, given, 20)[0]
    paths = {path for one in plan.choices for path in one.flags}
    assert not paths & {"detector.fpn.channels", "detector.mask.channels"}


def test_more_time_affords_more():
    cells = SETS["cells"]
    short, long = (choices.ladder(cells, made.TWO_CORES, {}, minutes) for minutes in (5, 600))
    assert long[0].experiment().detector.backbone.width > short[0].experiment().detector.backbone.width


def test_each_rung_costs_less():
    for facts in SETS.values():
        plans = choices.ladder(facts, made.TWO_CORES, {}, 600)
        assert len({str(plan.choices) for plan in plans}) == len(plans)


def test_the_length_is_exact():
    plan = choices.ladder(SETS["cells"], made.TWO_CORES, {}, 20)[0]
    from tfrecog.training import schedules

    for steps in (1, 37, 1001):
        experiment = choices.with_length(plan, SETS["cells"], 4, steps, 4).experiment()
        assert schedules.total_steps(experiment.schedule, 50) == steps
        warmup = schedules.steps(experiment.schedule.warmup_epochs, 50)
        assert warmup == max(1, min(max(20, steps // 10), steps // 2))
