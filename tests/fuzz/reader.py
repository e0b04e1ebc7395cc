"""A reader with many inputs, in a process of its own or not."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tests.fuzz.attempts import Fault, attempt
from tests.fuzz.targets import TARGETS


def tried(inputs: int, seed: int, out: str, name: str) -> tuple[list[str], int]:
    """What is printed of the reader of a name, and the number of its faults, of which the first is kept in `out`."""
    target, lines, became, faults = TARGETS[name], [], Counter(), 0
    tries = -(-inputs // 20) if target.is_dear else inputs
    for number in range(tries):
        root = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            became[attempt(target, f"{name} {seed} {number}", root)] += 1
        except Fault as fault:
            faults += 1
            if faults == 1:
                kept = Path(out) / f"{name}-{seed}-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(root, kept, symlinks=True)
                (kept / "fault.txt").write_text(str(fault), errors="backslashreplace")
                lines.append(f"{kept}: {str(fault).strip().splitlines()[-1]}")
        finally:
            shutil.rmtree(root)
    read, compared = became["read"] + became["compared"], became["compared"]
    lines.append(f"{name:12} {tries:7,} inputs, {read:7,} read, {compared:7,} compared, {faults:,} faults")
    return lines, faults
