"""How the process gives memory back to the system when it is freed."""

import contextlib
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's malloc.h
_LARGE = 2**18  # bytes


def return_freed() -> None:
    """Of glibc: what is large is mapped by itself and goes when it is freed, and all threads share two arenas.

    By default the first large block that is freed makes glibc keep all up to its size, and each thread has an arena of
    its own; a server of a few bodies of 30 MB among many small ones keeps hundreds of MB so. Not for a process that
    computes in TensorFlow, whose tensors would be mapped anew in each step. Elsewhere it does nothing.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # musl, macOS and Windows have no mallopt.
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_ARENA_MAX, 2)
