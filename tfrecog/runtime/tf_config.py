"""TF_CONFIG, the environment variable of tf.distribute by which launchers tell each machine of the others.

    {"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}

A cluster may have one "chief", which is then the first worker; else that is worker 0.
"""

import json
import os
from typing import NamedTuple

from tfrecog.cli.errors import UserError

VARIABLE = "TF_CONFIG"
FORM = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
_REFUSED = {
    "ps": "has parameter servers, which train asynchronously: make all machines workers",
    "evaluator": "has an evaluator: leave it out, the workers evaluate together",
    "tpu_worker": "is of TPUs, on which this library does not train",
}


class Cluster(NamedTuple):
    """What TF_CONFIG says."""

    tasks: tuple[tuple[str, int], ...]  # TensorFlow's names of the workers, the chief first
    addresses: tuple[str, ...]
    index: int  # of this process

    @property
    def spec(self) -> dict[str, list[str]]:
        """Addresses of the tasks of each kind, for tf.distribute."""
        of = dict(zip(self.tasks, self.addresses, strict=True))
        return {kind: [of[kind, number] for number in range(count)] for kind, count in self.jobs}

    @property
    def jobs(self) -> list[tuple[str, int]]:
        """Name and number of the tasks of each kind."""
        kinds = [kind for kind, _ in self.tasks]
        return [(kind, kinds.count(kind)) for kind in dict.fromkeys(kinds)]


def read(text: str | None = None) -> Cluster | None:
    """The cluster of TF_CONFIG, or of such a text; None without one of several workers. UserError if it cannot be."""
    text = os.environ.get(VARIABLE, "") if text is None else text
    try:
        config = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise UserError(f"{VARIABLE} is not JSON ({error}): {text[:200]!r}; it has the form {FORM}") from error
    cluster, task = (config.get("cluster", {}), config.get("task", {})) if isinstance(config, dict) else ((), ())
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise UserError(f"{VARIABLE} has the form {FORM}, and not {text[:200]}")
    if "sparseCluster" in config or any(isinstance(addresses, dict) for addresses in cluster.values()):
        raise UserError(
            f"{VARIABLE} names this worker alone and not the others: leave enableDynamicWorker out of the TFJob"
        )
    _check(cluster, kind := task.get("type"))
    tasks = [(role, place) for role in ("chief", "worker") for place in range(len(cluster.get(role, ())))]
    addresses = [cluster[role][place] for role, place in tasks]
    if len(tasks) < 2:
        return None
    if (place := (kind, task.get("index", 0))) not in tasks:
        there = ", ".join(f"{role} {number}" for role, number in tasks[:8])
        raise UserError(f"{VARIABLE}: no worker of its cluster is {json.dumps(task)}; make task one of {there}")
    return Cluster(tuple(tasks), tuple(addresses), tasks.index(place))


def _check(cluster: dict, kind: str | None) -> None:
    """UserError where a cluster, or a task of this kind, cannot be trained on."""
    for role in (*cluster, kind):
        if role in _REFUSED or role not in ("chief", "worker", None):
            raise UserError(f"{VARIABLE} {_REFUSED.get(role, f'has the role {role!r}: make it worker or chief')}")
    for role, addresses in cluster.items():
        good = isinstance(addresses, list) and all(isinstance(one, str) and port_of(one) for one in addresses)
        if not good or not addresses:
            raise UserError(f"{VARIABLE}: cluster.{role} is {json.dumps(addresses)[:200]}; make it a list of host:port")
    if len(cluster.get("chief", [])) > 1:
        raise UserError(f"{VARIABLE}: a cluster has one chief, and not {len(cluster['chief'])}: the others are workers")
    addresses = [one for some in cluster.values() for one in some]
    if twice := [one for one in addresses if addresses.count(one) > 1]:
        raise UserError(f"{VARIABLE}: {twice[0]} is the address of two workers: give each its own")


def port_of(address: str) -> int:
    """The port of host:port, 0 if it is none."""
    host, _, port = address.rpartition(":")
    return int(port) if host and port.isdecimal() and int(port) < 2**16 else 0
