"""What a person sees while a study trains: a line for each run that ends, and how long all of them will take."""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from tfrecog.studies.runner import Run

_SECONDS = 60  # between two lines where there is no terminal


class Progress:
    """A line for each run that ends, and between them a bar on a terminal or a line a minute."""

    def __init__(self, planned: Sequence["Run"], waiting: Sequence["Run"]):
        self._count, self._ended = len(planned), len(planned) - len(waiting)
        self._before = {run: run.done() for run in waiting}  # of an earlier start: not of this one's speed
        self._images = sum(_images(run, run.total - self._before[run]) for run in waiting)
        self._done, self._start, self._last_line = 0, time.monotonic(), time.monotonic()
        self._bar = None
        if sys.stderr.isatty() and waiting:
            self._bar = tqdm(total=self._images, unit="image", unit_scale=True, dynamic_ncols=True, smoothing=0)

    def ended(self, run: "Run", outcome: dict, active: Iterable["Run"]) -> None:
        """Prints what became of a run; `active` are those that are being trained."""
        self._ended += 1
        self._done += _images(run, run.total - self._before[run])
        result = run.result() if outcome["state"] == "finished" else outcome["reason"]
        state = f"{outcome['state']} in {outcome['seconds']:.0f} s"
        self._print(f"[{self._ended}/{self._count}] {run}: {state}; {result}", active)

    def show(self, active: Iterable["Run"]) -> None:
        """Shows how far the runs are that are being trained."""
        if self._bar is not None:
            self._bar.n = min(self._now(active), self._images)
            self._bar.set_description_str("; ".join(f"{run}: {run.done()}/{run.total}" for run in active), refresh=True)
        elif time.monotonic() - self._last_line > _SECONDS:
            self._print("; ".join(f"{run}: step {run.done()} of {run.total}" for run in active), active)

    def close(self) -> None:
        """Leaves the terminal to others."""
        if self._bar is not None:
            self._bar.close()

    def _print(self, line, active):
        self._last_line = time.monotonic()
        if self._bar is not None:
            tqdm.write(line)
            return
        now, seconds = self._now(active), time.monotonic() - self._start
        left = f", ETA {tqdm.format_interval(seconds * (self._images - now) / now)}" if now else ""
        print(f"{line}  (all: {100 * now / self._images:.0f} %{left})", flush=True)

    def _now(self, active):
        """Images of this start so far."""
        return self._done + sum(max(0, _images(run, run.done() - self._before[run])) for run in active)


def _images(run, steps):
    return steps * run.experiment.data.batch_size
