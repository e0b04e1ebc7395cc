import dataclasses

import pytest

from tfrecog.cli.json_values import NotValid
from tfrecog.fitting import plan
from tfrecog.fitting.plan import Choice, Plan

SIZE = Choice("image size", {"data.short_side": (320,), "data.eval_short_side": 320}, "the smallest class needs it")
RATE = Choice("rate", {"optim.learning_rate": 0.001}, "", given=True)
PLAN = Plan((SIZE, RATE), {"images": 40}, {"cores": 2}, 20.0, 300, {"step": 0.4})


def test_is_read_as_it_was_written(tmp_path):
    PLAN.save(tmp_path)
    assert plan.load(tmp_path) == PLAN


def test_sets_the_flags_of_its_choices():
    experiment = PLAN.experiment(workdir="runs/mine", train__seed=3)
    assert experiment.data.short_side == (320,) and experiment.data.eval_short_side == 320
    assert experiment.optim.learning_rate == 0.001 and experiment.train.seed == 3


def test_a_later_choice_replaces_the_one_of_its_name():
    other = dataclasses.replace(SIZE, flags={"data.short_side": (256,)})
    assert PLAN.with_choices(other).choices == (other, RATE)


def test_says_the_reason_and_the_flags_of_each_choice():
    size, rate = PLAN.lines().splitlines()
    assert "the smallest class needs it" in size and "--data.short_side=320 --data.eval_short_side=320" in size
    assert "as given" in rate and "--optim.learning_rate=0.001" in rate


def test_a_file_that_is_no_plan_is_named(tmp_path):
    (tmp_path / plan.FILE).write_text('{"choices": 3}')
    with pytest.raises(NotValid, match=r"plan.json is not a valid plan.json: .*fit again"):
        plan.load(tmp_path)
