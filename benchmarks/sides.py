"""Two programs measured side by side: they take turns, each in a process of its own, so each peak of memory is its own.

A side is a script that calls `serve(cases)`; the measuring program starts it with `Side` and asks it to run a case. The
order of the turns alternates, so that a machine that slows down slows both.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

PEER_PYTHON = os.environ.get("PEER_PYTHON", "")


def serve(cases: dict[str, Callable[[], object]]) -> None:
    """Answers each line `name` on standard input with one run of `cases[name]()`: its seconds and the peak so far."""
    for line in sys.stdin:
        start = time.perf_counter()
        cases[line.strip()]()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print("answer " + json.dumps({"seconds": seconds, "peak_mb": peak}), flush=True)


class Side:
    """A running side; `run(case)` gives the seconds of one run."""

    def __init__(self, python: str, script: str, *arguments: str):
        self.process = subprocess.Popen(
            [python, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("BENCH_DEBUG") else None,
            text=True,
        )
        self.peak_mb = 0.0

    def run(self, case: str) -> float:
        self.process.stdin.write(case + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("answer "):
                answer = json.loads(line[len("answer ") :])
                self.peak_mb = answer["peak_mb"]
                return answer["seconds"]
        raise RuntimeError(f"{self.process.args} ended without an answer; set BENCH_DEBUG=1 to see what it says")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(case: str, ours: tuple[str, ...], peer: tuple[str, ...], runs: int = 7, warmups: int = 2) -> dict:
    """Medians of `runs` alternating runs of `case` by the script and arguments `ours` and, with PEER_PYTHON, `peer`."""
    sides = {"ours": Side(sys.executable, *ours)}
    if PEER_PYTHON:
        sides["peer"] = Side(PEER_PYTHON, *peer)
    seconds = {name: [] for name in sides}
    for turn in range(warmups + runs):
        for name in sides if turn % 2 else reversed(sides):
            took = sides[name].run(case)
            if turn >= warmups:
                seconds[name].append(took)
    row = {"case": case}
    for name, side in sides.items():
        row |= {f"{name}_seconds": statistics.median(seconds[name]), f"{name}_peak_mb": round(side.peak_mb)}
        side.close()
    if PEER_PYTHON:
        row["ratio"] = row["ours_seconds"] / row["peer_seconds"]
    return row


def table(rows: list[dict]) -> str:
    """The rows of `compare` for people."""
    lines = [f"{'':44} {'ours':>10} {'peer':>10} {'ratio':>7} {'MB ours':>9} {'MB peer':>9}"]
    for row in rows:
        ours, peer = row["ours_seconds"], row.get("peer_seconds")
        lines.append(
            f"{row['case']:44} {ours * 1e3:8.1f}ms "
            + (f"{peer * 1e3:8.1f}ms {row['ratio']:7.2f} " if peer else f"{'-':>10} {'-':>7} ")
            + f"{row['ours_peak_mb']:9.0f} {row.get('peer_peak_mb', '-'):>9}"
        )
    return "\n".join(lines)
