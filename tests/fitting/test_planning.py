"""A plan that fits its time, by steps whose times the test makes up."""

import dataclasses

import pytest

from tests.fitting import pictures
from tfrecog.cli.errors import UserError
from tfrecog.fitting import choices, facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.session import planning, sources
from tfrecog.fitting.timing.probe import Measured, NotEnoughMemory, TooSlow


class Probed:
    """In place of a prober: what a step of a batch takes, and which batches have room."""

    def __init__(self, step, room=1000):
        self.step, self.room, self.tried = step, room, []

    def measure(self, experiment, evaluates=False, most=60.0, longest=3600.0):
        batch = experiment.data.batch_size
        self.tried.append(batch)
        if batch > self.room:
            raise NotEnoughMemory
        if self.step(batch) > longest:
            raise TooSlow
        evaluation = {"evaluation_start": 5.0, "evaluation_picture": 0.1} if evaluates else {}
        return Measured(self.step(batch), 10.0, choices.steps_per_epoch(experiment), 10**8 * batch, **evaluation)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planning")
    return sources.of_photos(str(pictures.of_classes(folder / "photos", each=400)), folder / "out")


MACHINE = Machine(2.0, 8 * 10**9)


def planned(source, probed, minutes=10.0, used=20.0, given=None):
    found = facts.of_records(source.records, source.train)
    planner = planning.Planner(source, found, MACHINE, planning.Time(60 * minutes, lambda: used), probed)
    return planner.plan(given or {}, None)


def test_the_batch_is_the_largest_that_still_saves_time(source):
    # A start of 0.1 s a step is shared by its pictures: 16 take 12.5 ms each, 32 take 9.4; and from 32 on nothing.
    probed = Probed(lambda batch: 0.1 + 0.00625 * batch if batch <= 32 else 0.00938 * batch)
    plan = planned(source, probed)
    assert plan.measured["batch"] == 32 == plan.experiment().data.batch_size


@pytest.mark.parametrize(("images", "sizes"), [(800, [16, 32]), (200, [16]), (64, [16]), (20, [10]), (1, [1])])
def test_a_classifier_of_few_pictures_does_not_learn_from_two_at_a_time(source, images, sizes):
    found = dataclasses.replace(facts.of_records(source.records, source.train), images=images)
    assert choices.batches(found, MACHINE) == sizes


def test_steps_fill_the_time_that_is_left(source):
    plan = planned(source, Probed(lambda batch: 0.2 if batch == 32 else batch))
    measured, validation = plan.measured, plan.measured["validation"]
    # 600 s: 97 % of it, without 20 that are gone, 10 of the start, and evaluations of 0.1 s a picture.
    evaluation = 0.1 * validation
    assert measured["evaluations"] == min(8, int(60 / evaluation))
    left = 0.97 * 600 - 20 - 10 - (5 + evaluation) - evaluation * (measured["evaluations"] - 1)
    assert plan.steps == int(left / 0.2)
    experiment = plan.experiment()
    assert experiment.schedule.decay == "linear" and experiment.data.eval_split == "val"
    assert round(experiment.schedule.epochs * measured["steps_per_epoch"]) == plan.steps


def test_a_batch_without_room_is_made_smaller_and_said(source, capsys):
    plan = planned(source, Probed(lambda batch: 0.01 * batch, room=16))
    assert plan.measured["batch"] == 16
    assert "out of memory with 32 pictures a step" in capsys.readouterr().out


def test_a_machine_without_room_for_any_batch_is_told_what_helps(source):
    with pytest.raises(UserError, match=r"not enough memory \(8\.0 GB are free\).*--data\.short_side"):
        planned(source, Probed(lambda batch: 0.01, room=0))


def test_too_few_minutes_are_refused_with_those_that_would_do(source):
    with pytest.raises(UserError, match=r"--minutes=0\.5 are too few: .* give --minutes=\d+ or more"):
        planned(source, Probed(lambda batch: 0.02 * batch), minutes=0.5)


def test_time_that_is_of_no_use_is_given_back(source):
    plan = planned(source, Probed(lambda batch: 0.0001 * batch), minutes=60)
    found = facts.of_records(source.records, source.train)
    assert plan.steps == plan.measured["most"] == choices.wanted_pictures(plan, found)[1] // plan.measured["batch"]
    assert "are enough: more passes are of no use" in plan.measured["time"]


def test_too_short_a_time_says_what_would_do(source):
    assert "--minutes=" in planned(source, Probed(lambda batch: 0.1 * batch), minutes=3).measured["time"]


def test_flags_that_are_given_win(source):
    given = {"data.batch_size": 8, "schedule.epochs": 2.0, "optim.learning_rate": 0.003}
    probed = Probed(lambda batch: 0.001 * batch)
    plan = planned(source, probed, given=given)
    experiment = plan.experiment()
    assert set(probed.tried) == {8}
    assert (experiment.data.batch_size, experiment.schedule.epochs, experiment.optim.learning_rate) == (8, 2.0, 0.003)
    assert plan.steps == plan.measured["most"] == 2 * plan.measured["steps_per_epoch"]


def test_a_slow_machine_gets_less_of_a_training(tmp_path):
    made = sources.of_photos(str(pictures.of_squares(tmp_path / "photos", 60)), tmp_path / "out")
    found = facts.of_records(made.records, made.train)
    slow, quick = (
        planning.Planner(made, found, MACHINE, planning.Time(1200.0, lambda: 5.0), Probed(step)).plan({}, None)
        for step in (lambda batch: 1.0 * batch, lambda batch: 0.02 * batch)
    )
    assert slow.choices != quick.choices
    widths = [dataclasses.asdict(plan.experiment())["detector"]["backbone"]["width"] for plan in (slow, quick)]
    assert widths[0] < widths[1]


def test_steps_that_take_longer_than_the_time_end_the_trial(source):
    with pytest.raises(UserError, match=r"--minutes=1 are too few to measure steps of 4 pictures: .*batch_size"):
        planned(source, Probed(lambda batch: 40.0), 1.0, given={"data.batch_size": 4})


def test_without_time_for_another_trial_something_less_is_taken_by_its_estimate(tmp_path, capsys):
    made = sources.of_photos(str(pictures.of_squares(tmp_path / "photos", 60)), tmp_path / "out")
    found = facts.of_records(made.records, made.train)
    time = planning.Time(1200.0, lambda: 175.0)
    plan = planning.Planner(made, found, MACHINE, time, Probed(lambda batch: 0.25 * batch)).plan({}, None)
    first = choices.ladder(found, MACHINE, {}, 20)[0]
    assert "something less is taken: 0." in capsys.readouterr().out
    share = plan.measured["step"] / (0.25 * plan.measured["batch"])
    assert share == pytest.approx(plan.estimate / first.estimate) and share < 1
