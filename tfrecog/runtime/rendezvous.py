"""Waits until all workers of a cluster listen where TF_CONFIG says, each in a process that may have begun later."""

import contextlib
import socket
import time

from tfrecog.cli.errors import UserError
from tfrecog.runtime import tf_config
from tfrecog.runtime.tf_config import Cluster

_BETWEEN, _REPORT = 0.2, 60.0  # seconds between two tries, and between two lines for people


def wait(cluster: Cluster, patience: float) -> list[int]:
    """Listens at this worker's address until all others have listened at theirs; returns those that did not in time.

    Whoever goes on has the port afterwards. UserError if another process has it.
    """
    missing = [index for index in range(len(cluster.addresses)) if index != cluster.index]
    start = reported = time.monotonic()
    with _listener(cluster):
        while missing and time.monotonic() - start < patience:
            missing = [index for index in missing if not _listens(cluster.addresses[index])]
            if missing and time.monotonic() - reported > _REPORT:
                reported = time.monotonic()
                where = ", ".join(cluster.addresses[index] for index in missing)
                print(f"still waiting for {where}", flush=True)
            time.sleep(_BETWEEN if missing else 0)
    return missing


def _listener(cluster: Cluster) -> socket.socket:
    address = cluster.addresses[cluster.index]
    both = socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            ("", tf_config.port_of(address)), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both
        )
    except OSError as error:
        raise UserError(
            f"{tf_config.VARIABLE}: this worker is to be reached at {address}, and cannot listen there "
            f"({error.strerror}): end the process that has the port, or choose another port on every machine"
        ) from error


def _listens(address: str) -> bool:
    """Whether somebody listens at an address, whose machine may have no name yet."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=1):
        return True
    return False
