"""Memory that is freed goes back to the system, in a process of its own, which nobody has changed before."""

import platform
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY

# A block of 20 MB comes and goes, and then 40 of 1 MB with small ones between them that stay.
PROGRAM = """
import ctypes, sys
from tfrecog.runtime import heap

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

if sys.argv[1] == "set":
    heap.return_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.free(libc.malloc(20 * 2**20))
before, large = resident(), []
for _ in range(40):
    large.append(libc.malloc(2**20))
    ctypes.memset(large[-1], 1, 2**20)
    libc.malloc(50_000)
for block in large:
    libc.free(block)
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
@pytest.mark.parametrize("how, least, most", [("set", -1, 5), ("not set", 30, 60)])
def test_large_blocks_that_are_freed_go_back_to_the_system_though_small_ones_stay(how, least, most):
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    assert least < float(done.stdout) < most
