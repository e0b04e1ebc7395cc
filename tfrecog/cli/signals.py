"""SIGINT and SIGTERM, which end a command where nothing is lost and leave nothing half written."""

import contextlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tfrecog import HOME

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_COMMANDS = ("tfrecog", "pipelines", "export")
_END = 0  # no signal
_PATIENCE = 2  # seconds in which a second signal may end a command in order
AT_ONCE = "stopped at once; the same command continues from the last checkpoint"
_of_command = False  # whether the process is that of a command
errors = 2  # the file descriptor of standard error; another while what TensorFlow writes to 2 is held back


class Stopped(BaseException):
    """SIGINT or SIGTERM came. Not an Exception, which Keras, TensorFlow and others catch and raise as one of theirs."""

    def __init__(self, number: int):
        super().__init__(number)
        self.status = 128 + number
        self.consequence = "nothing is left half written"  # what the command says of it


class Interruption:
    """While it is open, SIGINT and SIGTERM wait until `check`; a second one ends the program at once.

    A line says at once that the first one came: Python calls its handlers when TensorFlow comes back from a call, which
    may be minutes after, as where it compiles a step. A second one ends a command then, too.
    """

    came: int | None = None

    def __enter__(self):
        self._immediate, self._closed = False, threading.Event()
        self._before = {}
        if _is_main_thread():  # Others get no signals.
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
            reading, self._writing = os.pipe()
            os.set_blocking(self._writing, False)
            self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
            self._listener = threading.Thread(target=self._listen, args=(reading,), daemon=True)
            self._listener.start()
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
            self._closed.set()
            os.write(self._writing, bytes([_END]))
            self._listener.join()
            os.close(self._writing)

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

    def _listen(self, reading):
        """Reads the numbers of signals as they come, up to an end."""
        heard = 0
        while (number := os.read(reading, 1)[0]) != _END:
            heard += number in _SIGNALS
            if heard == 1 and number in _SIGNALS:
                when = b"" if self._immediate else b" after this step (once more: at once, without a checkpoint)"
                # Not print: the signal may come in the middle of one.
                os.write(2, b"\nstopping" + when + b" ...\n")
            elif heard > 1 and _of_command and not self._closed.wait(_PATIENCE):
                os.write(2, f"\n{AT_ONCE}\n".encode())
                os._exit(128 + number)
        os.close(reading)


def during_imports() -> None:
    """If this process is one of our commands, a signal that comes while its modules load ends it with a line."""
    started = sys.orig_argv  # The module of `python -m` is not known yet when its package is imported.
    name = started[started.index("-m") + 1] if "-m" in started[:-1] else ""
    if name.partition(".")[0] in _COMMANDS and _is_ours(name.partition(".")[0]):
        exit_at_once()


def _is_ours(package: str) -> bool:
    """Whether a package is that of this library, and not a person's own of the same name."""
    spec = importlib.util.find_spec(package)
    return bool(spec and spec.origin and Path(spec.origin).resolve().is_relative_to(HOME))


def exit_at_once() -> None:
    """From here on a signal ends the process with a line: nothing has begun."""
    for number in _SIGNALS if _is_main_thread() else ():
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _exit)


def reinstall() -> None:
    """Puts the handlers of signals back where a library, as TensorFlow's of several machines, has put its own."""
    for number in _SIGNALS if _is_main_thread() else ():
        signal.signal(number, signal.getsignal(number))


@contextlib.contextmanager
def stops(main: Callable[..., Any]) -> Iterator[None]:
    """A context in which a signal raises Stopped, and ends the process at once while `main` loads its modules."""

    def stop(number, frame):
        if _imports(frame, main):  # A module that is half loaded may catch what is raised in it.
            _exit(number, frame)
        raise Stopped(number)

    global _of_command
    before, _of_command = {number: signal.getsignal(number) for number in _SIGNALS}, True
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        _of_command = False
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_main_thread():
    return threading.current_thread() is threading.main_thread()


def _exit(number, _):
    os.write(errors, b"\nstopped\n")
    os._exit(128 + number)


def _imports(frame: FrameType | None, main: Callable[..., Any]) -> bool:
    """Whether an import statement of `main` itself is running."""
    inner = None
    while frame is not None and frame.f_code is not main.__code__:
        inner, frame = frame, frame.f_back
    return frame is not None and inner is not None and inner.f_code.co_filename.startswith("<frozen importlib")
