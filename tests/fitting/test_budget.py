"""The time of a training, by a clock of the test's own."""

import pytest

from tfrecog.fitting.timing.budget import Budget, Costs
from tfrecog.training.pace import Bend


class Machine:
    """A training on a clock: what a step takes is a function of the share of the budget that is over."""

    def __init__(self, seconds=1000.0, step=1.0, evaluation=10.0, closing=10.0, between=100, used=50.0, **options):
        self.time, self.bends, self.lost = used, [], 0.0
        self.seconds, self.evaluation, self.closing, self.between = seconds, evaluation, closing, between
        self.costs = Costs(step, evaluation)
        self.options = {"steps_between": between} | options
        self.budget = self.new(used)
        self.noted = {}

    def new(self, used=0.0):
        return Budget(self.seconds, used, self.costs, now=lambda: self.time, **self.options)

    def run(self, total, speed, stop_at=0, start=0, metric=lambda step: 0.0):
        """Takes the steps until the end; returns how many they were."""
        done = start
        while done < total:
            self.time += speed((self.time - self.lost) / self.seconds)
            done += 1
            total = self.after(done, total, self.budget.stepped(done, total))
            if done < total and done % self.between == 0 and self.budget.evaluates(done, total):
                self.noted = {"step": done} | self.budget.notes()
                self.time += self.evaluation
                total = self.after(done, total, self.budget.evaluated(done, total, {"box_AP": metric(done)}))
                self.noted = {"step": done} | self.budget.notes()
            if done == stop_at:
                return total
        self.time += self.closing
        return done

    def after(self, done, total, bend):
        if bend is None:
            return total
        assert isinstance(bend, Bend) and bend.end >= done and bend.why
        self.bends.append((done, bend.end))
        return bend.end


# 1000 s: 50 used, 10 of the end, 9 evaluations of 10: 0.97 · 1000 - 155 = 815 steps of a second, about.
PLANNED = 820


def test_a_machine_as_fast_as_it_was_measured_moves_nothing():
    machine = Machine()
    assert machine.run(PLANNED, lambda share: 1.0) == PLANNED
    assert machine.bends == [] and machine.time == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize(
    ("speed", "name"),
    [
        (lambda share: 1.0 if share < 0.5 else 2.0, "half as fast from the middle on"),
        (lambda share: 1.0 if share < 0.8 else 2.0, "half as fast at the end"),
        (lambda share: 2.0, "half as fast from the start"),
        (lambda share: 2.0 if share < 0.5 else 1.0, "twice as fast from the middle on"),
        (lambda share: 1.0 if share < 0.3 else 3.0 if share < 0.6 else 1.0, "slow in between"),
        (lambda share: 1 + share, "slower and slower"),
        (lambda share: 0.5, "twice as fast as measured"),
        (lambda share: 5.0, "five times slower"),
    ],
)
def test_the_time_holds_to_within_15_percent(speed, name):
    machine = Machine()
    machine.run(PLANNED, speed)
    assert 850 <= machine.time <= 1150, (name, machine.time, machine.bends)
    assert machine.bends, name


def test_the_end_is_moved_by_what_is_left_and_not_at_every_look():
    # Twice as slow from the middle of the time on: about 435 steps are done, 15 + 40 s are for evaluations and the
    # end: some 230 steps of two seconds are left.
    machine = Machine()
    end = machine.run(PLANNED, lambda share: 1.0 if share < 0.5 else 2.0)
    assert 600 <= end <= 680
    assert 1 <= len(machine.bends) <= 4 and all(step > 400 for step, _ in machine.bends)


def test_a_machine_that_stands_still_is_stopped_when_the_time_is_over():
    machine = Machine()
    end = machine.run(PLANNED, lambda share: 1.0 if share < 0.4 else 100.0)
    assert end < 400 and machine.time <= 1150
    assert machine.bends[-1] == (end, end)


def test_more_steps_than_are_of_use_are_not_taken():
    machine = Machine(most=900)
    assert machine.run(PLANNED, lambda share: 0.3) == 900
    assert machine.time < 500


def test_evaluations_that_take_longer_are_paid_for_by_steps():
    machine = Machine()
    machine.evaluation, machine.closing = 60.0, 60.0  # instead of 10
    end = machine.run(PLANNED, lambda share: 1.0)
    assert end < 650 and 850 <= machine.time <= 1150


def test_dear_evaluations_and_a_dear_end_have_their_room():
    # Half as fast as planned: 820 s are left beside the end, and 100 steps take 200 s and an evaluation of 150.
    machine = Machine(evaluation=150.0, closing=150.0, used=0.0)
    end = machine.run(330, lambda share: 2.0)
    assert 900 <= machine.time <= 1010
    assert [machine.bends[0][1], end] == pytest.approx([0.82 * 1000 / 3.5] * 2, abs=12)
    assert all(after > step for step, after in machine.bends)  # It ends at a rate of 0, and is not cut off.


@pytest.mark.parametrize(
    ("done", "total", "time", "worth"),
    [
        (500, 525, 900.0, True),
        (500, 524, 900.0, False),  # Less than a quarter of the steps between two evaluations before the last one.
        (500, 800, 980.0, True),  # 10 s for this one, and 10 for the last.
        (500, 800, 981.0, False),
    ],
)
def test_an_evaluation_shortly_before_the_end_or_without_time_for_the_last_one_is_left_out(done, total, time, worth):
    machine = Machine(used=0.0)
    machine.time = time
    assert machine.budget.evaluates(done, total) is worth


def test_the_graph_of_another_shape_of_pictures_is_no_slow_step():
    machine = Machine()
    for done in range(1, 45):  # Its time is gone, but no step takes it again.
        shape = done in (3, 20)
        machine.time += 30.0 if shape else 1.0
        assert machine.budget.stepped(done, PLANNED - 60, timed=not shape) is None
    assert machine.budget.step_seconds == pytest.approx(1.0)


def test_the_first_evaluation_builds_a_graph_and_says_nothing_of_the_others():
    machine = Machine(evaluation=2.0)
    machine.costs = Costs(1.0, 2.0, 100.0)  # 100 s of the graph, which were expected
    machine.budget = machine.new(50.0)
    evaluations = iter([102.0, *[2.0] * 20])

    machine.between = 10**9
    total = 820
    machine.budget.begins(0, None)
    for done in range(1, 201):
        machine.time += 1.0
        total = machine.after(done, total, machine.budget.stepped(done, total))
        if done % 100 == 0:
            machine.time += next(evaluations)
            total = machine.after(done, total, machine.budget.evaluated(done, total, {}))
    assert machine.bends == [] and total == 820


def test_a_training_that_was_killed_has_the_time_that_its_checkpoint_has_left():
    straight, killed = Machine(), Machine()
    assert straight.run(PLANNED, lambda share: 1.0) == PLANNED
    killed.run(PLANNED, lambda share: 1.0, stop_at=450)  # The checkpoint is of step 400.
    noted = killed.noted
    assert noted.pop("step") == 400
    # 50 lost steps, an hour later, 30 s until the first step.
    killed.lost += 50 + 3600 + 30
    killed.time += 3600
    killed.budget = killed.new()
    killed.budget.begins(400, noted)
    killed.time += 30
    assert killed.run(PLANNED, lambda share: 1.0, start=400) == PLANNED
    assert killed.bends == []
    assert killed.budget.used == pytest.approx(straight.budget.used, abs=2)


def test_an_evaluation_is_counted_once_where_it_is_repeated():
    budget = Machine(best_by=("box_AP",), objects=50).new()
    budget.evaluated(100, 800, {"box_AP": 0.2})
    again = Machine(best_by=("box_AP",), objects=50).new()
    again.begins(100, budget.notes())
    again.evaluated(100, 800, {"box_AP": 0.2})
    assert again.notes()["values"] == [(100, 0.2)]


def test_a_training_that_gains_no_more_ends_at_a_rate_of_0_a_tenth_later():
    machine = Machine(best_by=("mask_AP", "box_AP"), objects=400, steps_between=100)
    # It gains until step 300. Judged with the one before, values 400, 500 and 600 are three without a gain.
    end = machine.run(PLANNED, lambda share: 1.0, metric=lambda step: 0.5 * min(step, 200) / 200)
    assert machine.bends == [(600, 682)] and end == 682  # 600 + 820 / 10
    assert machine.time < 850  # and the rest of the time is given back


def test_a_training_that_gains_goes_on():
    machine = Machine(best_by=("box_AP",), objects=400)
    assert machine.run(PLANNED, lambda share: 1.0, metric=lambda step: 0.5 * step / PLANNED) == PLANNED
    assert machine.bends == []
