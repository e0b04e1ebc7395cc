"""What this process may use of the machine: cores, memory and GPUs, within the limits of a container."""

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecog.runtime import cores

_GROUP = Path("/sys/fs/cgroup")
_GROUP_1 = _GROUP / "memory"  # of the older kind


@dataclass(frozen=True)
class Machine:
    """Of this process."""

    cores: float  # that it may use: by its affinity, and the time that a container grants
    memory: int  # bytes that are free for it
    gpus: tuple[str, ...] = ()  # their names

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self) | {"gpus": list(self.gpus)}


def here() -> Machine:
    """What this process may use now."""
    return Machine(round(granted_cores(cores.usable()), 2), free_memory(), _gpus())


def granted_cores(usable: int, read: Callable[[Path], str] | None = None) -> float:
    """Of the usable cores, those that the container's quota of time amounts to."""
    read = read or _read
    quota, _, period = read(_GROUP / "cpu.max").partition(" ")
    if not quota:  # of the older kind
        quota, period = (read(_GROUP / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdigit() and period.strip().isdigit() and int(period):
        return min(float(usable), int(quota) / int(period))
    return float(usable)


def free_memory(read: Callable[[Path], str] | None = None) -> int:
    """Bytes that this process may still take: of the machine, or what is left of a container's limit."""
    read = read or _read
    found = re.search(r"^MemAvailable:\s*(\d+) kB", read(Path("/proc/meminfo")), re.MULTILINE)
    free = [int(found[1]) * 1024] if found else []
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
    ):
        folder = _GROUP if limit == "memory.max" else _GROUP_1
        most, taken = read(folder / limit).strip(), read(folder / used).strip()
        if most.isdigit() and taken.isdigit():
            # Files that the system remembers count as used, and go when memory is needed.
            cached = re.search(r"^(?:total_)?inactive_file (\d+)", read(folder / stat), re.MULTILINE)
            free.append(int(most) - int(taken) + (int(cached[1]) if cached else 0))
    if not free:  # Systems other than Linux do not say: a fourth of what there is.
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 8 * 2**30
        free = [pages // 4]
    return max(0, min(free))


def _gpus() -> tuple[str, ...]:
    import tensorflow as tf

    details = (tf.config.experimental.get_device_details(one) for one in tf.config.list_physical_devices("GPU"))
    return tuple(str(one.get("device_name", "unknown")) for one in details)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
