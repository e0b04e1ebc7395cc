"""What a recipe asks of a machine's cores: images/s of input, and what the chief takes for an image of an evaluation.

  taskset -c 0 python -m benchmarks.rates --flagfile=configs/imagenet/resnet50.flags --data.records=data/imagenet

with your records, and on as many cores as `taskset` leaves it. The numbers are --input_per_core, in images for each
second of the processor, and --chief of `benchmarks.cost`. The input is that of a training, while the pipeline is full;
nothing else computes then. What the chief does with an image of an evaluation comes after the network: of a detector,
with --detector.output.min_score=0, it is that of as many detections as there can be, by a network that has learned
nothing.
"""

import itertools
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import NonNegative, Positive
from tfrecog.config import Experiment, plain

_AHEAD = 4  # batches that are made before and after those that are timed: what is prefetched, and some more


@dataclass(frozen=True)
class Flags(Experiment):
    """The recipe, its records, and how many images are timed."""

    images: Annotated[int, "Images of a run.", Positive("images")] = 512
    runs: Annotated[int, "Runs of the input; their median counts.", Positive("runs")] = 3
    evaluated: Annotated[int, "Images of the evaluation, which the network sees. 0: none.", NonNegative("images")] = 64


def main(flags: Flags) -> None:
    """Measures both, and prints them."""
    from tfrecog import tasks
    from tfrecog.data import info
    from tfrecog.runtime import cores

    experiment = plain(flags)
    task = tasks.build(experiment, info.load(experiment.data.records))
    runs = [input_rates(task, experiment, flags.images) for _ in range(flags.runs)]
    rate, of_cpu = (statistics.median(column) for column in zip(*runs, strict=True))
    each = ", ".join(f"{one:.0f} and {other:.0f}" for one, other in runs)
    print(f"input on {cores.usable()} cores: {rate:.1f} images/s, {of_cpu:.1f} for each CPU second (runs: {each})")
    if flags.evaluated:
        seconds = chief_seconds(task, experiment, flags.evaluated)
        print(f"the chief, after the network: {1000 * seconds:.3g} CPU ms an image of an evaluation")


def input_rates(task, experiment: Experiment, images: int) -> tuple[float, float]:
    """Images/s of a training's input, and images for each second of the processor."""
    size = experiment.data.batch_size
    steps = math.ceil(images / size)
    batches = iter(task.data().batches(0, steps + 2 * _AHEAD))
    _take(batches, _AHEAD)
    start, cpu = time.perf_counter(), time.process_time()
    _take(batches, steps)
    return steps * size / (time.perf_counter() - start), steps * size / (time.process_time() - cpu)


def _take(batches, count):
    for _ in range(count):
        next(batches)


def chief_seconds(task, experiment: Experiment, images: int) -> float:
    """CPU seconds for an image of what an evaluation does after the network, with all that it writes but the report."""
    from tfrecog.data.split import Split
    from tfrecog.inference import predictor
    from tfrecog.runtime import distribution

    split, strategy = Split.open(experiment.data.records, experiment.data.eval_split), distribution.strategy()
    measured = task.evaluation.Measured(experiment, split, strategy)
    seen = predictor.predict_batches(task, task.build(), strategy, measured.batches, any_size=measured.any_size)
    seen = list(itertools.islice(seen, images))
    with tempfile.TemporaryDirectory() as folder, measured.rows(folder) as write:
        start = time.process_time()
        for outputs, facts in seen:
            write(measured.add(outputs, facts))
        measured.summarize()
        return (time.process_time() - start) / len(seen)


if __name__ == "__main__":
    command.run(main, Flags(), required=("data.records",))
