"""What keeps a training to a time: it is told of each step and each evaluation, and may move the end."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Bend(NamedTuple):
    """From this step on the learning rate aims for 0 at another end."""

    end: int  # steps of the whole training, not fewer than are done
    why: str  # in words, behind "step 120: "


class Pace(Protocol):
    """See `loop.train`. Its bends are noted in the run's experiment.flags, which alone repeats the run to the bit."""

    def begins(self, done: int, notes: dict[str, Any] | None) -> None:
        """Before the first of the steps that are left; with the `notes` of the checkpoint that it goes on from."""
        ...

    def stepped(self, done: int, total: int, timed: bool = True) -> Bend | None:
        """After each call of some steps, of which `total` are to be taken; one that built its graph is not `timed`."""
        ...

    def evaluates(self, done: int, total: int) -> bool:
        """Whether there is time for an evaluation on the way, which is due."""
        ...

    def evaluated(self, done: int, total: int, metrics: Mapping[str, float]) -> Bend | None:
        """After each evaluation; after the last one nothing can bend."""
        ...

    def notes(self) -> dict[str, Any]:
        """What it is to know again when the run goes on from a checkpoint that is written now; JSON-able."""
        ...
