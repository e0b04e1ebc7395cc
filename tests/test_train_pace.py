"""A training whose end is moved while it goes on."""

import shutil
import signal
from dataclasses import replace

import pytest

from tests import tiny
from tests.runs import assert_same, weights
from tfrecog.cli import flags, signals
from tfrecog.config import Experiment
from tfrecog.data.info import Category, DatasetInfo, SplitInfo
from tfrecog.runs import checkpoints, folder
from tfrecog.training import loop, start
from tfrecog.training.pace import Bend

LINEAR = ("--schedule.decay=linear", "--schedule.drop_epochs=")


class Scripted:
    """A pace that bends at these steps, and notes what it was told."""

    def __init__(self, bends, unmeasured=()):
        self.bends, self.told, self.unmeasured = bends, [], unmeasured

    def begins(self, done, notes):
        self.told.append(("begins", done, notes))

    def stepped(self, done, total, timed):
        self.told.append(("stepped", done, total))
        return Bend(self.bends[done], "it is slower") if done in self.bends else None

    def evaluates(self, done, total):
        return done not in self.unmeasured

    def evaluated(self, done, total, metrics):
        self.told.append(("evaluated", done, dict(metrics)))
        return Bend(self.bends[-done], "no gain") if -done in self.bends else None

    def notes(self):
        return {"told": len(self.told)}


def train(workdir, bends, *changes, batches=None, evaluate=None, unmeasured=(), **options):
    """Trains 12 steps in 3 epochs of 4 unless a bend moves the end; returns what the pace was told."""
    pace, task = Scripted(bends, unmeasured), tiny.Task()
    task.evaluation = tiny.evaluation_of(evaluate)
    experiment = tiny.experiment(workdir, *LINEAR, *changes, **options)
    workdir.mkdir(exist_ok=True)
    folder.note(experiment)
    loop.run(task, experiment, batches or tiny.data(), pace=pace)
    return pace.told


@pytest.mark.parametrize(("end", "calls"), [(7, 1), (16, 1), (5, 1), (9, 4)])
def test_the_flags_of_a_run_that_has_bent_alone_repeat_it_to_the_bit(tmp_path, end, calls, capsys):
    told = train(tmp_path / "bent", {5: end} if calls == 1 else {4: end}, steps_per_execution=calls)
    assert checkpoints.steps(tmp_path / "bent")[-1] == end
    assert told[-1][:2] == ("stepped", end)
    assert "it is slower" in capsys.readouterr().out
    again = flags.load(Experiment(), tmp_path / "bent" / folder.FLAGFILE)
    at = 5 if calls == 1 else 4
    assert again.schedule.bends == (at / 4, end / 4) and again.schedule.epochs == 3
    loop.run(tiny.Task(), replace(again, workdir=str(tmp_path / "again")), tiny.data())
    assert_same(weights(tmp_path / "again"), weights(tmp_path / "bent"))
    train(tmp_path / "straight", {})
    with pytest.raises(AssertionError):
        assert_same(weights(tmp_path / "straight"), weights(tmp_path / "bent"))


@pytest.mark.parametrize("stop", [3, 8], ids=["before the bend", "after it"])
def test_a_run_that_is_stopped_continues_through_a_bend_to_the_bit(tmp_path, stop):
    train(tmp_path / "bent", {6: 10})
    with pytest.raises(signals.Stopped):
        train(tmp_path / "stopped", {6: 10}, batches=tiny.data(tiny.sends(signal.SIGTERM, at=stop)))
    again = flags.load(Experiment(), tmp_path / "stopped" / folder.FLAGFILE)
    pace = Scripted({6: 10} if stop == 3 else {})
    loop.run(tiny.Task(), again, tiny.data(), pace=pace)
    assert pace.told[0] == ("begins", stop + 1, {"told": stop + 2})  # begins, and each of the steps
    assert_same(weights(tmp_path / "stopped"), weights(tmp_path / "bent"))


def test_a_run_that_is_killed_behind_a_bend_goes_through_it_again(tmp_path):
    train(tmp_path / "bent", {5: 10})
    shutil.copytree(tmp_path / "bent", tmp_path / "killed")
    for step in checkpoints.steps(tmp_path / "killed"):
        shutil.rmtree(checkpoints.find(tmp_path / "killed"))  # As it was before the first checkpoint.
        assert step
    again = flags.load(Experiment(), tmp_path / "killed" / folder.FLAGFILE)
    loop.run(tiny.Task(), again, tiny.data(), pace=Scripted({}))
    assert_same(weights(tmp_path / "killed"), weights(tmp_path / "bent"))


def test_an_evaluation_may_bend_and_is_noted_with_its_checkpoint(tmp_path):
    def evaluate(model, strategy, step):
        return {"box_AP": 0.25}

    told = train(tmp_path, {-4: 6}, evaluate=evaluate, evaluate_epochs=1.0)
    assert [fact for fact in told if fact[0] == "evaluated"] == [
        ("evaluated", 4, {"box_AP": 0.25}),
        ("evaluated", 6, {"box_AP": 0.25}),
    ]
    # begins, six steps, two evaluations: the last is noted with its checkpoint.
    assert checkpoints.noted_pace(tmp_path, 6) == {"told": 9}


def test_an_evaluation_for_which_there_is_no_time_is_left_out_and_the_last_one_never(tmp_path):
    def evaluate(model, strategy, step):
        return {"box_AP": 0.25}

    told = train(tmp_path, {}, evaluate=evaluate, evaluate_epochs=1.0, unmeasured=(8, 12))
    assert [fact[1] for fact in told if fact[0] == "evaluated"] == [4, 12]


INFO = DatasetInfo((Category("cat", 1),), {"train": SplitInfo(2, 3, 0, ("a",))})


@pytest.mark.parametrize(("bends", "fits"), [("", False), ("1,2,2,4", True), ("1,2,1.5,4", False), ("1,3", False)])
def test_a_run_may_only_be_continued_with_bends_behind_its_steps(tmp_path, bends, fits):
    # Of 4 steps an epoch, 8 are taken: up to epoch 2.
    before = folder.resolve(tiny.experiment(tmp_path, *LINEAR, "--schedule.bends=1,2"))
    folder.begin(before, INFO)
    (tmp_path / "checkpoints" / "step-00000008").mkdir(parents=True)
    after = flags.change(before, [f"--schedule.bends={bends}"])
    if fits:
        start.check_bends(after, INFO, 4)
    else:
        with pytest.raises(ValueError, match=r"--schedule\.bends=.* has taken 8 steps with 1\.0,2\.0"):
            start.check_bends(after, INFO, 4)
