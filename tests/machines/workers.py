"""Several workers on this machine, each a process with a TensorFlow of its own."""

import json
import socket

from tests.folders import REPOSITORY
from tests.processes import Process


class Machines:
    """A training on workers, which are processes of this machine on a core each.

    Args:
        recipe: of configs/smoke.
        configs: TF_CONFIG of each worker, where it is another than that of a cluster of `count`.
        own: flags of single workers, by index.
    """

    def __init__(self, recipe, records, workdir, *flags, count=2, configs=None, own=None):
        start = "tfrecog.train", f"--flagfile={REPOSITORY}/configs/smoke/{recipe}.flags"
        places = f"--data.records={records}", f"--workdir={workdir}"
        self.configs = configs or tf_configs(count)
        self.processes = [
            Process(
                REPOSITORY / "tests" / "worker.py", index, config, *start, *places, *flags, *(own or {}).get(index, ())
            )
            for index, config in enumerate(self.configs)
        ]

    def finish(self, timeout=300):
        """Exit status and output of each."""
        return [process.finish(timeout) for process in self.processes]


def tf_configs(count):
    """TF_CONFIG of each of so many workers, on free ports."""
    listeners = [socket.socket() for _ in range(count)]
    for listener in listeners:
        listener.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]


def train(recipe, records, workdir, *flags, **options):
    """Outputs of a training on workers, all of which must succeed."""
    outcomes = Machines(recipe, records, workdir, *flags, **options).finish()
    assert [status for status, _ in outcomes] == [0] * len(outcomes), outcomes
    return [output for _, output in outcomes]


def alone(recipe, records, workdir, *flags, replicas=2):
    """Output of the same training in one process of so many replicas, on one core."""
    (output,) = train(recipe, records, workdir, f"--train.replicas={replicas}", *flags, configs=[""])
    return output
