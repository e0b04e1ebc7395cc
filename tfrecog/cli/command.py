"""The one shell of all commands. A command's file holds its flags and its `main`, and ends with

    if __name__ == "__main__":
        command.run(main, Flags())

Its docstring says what it is for, with an example: help begins with it. `main` imports what needs TensorFlow, all of it
at once: so help is quick, and a command of days loads no module that has changed since it began.
"""

import atexit
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from tfrecog.cli import errors, flags, help, signals, spelling, urls, validate
from tfrecog.cli.errors import Status, UserError
from tfrecog.runtime import devices, onednn, quiet_tensorflow

Config = TypeVar("Config")
_arguments: list[str] = []


def run(
    main: Callable[[Config], int | None],
    config: Config,
    required: Sequence[str] = (),
    check: Callable[[Config], None] = validate.check,
    trains: bool = False,
) -> NoReturn:
    """Runs `main` with `config` as the command line changes it, and ends the process with its exit status.

    Args:
        main: returns the exit status; None is 0.
        config: a frozen dataclass, each leaf of which is a flag.
        required: the flags that must be given.
        check: raises UserError for values that cannot work.
        trains: whether the command takes training steps, which oneDNN makes faster on every CPU.
    """
    _arguments[:] = sys.argv[1:]
    arguments, section = sys.argv[1:], help.asked(sys.argv[1:])
    if section is None:
        del sys.argv[1:]  # Some libraries read the command line on import, and our flags are none of theirs.
        quiet_tensorflow.install("loading TensorFlow ...")
        urls.prefer_small_reads()
        if trains:
            onednn.prefer()
        with signals.stops(main):
            end(lambda: main(_on_device(parse(config, arguments, required, check))))
    module = sys.modules[main.__module__]
    name = module.__spec__.name if module.__spec__ else main.__module__
    show(lambda: spelling.here(help.text(name, module.__doc__ or "", config, required, section)))


def arguments() -> list[str]:
    """What stood behind the name of the command that runs in this process."""
    return [*_arguments]


def _on_device(config: Config) -> Config:
    """The same, once TensorFlow computes where --device says, if the command has one."""
    devices.choose(getattr(config, "device", ""))
    return config


def parse(
    config: Config,
    arguments: Sequence[str],
    required: Sequence[str] = (),
    check: Callable[[Config], None] = validate.check,
) -> Config:
    """Returns `config` as the arguments change it; UserError names the flag that is wrong, unknown or missing."""
    try:
        given = flags.change(config, arguments, required)
    except flags.Error as error:
        raise UserError(f"{error} (--help explains all flags)") from error
    check(given)
    leaves = list(flags.leaves(given))
    of_run = " A run brings it: --flagfile=RUN" if any(leaf.path == "checkpoint" for leaf in leaves) else ""
    for leaf in leaves:
        if leaf.path in required and not leaf.value:
            brought = of_run * ("." in leaf.path)
            raise UserError(f"--{leaf.path} is missing: {leaf.meaning}{brought} (--help explains all flags)")
    return given


def show(text: Callable[[], str]) -> NoReturn:
    """Prints a help text and ends the process; a reader that leaves, as `| head` does, ends it without an error."""
    end(lambda: print(text()), reader_left=Status.DONE)


def end(work: Callable[[], int | None], reader_left: int = 128 + signal.SIGPIPE) -> NoReturn:
    """Ends the process with the exit status of `work`, whatever happens in it."""
    try:
        status = work() or Status.DONE
        sys.stdout.flush()
    except signals.Stopped as stopped:
        print(f"\nstopped; {spelling.here(stopped.consequence)}", file=sys.stderr)
        status = stopped.status
    except KeyboardInterrupt:
        print(f"\n{signals.AT_ONCE}", file=sys.stderr)
        status = 128 + signal.SIGINT
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        status = reader_left
    except Exception as error:
        status = report(error)
    # Else Python, as it ends, searches all that TensorFlow has made for cycles, for more than a second of CPU time.
    atexit.register(gc.freeze)
    sys.exit(int(status))


def report(error: Exception) -> int:
    """Prints what went wrong, in one line unless it is a bug, and returns the exit status."""
    explained = errors.explain(error)
    if explained is None:
        traceback.print_exception(error)
        return Status.FAILED
    line, status = explained
    print(f"error: {spelling.here(line)}", file=sys.stderr)
    return status


def _output_is_closed():
    """Whether the broken pipe is standard output, whose reader has left."""
    try:
        print(flush=True)
    except BrokenPipeError:
        # Python would flush the rest once more at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
