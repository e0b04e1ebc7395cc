"""What every command line of the pipelines has in common."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from absl import app, flags

from tfrecog.cli import signals
from tfrecog.cli.facts import NonNegative

from .problems import Refused


@dataclass(frozen=True)
class SplitFlags:
    """The flags of every command that builds a split."""

    out: Annotated[str, "Folder of the dataset; made if missing."] = ""
    split: Annotated[str, "Name of the split, such as train or val."] = ""
    shards: Annotated[int, "Number of files. 0: by size, about 128 MB each.", NonNegative()] = 0
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


def define_output_flags() -> None:
    """Defines the flags of the commands that build a split."""
    flags.DEFINE_string("out", None, "Folder of the dataset; made if missing.", required=True)
    flags.DEFINE_string("split", None, "Name of the split, such as train or val.", required=True)
    flags.DEFINE_integer("shards", 0, "Number of files. 0: by size, about 128 MB each.", lower_bound=0)
    flags.DEFINE_integer("jobs", 0, "Processes. 0: as many as there are cores.", lower_bound=0)


def cores() -> int:
    """Cores this process may use, which in a container can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(main: Callable[[], int | None]) -> None:
    """Parses the command line, runs `main`, and turns what goes wrong into a message and an exit status."""

    def guarded(arguments: list[str]) -> int:
        if len(arguments) > 1:
            raise app.UsageError(f"unexpected argument {arguments[1]!r}; options are written --name=value")
        try:
            return main() or 0
        except Refused as refused:
            print(f"error: {refused}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\ninterrupted; the same command goes on from here", file=sys.stderr)
            return 130

    with signals.reader_may_leave():
        app.run(guarded)
