"""SIGINT and SIGTERM, which end a command where nothing is lost, and leave nothing half written."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from tfrecog.cli.signals import Interruption, Stopped  # noqa: F401


def listen() -> None:
    """From here on SIGINT is a KeyboardInterrupt again, which it is not while the modules of a command load."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """A context that ends the program, without a traceback, when who reads its output has left, as `| head` does."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        try:
            print(flush=True)  # Is it that pipe? Nothing may be left that a flush would write.
        except BrokenPipeError:
            # Python would write what is left once more at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        raise  # It was another pipe.


@contextlib.contextmanager
def told() -> Iterator[None]:
    """A context that SIGINT and SIGTERM leave, cleaning up on the way, with a line and their exit status.

    A reader of the output that leaves ends it too.
    """

    def stop(number, _):
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with reader_may_leave():
            yield
    except Stopped as stopped:
        print("\nstopped; nothing is left half written", file=sys.stderr)
        sys.exit(stopped.status)
