"""How fast devices add up a gradient: between machines, workers of one machine, or the GPUs of one.

  python -m tfrecog.launch --workers=2 -- benchmarks.all_reduce --megabytes=102.2

or, on each machine, with TF_CONFIG as for a training, `python -m benchmarks.all_reduce --megabytes=102.2`. The size is
that of the recipe's gradient, which `python -m benchmarks.cost` counts; the strategy is that of `tfrecog.train`. The
bandwidth is what each device sends in a ring, 2 (n - 1) / n of the bytes, in the median time: --network of
`benchmarks.cost`, or --link within a machine.
"""

import statistics
import time
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Positive


@dataclass(frozen=True)
class Flags:
    """What is added up, and how often."""

    megabytes: Annotated[float, "Size of the gradient.", Positive("MB")] = 100.0
    runs: Annotated[int, "Additions that are timed, after three that are not.", Positive("runs")] = 20


def main(flags: Flags) -> None:
    """Times the additions, and prints what they took."""
    import tensorflow as tf

    from tfrecog.runtime import cluster, distribution

    workers = cluster.join(timeout=30.0)
    strategy = distribution.strategy()
    count = strategy.num_replicas_in_sync
    if count == 1:
        raise UserError(
            "one device has nothing to exchange: start two workers, python -m tfrecog.launch --workers=2 -- "
            "benchmarks.all_reduce"
        )

    @tf.function(autograph=False)
    def added(size):
        """The first number of the sum of ones [size] of all devices."""

        def one():
            ones = tf.ones([size])
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, [ones])[0][0]

        return strategy.experimental_local_results(strategy.run(one))[0]

    with workers.together():
        for name, size in (("4 bytes", 1), (f"{flags.megabytes:g} MB", round(flags.megabytes * 1e6 / 4))):
            seconds, cpu = [], 0.0
            for run in range(3 + flags.runs):
                cpu = cpu if run > 3 else time.process_time()
                start = time.perf_counter()
                total = float(added(tf.constant(size)))
                seconds.append(time.perf_counter() - start)
                if total != count:
                    raise RuntimeError(f"the sum of {count} ones is {total:g}")
            cpu = (time.process_time() - cpu) / flags.runs
            workers.say(f"{line(name, 4 * size, count, seconds[3:])}; {cpu * 1e3:.2f} CPU ms here")


def line(name: str, size: int, count: int, seconds: list[float]) -> str:
    """What the additions of `size` bytes took, for people."""
    median = statistics.median(seconds)
    gigabits = 2 * (count - 1) / count * size * 8 / median / 1e9
    milliseconds = f"{median * 1e3:.2f} ms ({min(seconds) * 1e3:.2f} to {max(seconds) * 1e3:.2f})"
    return f"{count} devices, {name}: {milliseconds}, {gigabits:.2f} Gbit/s from each"


if __name__ == "__main__":
    command.run(main, Flags())
