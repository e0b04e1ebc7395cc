"""Keeps a training to its time: by the clock it moves the end, and with it the line of the learning rate."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfrecog.fitting.timing import stopping
from tfrecog.training.pace import Bend

WINDOW = 50  # steps whose mean is the speed, at least; else those since the last look at the clock
FEWEST = 10  # of them, before which nothing is said of it
CHECK = 0.05  # share of the training between two looks at the clock
OFF = 0.05  # share of the time by which the end may be off before it is moved
AIM = 0.97  # share of the time that is aimed for
_SLOWEST = 6.0  # times what was measured, that an evaluation is expected to take at most
_OUTLIER = 4.0  # times the median: a step that waited for something, as for another graph


@dataclass(frozen=True)
class Costs:
    """Seconds of the parts of a training, as far as they are known."""

    step: float
    evaluation: float = 0.0  # of the whole validation split, with its pictures
    graph: float = 0.0  # that the first evaluation takes longer


class Budget:
    """The pace of a training that has so many seconds, from the start of the command to its end.

    See `training.pace.Pace`. A resumed training has what its checkpoint says is left: the time of steps that were lost,
    and of the start until the first step, is given back.

    Args:
        seconds: of the whole budget.
        used: of them, before the training.
        costs: as they were measured before.
        steps_between: evaluations.
        most: steps, more of which are of no use.
        best_by: names of the metrics, the first of which that is measured judges the training.
        objects: that an evaluation is of; 0: no early stopping.
        now: a clock, seconds.
    """

    def __init__(
        self,
        seconds: float,
        used: float,
        costs: Costs,
        steps_between: int = 0,
        most: int = 0,
        best_by: Sequence[str] = (),
        objects: int = 0,
        now: Callable[[], float] = time.perf_counter,
    ):
        self.seconds, self.costs, self.most, self.now = seconds, costs, most or 2**62, now
        self.steps_between, self.best_by, self.objects = steps_between, best_by, objects
        self._used, self._since = used, now()  # _since: None until the first step of a resumed training
        self._before: tuple[int, float] | None = None  # step and time of the last call
        self._times: list[float] = []  # of the last steps
        self._slower, self._evaluated, self._checked = 1.0, False, 0
        self._values: list[tuple[int, float]] = []
        self._ending = False

    @property
    def used(self) -> float:
        """Seconds of the budget that are gone."""
        return self._used + (self.now() - self._since if self._since is not None else 0.0)

    def begins(self, done: int, notes: dict[str, Any] | None) -> None:
        """See Pace."""
        if notes:
            self._used, self._since = float(notes["seconds"]), None
            self._slower = float(notes["slower"])
            self._values = [(int(step), float(value)) for step, value in notes["values"]]
            self._ending = bool(notes["ending"])
        self._checked = done

    def notes(self) -> dict[str, Any]:
        """See Pace."""
        facts = {"seconds": self.used, "slower": self._slower, "values": self._values}
        return facts | {"ending": self._ending}

    def stepped(self, done: int, total: int, timed: bool = True) -> Bend | None:
        """See Pace."""
        now = self.now()
        if self._since is None:
            self._since = now
        if self._before and timed:
            step, before = self._before
            self._times.extend([(now - before) / (done - step)] * (done - step))
            self._times = self._times[-max(WINDOW, int(CHECK * total)) :]
        self._before = done, now
        if self.used + self._closing > self.seconds and done < total:
            return Bend(
                done, f"the {_minutes(self.seconds)} are over: the training ends here, {total - done} steps early"
            )
        if len(self._times) < FEWEST or done - self._checked < CHECK * total:
            return None
        self._checked = done
        return self._moved(done, total)

    def evaluates(self, done: int, total: int) -> bool:
        """See Pace: not shortly before the last one, nor where the time would be over after it."""
        late = total - done < self.steps_between / 4
        each = max(self._slower, 1.0) * self.costs.evaluation
        return not late and self.used + each + self._closing <= self.seconds

    def evaluated(self, done: int, total: int, metrics: Mapping[str, float]) -> Bend | None:
        """See Pace."""
        expected = self.costs.evaluation + self.costs.graph * (not self._evaluated)
        if self._before and expected:
            self._slower = min(max((self.now() - self._before[1]) / expected, 1 / _SLOWEST), _SLOWEST)
        self._before, self._evaluated = None, True
        value = next((metrics[name] for name in self.best_by if metrics.get(name, -1) >= 0), None)
        if value is None or any(step == done for step, _ in self._values):
            return None
        self._values.append((done, float(value)))
        end = done + math.ceil(stopping.LAST_STRETCH * total)
        if self._ending or end >= total or done < stopping.EARLIEST * total or not self.objects:
            return None
        if not stopping.gains_no_more([value for _, value in self._values], self.objects):
            return None
        self._ending = True
        return Bend(
            end, f"{stopping.PATIENCE} evaluations without a gain: the rate falls to 0 until step {end} of {total}"
        )

    @property
    def _closing(self) -> float:
        """Seconds from the last step to the end; slower than was measured, where the last evaluation was."""
        graph = self.costs.graph * (not self._evaluated)
        # Those on the way have no report, so they may take less than was measured; the last one does not.
        return max(self._slower, 1.0) * (self.costs.evaluation + graph)

    @property
    def step_seconds(self) -> float:
        """Seconds of a step, by the last of them; what was measured before, until there are enough."""
        if len(self._times) < FEWEST:
            return self.costs.step
        most = _OUTLIER * statistics.median(self._times)
        return statistics.fmean(min(one, most) for one in self._times)

    def _moved(self, done: int, total: int) -> Bend | None:
        """Another end, where the training would not end in time."""
        step = self.step_seconds
        each = step + (self._slower * self.costs.evaluation / self.steps_between if self.steps_between else 0.0)
        left = AIM * self.seconds - self.used - self._closing
        off = ((total - done) * each - left) / self.seconds
        end = min(done + max(0, int(left / each)), self.most)
        if end < total and off > OFF:
            why = f"a step takes {step:.2g} s: to end in time, the training has {end} steps instead of {total}"
        elif end > total and -off > 2 * OFF and not self._ending:
            why = f"a step takes {step:.2g} s: there is time for {end} steps instead of {total}"
        else:
            return None
        return Bend(max(end, done), why)


def _minutes(seconds):
    return f"{seconds / 60:.3g} minutes"
