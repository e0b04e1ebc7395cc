"""What does the work of a build: processes of this machine, or Apache Beam with any of its runners."""

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from tfrecog.cli.facts import NonNegative, When
from tfrecog.cli.progress import Bar
from tfrecog.runtime import cores

from . import workers
from .workers import Progress, Work

Jobs = Annotated[int, "Processes. 0: as many as there are cores.", NonNegative(), When("engine", "processes")]
EngineName = Annotated[
    Literal["processes", "beam"],
    "What builds the shards: processes of this machine, or Apache Beam, on this machine or on a cluster.",
]
BeamOptions = Annotated[
    str,
    "Options of Beam with spaces between them, as in '--runner=FlinkRunner --flink_master=HOST:8081 "
    "--environment_type=EXTERNAL --environment_config=localhost:50000'. Empty: one thread of this machine.",
    When("engine", "beam"),
]


class Flags(Protocol):
    """The flags that say what does the work."""

    out: str
    split: str
    jobs: int
    engine: Literal["processes", "beam"]
    beam_options: str


class Engine(Protocol):
    """Does tasks."""

    def run(self, work: Work, tasks: Sequence, progress: Progress) -> list:
        """Results of `work(task, at)` for each task; see `workers.run`."""
        ...

    def parts(self, count: int) -> int:
        """Of how many tasks the work on so many items should be."""
        ...


@dataclass(frozen=True)
class Processes:
    """Processes of this machine."""

    jobs: int = 0  # 0: as many as there are cores

    def run(self, work: Work, tasks: Sequence, progress: Progress) -> list:
        return workers.run(work, tasks, jobs=self.jobs, progress=progress)

    def parts(self, count: int) -> int:
        return 4 * (self.jobs or cores.usable())


PROCESSES = Processes()


@dataclass(frozen=True)
class Beam:
    """Apache Beam."""

    options: str
    folder: str  # where tasks and results are while it runs; all of its workers see it there

    def run(self, work: Work, tasks: Sequence, progress: Progress) -> list:
        from . import beam  # an optional dependency

        return beam.run(work, tasks, progress, options=self.options, folder=self.folder) if tasks else []

    def parts(self, count: int) -> int:
        return max(16, count // 1000)  # Nobody knows how many workers there are.


def of_flags(flags: Flags) -> Engine:
    """The engine that the flags of a command name."""
    if flags.engine == "processes":
        return Processes(flags.jobs)
    return Beam(flags.beam_options, os.path.join(flags.out, f".{flags.split}.build"))


def conflicts(flags: Flags) -> Iterator[tuple[str, str]]:
    """What Beam says of options that cannot be, before any work; ModuleNotFoundError without Beam."""
    if flags.engine == "beam":
        from . import beam

        if problem := beam.problem(flags.beam_options):
            yield "beam_options", problem


def each(work: Callable[[Any], Any], items: Sequence, engine: Engine, words: str) -> list:
    """Results of `work`, which is picklable, of items with names, in their order; `words` say what it does."""
    size = -(-len(items) // engine.parts(len(items)))  # Some work reads on from the item before.
    parts = [items[first : first + size] for first in range(0, len(items), size)]
    with Bar(total=len(items), desc=words, leave=False, delay=1) as bar:
        made = engine.run(functools.partial(_all, work), parts, bar.update)
    return list(itertools.chain.from_iterable(made))


def _all(work: Callable[[Any], Any], items: Sequence, at: Callable[[str], Any]) -> list:
    results = []
    for item in items:
        at(item.name)
        results.append(work(item))
    return results
