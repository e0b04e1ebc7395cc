"""Starts a command several times on this machine, as the workers of one training.

python -m tfrecog.launch --workers=2 -- tfrecog.train --flagfile=configs/scenes/classifier_r18.flags --workdir=RUN ...

Each process gets TF_CONFIG with free ports of this machine, and its share of the cores; its lines begin with its
number. SIGTERM and SIGINT go to all. When one fails, the others are ended, and its exit status is that of the launch.
"""

import importlib.util
import sys
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Length, Positional, Positive


@dataclass(frozen=True)
class Flags:
    """The flags of the launch."""

    command: Annotated[
        tuple[str, ...],
        'What is started, behind "--": a module, as for `python -m`, and its flags.',
        Positional(),
        Length(),
    ] = ()
    workers: Annotated[int, "How many processes.", Positive("processes")] = 2
    grace: Annotated[float, "Seconds that the others have to end when one has failed.", Positive("seconds")] = 60.0


def main(flags: Flags) -> int:
    """Starts the processes, and waits for them."""
    from tfrecog.runtime import launching

    module, *arguments = flags.command
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise UserError(f"there is no module {module!r}: name one as for python -m, such as tfrecog.train, behind --")
    return launching.run([sys.executable, "-m", module, *arguments], flags.workers, flags.grace)


if __name__ == "__main__":
    command.run(main, Flags(), required=("command",))
