"""SIGINT and SIGTERM, which end a command where nothing is lost, and leave nothing half written."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator


class Stopped(BaseException):
    """SIGINT or SIGTERM came. No Exception, which Keras, TensorFlow and others catch and raise as one of theirs."""

    def __init__(self, signal_number: int):
        super().__init__(signal_number)
        self.exit_status = 128 + signal_number


def listen() -> None:
    """From here on SIGINT is a KeyboardInterrupt again, which it is not while the modules of a command load."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Interruption:
    """While it is open, SIGINT and SIGTERM wait until `check`; a second one ends the program at once."""

    came: int | None = None

    def __enter__(self):
        self._immediate = False
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self):
        """Raises Stopped if a signal came."""
        if self.came:
            raise Stopped(self.came)

    @contextlib.contextmanager
    def at_once(self):
        """A context in which there is nothing to wait for; neither for what came before it."""
        self._immediate = True
        try:
            self.check()
            yield
        finally:
            self._immediate = False

    def _note(self, number, _):
        if self._immediate:
            raise Stopped(number)
        if self.came:
            raise KeyboardInterrupt
        self.came = number
        # Not print: the signal may come in the middle of one.
        os.write(2, b"\nstopping after this step (once more: at once, without a checkpoint) ...\n")


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
        sys.exit(stopped.exit_status)
