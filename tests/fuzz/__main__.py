"""Damages small inputs of every reader of files of others, and reads them.

  python -m tests.fuzz --seed=7
  python -m tests.fuzz --only=coco,voc --inputs=10000

An input has to be read, or refused in a sentence that names a file or a flag: without a traceback, within 10 seconds,
and without a file written beside the folder of the output. What is read is compared with an independent reading where
there is one (readings.py), and no object may be lost without a line in the report (counted.py). The number of inputs of
each reader is printed; the first one that is a fault is kept in --out, with its traceback. The same seed gives the same
inputs.
"""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import Status, UserError
from tfrecog.cli.facts import Length, NonNegative, Positive, Range
from tfrecog.runtime import cores


@dataclass(frozen=True)
class Fuzz:
    """The flags."""

    inputs: Annotated[
        int, "Damaged inputs of each reader; a twentieth of those of models and of the server.", Positive("inputs")
    ] = 1000
    seed: Annotated[int, "Decides the inputs.", Range()] = 0
    only: Annotated[tuple[str, ...], "Names of the readers. Empty: all.", Length()] = ()
    out: Annotated[str, "Folder of the inputs that are faults."] = "fuzz-faults"
    jobs: Annotated[int, "Processes, each with a reader at a time. 0: as many as there are cores.", NonNegative()] = 0


def main(flags: Fuzz) -> int:
    from tests.fuzz import reader
    from tests.fuzz.targets import TARGETS

    if unknown := sorted(set(flags.only) - set(TARGETS)):
        raise UserError(f"--only={','.join(unknown)}: the readers are {', '.join(TARGETS)}")
    names, any_fault = flags.only or tuple(TARGETS), False
    context = multiprocessing.get_context("spawn")  # not a copy of this process, in which TensorFlow has threads
    with ProcessPoolExecutor(flags.jobs or cores.usable(), context) as pool:
        for lines, faults in pool.map(functools.partial(reader.tried, flags.inputs, flags.seed, flags.out), names):
            print(*lines, sep="\n", flush=True)
            any_fault |= faults > 0
    return Status.FAILED if any_fault else Status.DONE


if __name__ == "__main__":
    command.run(main, Fuzz())
