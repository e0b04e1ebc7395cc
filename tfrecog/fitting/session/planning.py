"""From facts and measured steps to the plan of a training that fits its time."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfrecog.cli.errors import UserError
from tfrecog.cli.spelling import counted
from tfrecog.data import info
from tfrecog.fitting import choices
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice, Plan
from tfrecog.fitting.session.screen import duration, say
from tfrecog.fitting.session.sources import Source
from tfrecog.fitting.start import Start
from tfrecog.fitting.timing.budget import AIM
from tfrecog.fitting.timing.probe import Measured, NotEnoughMemory, Prober, TooSlow
from tfrecog.training import schedules

TRYING = 0.15  # share of the time that steps may be tried in
LONGEST, SHORTEST = 0.6, 15.0  # share of the time after which a trial is given up, and seconds that it has in any case
EVALUATING = 0.1  # share of the time that evaluations on the way may take
EVALUATIONS = 8  # at most, the last one at the end
GAIN = 0.95  # a larger batch has to take less than this of the time a picture
MEMORY = 0.6  # share of what is free that a training may hold
FEWEST_STEPS, ENOUGH_STEPS = 20, 300
FEWEST_PICTURES = 4  # in a batch, of which batch norm takes averages, unless memory is short
SHOWN = {"train__summary_images": 6, "train__log_steps": 50}  # pictures after an evaluation, steps between two lines


class Tried(NamedTuple):
    """A plan, a batch, and what its steps took."""

    plan: Plan
    batch: int
    measured: Measured


@dataclass(frozen=True)
class Time:
    """The time of a fit."""

    seconds: float
    used: Callable[[], float]  # seconds since the command began

    def left(self, measured: Measured, validation: int, evaluations: int) -> float:
        """Seconds for steps, of those that are left for a training."""
        on_the_way = measured.evaluation(validation) * max(0, evaluations - 1)
        return AIM * self.seconds - self.used() - measured.start - closing(measured, validation) - on_the_way


def closing(measured: Measured, validation: int) -> float:
    """Seconds from the last step to the end."""
    return measured.evaluation_start + measured.evaluation(validation)


def given_of(plan: Plan) -> set[str]:
    """The flags of a plan that a person gave."""
    return {path for choice in plan.choices if choice.given for path in choice.flags}


class Planner:
    """Chooses a training for records on a machine; `prober` measures its steps."""

    def __init__(self, source: Source, facts: Facts, machine: Machine, time: Time, prober: Prober):
        self.source, self.facts, self.machine, self.time, self.prober = source, facts, machine, time, prober
        self.validation = info.load(source.records).splits[source.val].images

    def plan(self, given: Mapping[str, Any], start: Start | None) -> Plan:
        """The plan with its steps, batch and rate; UserError where the time is too short for any."""
        ladder = choices.ladder(self.facts, self.machine, given, self.time.seconds / 60, start)
        measured_on = Choice(
            "evaluation", {"data.eval_split": self.source.val}, f"on {counted(self.validation, 'picture')}"
        )
        ladder = [plan.with_choices(measured_on) for plan in ladder]
        sizes = choices.batches(self.facts, self.machine, given)
        tried, place = None, 0
        while tried is None:
            try:
                tried = self._of_rung(ladder[place], sizes)
            except NotEnoughMemory:
                if place + 1 == len(ladder):
                    raise UserError(
                        f"this machine has not enough memory ({self.machine.memory / 1e9:.1f} GB are free) for the "
                        "least training of this data: smaller pictures need less (--data.short_side), or end what "
                        "else runs here"
                    ) from None
                place += 1
                say("probe: out of memory even with the smallest batch; trying a smaller training")
        while self._share(tried) < 1 and place + 1 < len(ladder):
            place = min(place + (2 if self._share(tried) < 0.4 else 1), len(ladder) - 1)
            if self._may_try(tried.measured):
                say("probe: too slow for the time, so something less is tried")
                tried = self._tried(ladder[place], tried.batch, evaluates=True)
            elif tried.plan.estimate:
                tried = self._estimated(tried, ladder[place])
            else:
                break
        return self._finished(tried)

    def _of_rung(self, plan: Plan, sizes: list[int]) -> Tried:
        """A plan with the batch that takes the least time a picture; raises NotEnoughMemory with the smallest."""
        place = min(1, len(sizes) - 1)
        best = None
        while best is None:
            try:
                best = self._tried(plan, sizes[place], evaluates=True)
            except NotEnoughMemory:
                if not place:
                    raise
                say(f"probe: out of memory with {sizes[place]} pictures a step")
                place, sizes = place - 1, sizes[:place]
        for size in sizes[place + 1 :]:
            if not self._may_try(best.measured) or self._steps(best) * best.batch / size < ENOUGH_STEPS:
                break
            if best.measured.memory * size / best.batch > MEMORY * self.machine.memory:
                break
            try:
                other = self._tried(plan, size)
            except NotEnoughMemory:
                say(f"probe: out of memory with {size} pictures a step: {best.batch} are taken")
                break
            if other.measured.step / size > GAIN * best.measured.step / best.batch:
                break
            best = Tried(plan, size, other.measured.with_evaluation_of(best.measured))
        if place and self._steps(best) < ENOUGH_STEPS and sizes[place - 1] >= FEWEST_PICTURES:
            # Not tried: steps of fewer pictures take a little more time a picture.
            fewer = dataclasses.replace(best.measured, step=best.measured.step * sizes[place - 1] / best.batch / GAIN)
            return Tried(plan, sizes[place - 1], fewer)
        return best

    def _tried(self, plan: Plan, batch: int, evaluates: bool = False) -> Tried:
        """What some steps take."""
        experiment = choices.with_length(plan, self.facts, batch, 1000, 1).experiment(**SHOWN)
        longest = max(LONGEST * self.time.seconds - self.time.used(), SHORTEST)
        try:
            measured = self.prober.measure(experiment, evaluates, TRYING * self.time.seconds / 3, longest)
        except TooSlow:
            raise UserError(
                f"--minutes={self.time.seconds / 60:g} are too few to measure steps of {counted(batch, 'picture')}: "
                "give more, or fewer or smaller pictures (--data.batch_size, --data.short_side)"
            ) from None
        speed = f"{measured.step:.2g} s a step of {batch} pictures, {batch / measured.step:.1f} pictures/s"
        say(f"probe: {speed}, {measured.memory / 1e9:.1f} GB")
        return Tried(plan, batch, measured)

    def _estimated(self, tried: Tried, plan: Plan) -> Tried:
        """What steps of another plan would take, where there is no time to try them."""
        step = tried.measured.step * plan.estimate / tried.plan.estimate
        say(f"probe: too slow for the time, so something less is taken: {step:.2g} s a step, estimated")
        return Tried(plan, tried.batch, dataclasses.replace(tried.measured, step=step))

    def _may_try(self, measured: Measured) -> bool:
        """Whether there is time for another trial as long as one was."""
        return self.time.used() + measured.start + 16 * measured.step < TRYING * self.time.seconds

    def _evaluations(self, measured: Measured) -> int:
        """How often is evaluated, the end included."""
        each = measured.evaluation(self.validation)
        return max(1, min(EVALUATIONS, int(EVALUATING * self.time.seconds / max(each, 1e-3))))

    def _steps(self, tried: Tried) -> int:
        """Steps that fit, at most those of use."""
        evaluations = self._evaluations(tried.measured)
        seconds = self.time.left(tried.measured, self.validation, evaluations)
        return min(int(seconds / tried.measured.step), self._most(tried))

    def _most(self, tried: Tried) -> int:
        """Steps, more of which are of no use."""
        schedule = tried.plan.experiment().schedule
        if "schedule.epochs" in given_of(tried.plan):
            return schedules.total_steps(schedule, tried.measured.steps_per_epoch)
        return max(ENOUGH_STEPS, choices.wanted_pictures(tried.plan, self.facts)[1] // tried.batch)

    def _share(self, tried: Tried) -> float:
        """Pictures that would be seen, as a share of those that are wanted."""
        return self._steps(tried) * tried.batch / choices.wanted_pictures(tried.plan, self.facts)[0]

    def _finished(self, tried: Tried) -> Plan:
        """The plan with its length, and what was measured."""
        steps, measured, batch = self._steps(tried), tried.measured, tried.batch
        if steps < FEWEST_STEPS:
            needed = (
                self.time.used() + measured.start + closing(measured, self.validation) + ENOUGH_STEPS * measured.step
            )
            raise UserError(
                f"--minutes={self.time.seconds / 60:g} are too few: to begin, to evaluate and {ENOUGH_STEPS} steps of "
                f"{batch} pictures take about {duration(needed / AIM)} here; give --minutes={needed / AIM / 60:.0f} or "
                "more"
            )
        evaluations = self._evaluations(measured)
        plan = choices.with_length(tried.plan, self.facts, batch, steps, evaluations)
        facts = dataclasses.asdict(measured) | {
            "batch": batch,
            "evaluations": evaluations,
            "evaluation": measured.evaluation(self.validation),
            "closing": closing(measured, self.validation),
            "most": self._most(tried),
            "validation": self.validation,
            "used": self.time.used(),
        }
        least, _ = choices.wanted_pictures(tried.plan, self.facts)
        facts["time"] = self._about_time(plan, steps, least, measured)
        return dataclasses.replace(plan, steps=steps, measured=facts)

    def _about_time(self, plan: Plan, steps: int, least: int, measured: Measured) -> str:
        """What the time is enough for."""
        batch = plan.experiment().data.batch_size
        seen, minutes = steps * batch, self.time.seconds / 60
        spent = self.time.used() + measured.start + steps * measured.step + closing(measured, self.validation)
        if spent < 0.8 * self.time.seconds and "schedule.epochs" not in given_of(plan):
            return f"{duration(spent)} of the {minutes:g} minutes are enough: more passes are of no use"
        wanted = math.ceil((spent + (least - seen) / batch * measured.step) / AIM / 60)
        if seen < least and wanted > minutes:
            return (
                f"{minutes:g} minutes are enough for {seen:,} pictures seen, fewer than the {least:,} that are wanted: "
                f"--minutes={wanted} would do"
            )
        return f"{minutes:g} minutes, evaluation and report included"
