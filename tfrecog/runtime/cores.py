"""How many cores this process may use."""

import os


def usable() -> int:
    """Cores that this process may use, which in a container can be fewer than the machine has."""
    # Systems other than Linux do not say what a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
