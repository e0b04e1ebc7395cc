"""Two programs measured side by side: they take turns, each in a process of its own, so each peak of memory is its own.

A module of `cases` has a function for each side, `ours` and `peer`, which imports what it needs and returns what is to
be timed by name; `Sides` starts `python -m benchmarks.sides MODULE FUNCTION ARGUMENTS` for both and asks for cases. The
order of the turns alternates, so that a machine that slows down slows both. The peer's interpreter imports this file
and the case too, so at their top they need the standard library, NumPy and Pillow alone.
"""

import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
PEER_PYTHON = os.environ.get("PEER_PYTHON", "")
CORES = 2  # Both sides run on so many.


def no_check(sides: "Sides") -> dict[str, Any]:
    """Nothing to say of a case."""
    return {}


@dataclass(frozen=True)
class Case:
    """A thing to time.

    Attributes:
        name: by which both sides know it.
        bar: the most that ours may take, as a share of the peer's time.
        arguments: of the module's function `ours`. Cases with the same ones that follow each other share two processes.
        peer: arguments of its function `peer`, if they are others.
        title: its name in the table, if it is another.
        images: how many one of the times is for, where images/s are shown.
        facts: of the row that it becomes.
        check: called before the runs with both sides; what it returns is printed and belongs to the row.
    """

    name: str
    bar: float | None = None
    arguments: tuple = ()
    peer: tuple | None = None
    warmups: int = 2
    title: str = ""
    images: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    check: Callable[["Sides"], dict[str, Any]] = no_check


def serve(cases: dict[str, Callable[[], object]]) -> None:
    """Answers each line on standard input, JSON [name, file], with one run of `cases[name]()`.

    The answer has its seconds, those of the processor, and the peak of memory so far. A case that returns a whole
    number has done so many things, and the seconds are those of one. What a case returns for a file, arrays by name, is
    written to it.
    """
    for line in sys.stdin:
        name, file = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        done = cases[name]()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if file:
            np.savez(file, **done)
        count = done if isinstance(done, int) else 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer = {"seconds": wall / count, "cpu_seconds": cpu / count, "peak_mb": peak}
        print("answer " + json.dumps(answer), flush=True)


def tensorflow(threads: int = CORES) -> Any:
    """The library, on so many threads."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    return tf


def command(python: str, module: str, function: str, *arguments: object) -> list[str]:
    """The command line of a function of a module of `cases`."""
    return [python, "-m", "benchmarks.sides", module, function, *map(str, arguments)]


def make_weights(module: str, folder: str) -> bool:
    """Has the peer write FOLDER/weights.npz, seeded random weights that both sides use; whether there is a peer."""
    if PEER_PYTHON:
        subprocess.run(command(PEER_PYTHON, module, "weights", folder), check=True, cwd=REPOSITORY)
    return bool(PEER_PYTHON)


class Side:
    """A running side; `peak_mb` is the most memory that it had so far."""

    def __init__(self, arguments: list[str], family: bool = False):
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_DEBUG") else subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, sorted(os.sched_getaffinity(0))[:CORES])
        self.peak_mb, self.family = 0.0, family
        if family:
            threading.Thread(target=self._watch, daemon=True).start()

    def run(self, case: str, file: str = "") -> dict[str, float]:
        """Runs a case, which writes a file if one is named; `seconds` and `cpu_seconds`, the latter of this process."""
        try:
            self.process.stdin.write(json.dumps([case, file]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; there is no answer to read.
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer = json.loads(line[len("answer ") :])
                if not self.family:
                    self.peak_mb = answer["peak_mb"]
                return answer
        raise RuntimeError(f"{self.process.args} ended without an answer; set BENCH_DEBUG=1 to see what it says")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def _watch(self):
        """Peak of the process and its workers together."""
        while self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, sum(map(_proportional_mb, family(self.process.pid))))
            time.sleep(0.25)


class Sides:
    """Ours, and with an interpreter for it the peer's, for as long as a `with` lasts.

    Args:
        module: of `cases`. Its PEER_PYTHON is an interpreter for the peer other than the environment's; if it has
            WORKERS, the sides have worker processes, whose memory counts.
        case: the first of those that these processes run.
    """

    def __init__(self, module: str, case: Case):
        about = importlib.import_module(f"benchmarks.cases.{module}")
        family, python = getattr(about, "WORKERS", False), getattr(about, "PEER_PYTHON", PEER_PYTHON)
        self.sides = {"ours": Side(command(sys.executable, module, "ours", *case.arguments), family)}
        if python:
            arguments = case.arguments if case.peer is None else case.peer
            self.sides["peer"] = Side(command(python, module, "peer", *arguments), family)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for side in self.sides.values():
            side.close()

    def compare(self, case: Case, runs: int) -> dict:
        """Row of alternating runs of a case: medians, all seconds, peaks, ratio ours / peer and whether it is ≤ bar."""
        answers = {name: [] for name in self.sides}
        for turn in range(case.warmups + runs):
            for name in self.sides if turn % 2 else reversed(self.sides):
                answers[name].append(self.sides[name].run(case.name))
        row = {"case": case.title or case.name, "bar": case.bar}
        for name, side in self.sides.items():
            seconds, cpu = ([one[what] for one in answers[name][case.warmups :]] for what in ("seconds", "cpu_seconds"))
            row[name] = {"median_seconds": statistics.median(seconds), "seconds": seconds}
            # What worker processes compute is not in the time of this one.
            row[name] |= {} if side.family else {"median_cpu_seconds": statistics.median(cpu)}
            row[name]["peak_mb"] = round(side.peak_mb)
        if "peer" in row:
            row["ratio"] = row["ours"]["median_seconds"] / row["peer"]["median_seconds"]
            if case.bar is not None:
                row["verdict"] = "ok" if row["ratio"] <= case.bar else "short"
        return row


def family(pid):
    """Process ids of a process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(descendant for child in children for descendant in family(child))]


def _proportional_mb(pid):
    """Proportional set size: pages shared by n processes count as 1 / n in each."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.split("\nPss:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return 0.0


if __name__ == "__main__":
    module, function, *arguments = sys.argv[1:]
    cases = getattr(importlib.import_module(f"benchmarks.cases.{module}"), function)(*arguments)
    if cases is not None:
        serve(cases)
