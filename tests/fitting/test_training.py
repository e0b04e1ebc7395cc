"""What a fit does where a training fails."""

import dataclasses

import pytest

from tests.fitting import pictures
from tfrecog.cli.out_of_memory import OutOfMemory
from tfrecog.fitting import facts
from tfrecog.fitting import plan as plans
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.session import planning, sources, training
from tfrecog.fitting.timing.probe import Measured
from tfrecog.training import loop


class Probed:
    def measure(self, experiment, evaluates=False, most=60.0, longest=3600.0):
        step = 0.01 * experiment.data.batch_size
        return Measured(step, 10.0, 20, 10**8, evaluation_start=5.0, evaluation_picture=0.1)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan for 30 minutes."""
    folder = tmp_path_factory.mktemp("begun")
    source = sources.of_photos(str(pictures.of_classes(folder / "photos", each=200)), folder / "out")
    found = facts.of_records(source.records, source.train)
    time = planning.Time(1800.0, lambda: 30.0)
    return planning.Planner(source, found, Machine(2.0, 10**10), time, Probed()).plan({}, None)


def fails(monkeypatch, error, steps=0):
    """The training takes some steps of a loss of 1, then of 10, and fails."""

    def train(experiment, on_step, pace):
        pace.begins(0, None)
        for step in range(steps):
            on_step(step + 1, {"loss": 1.0 if step < steps - training.LONG else 10.0})
        if error:
            raise error

    monkeypatch.setattr(loop, "train", train)


def test_out_of_memory_begins_again_with_half_the_batch(plan, monkeypatch, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "records").mkdir()
    fails(monkeypatch, OutOfMemory("out of memory"))
    batch = plan.measured["batch"]
    with pytest.raises(training.Again, match=f"out of memory with {batch} pictures a step: {batch // 2} now") as again:
        training.train(plan, tmp_path)
    other = plans.load(tmp_path)
    assert (other.choices, other.steps) == (again.value.plan.choices, again.value.plan.steps)
    experiment = other.experiment()
    assert experiment.data.batch_size == batch // 2 == experiment.optim.base_batch_size
    assert experiment.optim.learning_rate == pytest.approx(plan.experiment().optim.learning_rate / 2**0.5, rel=0.05)
    assert other.steps == pytest.approx(2 * plan.steps, rel=0.1)  # of half the time each
    assert not (tmp_path / "checkpoints").exists() and (tmp_path / "records").exists()


def test_out_of_memory_for_the_fourth_time_or_of_a_given_batch_is_an_error(plan, monkeypatch, tmp_path):
    fails(monkeypatch, OutOfMemory("out of memory"))
    for stuck in (
        dataclasses.replace(plan, measured=plan.measured | {"halved": training.FEWER_BATCHES}),
        plan.with_choices(plans.Choice("given", {"data.batch_size": 16}, "", given=True)),
    ):
        with pytest.raises(OutOfMemory):
            training.train(stuck, tmp_path)


@pytest.mark.parametrize("runs_away", [True, False])
def test_a_loss_that_runs_away_begins_again_once_with_a_third_of_the_rate(plan, monkeypatch, tmp_path, runs_away):
    error = None if runs_away else loop.NonFiniteLoss("step 7: loss is nan.\nImage ids of the batch: 3")
    fails(monkeypatch, error, steps=plan.steps if runs_away else 0)
    with pytest.raises(training.Again, match="a third of the rate"):
        training.train(plan, tmp_path)
    other = plans.load(tmp_path)
    assert other.experiment().optim.learning_rate == pytest.approx(plan.experiment().optim.learning_rate / 3, rel=0.05)
    with pytest.raises(loop.NonFiniteLoss if error else training.Diverged):
        training.train(other, tmp_path)


def test_a_loss_that_is_high_for_a_moment_goes_on():
    watch = training._Watch(warmup=20)
    for step in range(200):
        watch(step, {"loss": 9.0 if step % 10 == 5 else 1.0})
    with pytest.raises(training.Diverged, match="step 209: the loss has been more than 3 times"):
        for step in range(200, 211):
            watch(step, {"loss": 3.1})
