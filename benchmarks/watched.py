"""What a command takes while it runs: processor seconds and peak memory of its own process, and of those it starts."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import sides

_TICKS = os.sysconf("SC_CLK_TCK")
_PAUSE = 0.02  # seconds


@dataclass(frozen=True)
class Use:
    """What a command has used."""

    seconds: float  # of the clock
    cpu: float  # seconds, of its own process
    peak: float  # MB, of that
    others_cpu: float = 0.0  # seconds, of the processes that it has started, all together
    others_peak: float = 0.0  # MB, of the largest of them


def run(command: Sequence[str], until: Callable[[str], bool] | None = None, folder: str | Path = sides.REPOSITORY):
    """The `Use` of a command in a checkout until it ends, or until something is true of what it has printed.

    Then it is stopped by SIGTERM. RuntimeError with what it has said if it fails, or ends before.
    """
    with tempfile.TemporaryFile("w+") as said:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        start, used, come = time.perf_counter(), {}, False
        try:
            while process.poll() is None and not come:
                time.sleep(_PAUSE)
                come = until is not None and until(_text(said))
                for pid in sides.family(process.pid):
                    with contextlib.suppress(OSError, IndexError, ValueError):  # It has ended.
                        used[int(pid)] = _of(int(pid))
            seconds = time.perf_counter() - start
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait()
        if not come and (until is not None or process.returncode):
            raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}:\n{_text(said)}")
    own, others = used.pop(process.pid), list(used.values())
    return Use(seconds, *own, sum(cpu for cpu, _ in others), max((peak for _, peak in others), default=0.0))


def _text(file) -> str:
    return os.pread(file.fileno(), 2**20, 0).decode(errors="replace")


def _of(pid: int) -> tuple[float, float]:
    """Seconds of the processor and MB of a process so far."""
    after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]
    return (int(after[11]) + int(after[12])) / _TICKS, int(peak) / 1024
