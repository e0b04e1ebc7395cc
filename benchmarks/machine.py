"""What a measurement was made on."""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import sides

OURS, PEERS = ("tensorflow", "keras", "numpy"), ("torch", "torchvision", "numpy")
VERSIONS = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"


def facts(peers: Sequence[str] = PEERS):
    """Processor, cores, memory, load, versions of ours and of the `peers`' packages, commit and time, as a dict."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_used": min(sides.CORES, os.cpu_count() or sides.CORES),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "ours": _versions(sys.executable, OURS),
        "peer": _versions(sides.PEER_PYTHON, peers) if sides.PEER_PYTHON else None,
        "commit": _commit(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def resident(pid: int | str = "self") -> float:
    """MB of memory that a process has."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((text.partition(":")[2].strip() for text in lines if text.startswith("model name")), platform.machine())


def _versions(python, packages):
    try:
        found = subprocess.run([python, "-c", VERSIONS, *packages], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"error: {python} does not run with {', '.join(packages)}; set PEER_PYTHON to one that does"
        ) from error
    return json.loads(found.stdout)


def _commit():
    """Hash of the commit, with + if files differ from it; empty outside a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, cwd=sides.REPOSITORY, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""
