"""What a person sees while a study trains: a line for each run that ends, and how long all of them will take."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tfrecog.cli.progress import Bar

if TYPE_CHECKING:
    from tfrecog.studies.runner import Run


class Progress:
    """A line for each run that ends, and between them a bar on a terminal or a line a minute."""

    def __init__(self, planned: Sequence["Run"], waiting: Sequence["Run"]):
        self._count, self._ended = len(planned), len(planned) - len(waiting)
        self._before = {run: run.done() for run in waiting}  # of an earlier start: not of this one's speed
        self._done = 0
        total = sum(_images(run, run.total - self._before[run]) for run in waiting)
        self._bar = Bar(total=total, desc="study", smoothing=0, disable=not waiting)

    def ended(self, run: "Run", outcome: dict) -> None:
        """Prints what became of a run."""
        self._ended += 1
        self._done += _images(run, run.total - self._before[run])
        result = run.result() if outcome["state"] == "finished" else outcome["reason"]
        state = f"{outcome['state']} in {outcome['seconds']:.0f} s"
        with Bar.external_write_mode():
            print(f"[{self._ended}/{self._count}] {run}: {state}; {result}", flush=True)

    def show(self, active: Iterable["Run"]) -> None:
        """Shows how far the runs are that are being trained."""
        now = self._done + sum(max(0, _images(run, run.done() - self._before[run])) for run in active)
        text = "; ".join(f"{run}: {run.done()}/{run.total}" for run in active)
        self._bar.set_description_str(text or "study", refresh=False)
        self._bar.update(now - self._bar.n)

    def close(self) -> None:
        """Leaves the terminal to others."""
        self._bar.close()


def _images(run, steps):
    return steps * run.experiment.data.batch_size
