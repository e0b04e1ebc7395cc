"""Several processes of one command on this machine, each with a TF_CONFIG of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from tfrecog.runtime import tf_config

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(command: Sequence[str], count: int, grace: float = 60.0) -> int:
    """Runs a command in so many processes; returns the exit status of the first that failed, else 0.

    Args:
        grace: seconds that the others have, once one has failed, before they are killed.
    """
    processes, printers = [], []
    handlers = {number: signal.signal(number, lambda got, _: _send(processes, got)) for number in _SIGNALS}
    try:
        for index, environment in enumerate(environments(count)):
            # In a group of its own: the terminal's Ctrl-C comes to it from here, and once.
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
            process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
            _pin(process.pid, index, count)
            processes.append(process)
            printers.append(threading.Thread(target=_print, args=(process, index), daemon=True))
            printers[-1].start()
        status = _wait(processes, grace)
    finally:
        _send(processes, signal.SIGKILL)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for printer in printers:
        printer.join(timeout=5)
    return status


def environments(count: int) -> list[dict[str, str]]:
    """The environment of each process: this one's, with TF_CONFIG on free ports of this machine."""
    with contextlib.ExitStack() as listening:
        ports = []
        for _ in range(count):
            listener = listening.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [{**os.environ, tf_config.VARIABLE: json.dumps(config), "PYTHONUNBUFFERED": "1"} for config in configs]


def _pin(pid: int, index: int, count: int) -> None:
    """Gives a process its share of the cores, where there is at least one for each; its threads are as many."""
    if hasattr(os, "sched_setaffinity") and len(cores := sorted(os.sched_getaffinity(0))) >= count:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(pid, cores[index * len(cores) // count : (index + 1) * len(cores) // count])


def _print(process: subprocess.Popen, index: int) -> None:
    """Prints the lines of a process as they come."""
    for line in process.stdout or ():
        sys.stdout.write(f"[{index}] {line.decode(errors='replace')}")
        sys.stdout.flush()


def _wait(processes, grace):
    """Waits until all have ended; returns the exit status of the first that failed."""
    failed, deadline = 0, float("inf")
    while any(process.poll() is None for process in processes):
        if not failed:
            failed = next((status for one in processes if (status := one.poll())), 0)
            if failed:
                _send(processes, signal.SIGTERM)
                deadline = time.monotonic() + grace
        if time.monotonic() > deadline:
            _send(processes, signal.SIGKILL)
        time.sleep(0.1)
    failed = failed or next((one.returncode for one in processes if one.returncode), 0)
    return failed if failed >= 0 else 128 - failed


def _send(processes, number):
    """Sends a signal to those that still run."""
    for process in processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
