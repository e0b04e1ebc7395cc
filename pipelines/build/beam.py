"""Tasks on Apache Beam, on any of its runners.

A pipeline carries the numbers of the tasks alone. The tasks, and what came of them, are files in a folder that all
workers see: so neither is bounded by what a runner takes in one message, a task that fails takes no other with it and
is not tried again, results come from every runner alike, and are seen as they come. When the folder is gone, whoever
still works ends before the next item.
"""

import contextlib
import io
import logging
import os
import pickle
import platform
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecog.cli import files, urls
from tfrecog.cli.progress import Bar
from tfrecog.runtime import quiet_tensorflow

from . import workers
from .problems import Refused
from .workers import Progress, Work

logging.disable(logging.WARNING)  # Its import warns that clients of BigQuery are missing.
try:
    import apache_beam as beam
    import grpc  # a dependency of Beam
    from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions
    from apache_beam.runners.runner import PipelineState
finally:
    logging.disable(logging.NOTSET)

# What stands before the options that are given, and so gives way to them.
_DEFAULTS = (
    # Of pipelines that may have such triggers (ours has none) DirectRunner does not look on the net for a program that
    # would take its place.
    "--allow_unsafe_triggers",
    "--direct_running_mode=multi_threading",  # With in_memory the work is in the thread that gets signals.
    "--default_sdk_harness_log_level=WARNING",
    "--job_server_timeout=60",  # Beam's 300 seconds are long for an address that is wrong.
)
_PAUSE = 1.0  # seconds between two looks: for results, and whether to go on
_SILENCE = 30.0  # seconds without a worker that has begun, after which a line says so
_WAITING = (
    f"no worker has begun after {_SILENCE:.0f} seconds; still waiting for Beam's runner. If it takes longer than its "
    "workers need to start, check that the addresses in --beam_options can be reached"
)
_AGAIN = "The same command goes on from the finished shards."


@dataclass(frozen=True)
class Outcome:
    """What came of a task."""

    steps: int  # of progress
    result: Any = None
    error: OSError | Refused | urls.Unreachable | None = None


def run(work: Work, tasks: Sequence, progress: Progress, *, options: str, folder: str) -> list:
    """Results of `work(task, at)` for each task, as `workers.run` has them; progress comes when a task is done.

    After an error no further task begins, and those that have begun are finished.

    Args:
        options: Beam's, as on a command line.
        folder: of the build, at the same path for all workers.

    Raises:
        OSError: what `work` raised, such as a full disk.
        Unreachable: what it raised.
        Refused: `work` raised something else, or Beam failed; the message names where it was.
    """
    made = [path for path in (folder, os.path.dirname(folder)) if not os.path.exists(path)]
    os.makedirs(folder, exist_ok=True)
    place = Path(folder, os.path.basename(tempfile.mkdtemp(dir=folder, prefix=".beam-")))
    names = [getattr(task, "name", "") for task in tasks]  # of shards
    try:
        place.chmod(0o777 & ~files.umask())  # A worker may be another user's.
        for number, task in enumerate(tasks):
            (place / f"task-{number}").write_bytes(pickle.dumps((work, task)))
        parsed = _options(options)
        with _Watch(place, progress, here=_is_direct(parsed)) as watch:
            _run_pipeline(place, len(tasks), parsed)
    except _Died as died:
        where = names[watch.died] or f"part {watch.died + 1} of {len(tasks)}"
        raise Refused(f"a worker process died in {where}. {_AGAIN}") from died
    finally:
        shutil.rmtree(place, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):  # There is something in it.
                os.rmdir(path)
    for number, outcome in sorted(watch.outcomes.items()):
        if isinstance(outcome.error, Refused) and names[number]:
            raise type(outcome.error)(f"{names[number]}: {outcome.error}")
        if outcome.error:
            raise outcome.error
    if len(watch.outcomes) < len(tasks):
        raise Refused(f"{len(tasks) - len(watch.outcomes)} of {len(tasks)} tasks left no result. {_AGAIN}")
    return [watch.outcomes[number].result for number in range(len(tasks))]


def problem(options: str) -> str:
    """What Beam says of options that it does not take; empty if it takes them."""
    said, parsers = io.StringIO(), []
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parsed = _options(options)
            beam.Pipeline(options=parsed)
            parsed.get_all_options(add_extra_args_fn=parsers.append)
            _, unknown = parsers[0].parse_known_args(shlex.split(options))
    except SystemExit:  # argparse's, after its usage, or after help
        return said.getvalue().strip().rpartition("error: ")[2] or "these options end Beam at once; leave --help out"
    except Exception as error:  # A runner may raise anything.
        return " ".join(str(error).split())
    finally:
        logging.disable(logging.NOTSET)
    if not _is_direct(parsed):  # Others know more options than Beam's library.
        return ""
    if unknown:
        return f"Beam has no option {' '.join(unknown)}"
    if (count := parsed.view_as(DirectOptions).direct_num_workers) < 0:
        return f"--direct_num_workers={count} is no number of threads; 0 takes one for each core"
    return ""


def _options(text: str) -> PipelineOptions:
    return PipelineOptions([*_DEFAULTS, *shlex.split(text)])


def _is_direct(options: PipelineOptions) -> bool:
    """Whether the runner is Beam's own, whose workers are on this machine."""
    return (options.view_as(StandardOptions).runner or "direct").lower() in ("direct", "directrunner")


def _run_pipeline(place: Path, count: int, options: PipelineOptions) -> None:
    """Runs all tasks and waits for them."""
    pipeline = beam.Pipeline(options=options)
    spec = sys.modules["__main__"].__spec__
    worker = Worker(str(place), spec.name if spec else "__main__", os.getcwd())
    # Without the shuffle one worker would get all numbers.
    _ = pipeline | "numbers" >> beam.Create(range(count)) | beam.Reshuffle() | "work" >> beam.ParDo(worker)
    running = None
    try:
        running = pipeline.run()
        state = running.wait_until_finish()
    except BaseException as error:
        if running is not None:
            with contextlib.suppress(Exception):
                running.cancel()
        if not isinstance(error, Exception):
            raise
        *_, last = [line.strip() for line in (str(error) or repr(error)).splitlines() if line.strip()]
        said = _no_answer(options) if isinstance(error, grpc.FutureTimeoutError) else last.rstrip(".")
        raise Refused(f"Beam failed: {said}. {_AGAIN}") from error
    if state != PipelineState.DONE:
        raise Refused(f"Beam's run ended as {state}; its log says why. {_AGAIN}")


def _no_answer(options: PipelineOptions) -> str:
    known = options.view_as(PortableOptions)
    return (
        f"no job server answers at --job_endpoint={known.job_endpoint} within {known.job_server_timeout} seconds: "
        "start it there, or correct the address in --beam_options; --job_server_timeout=SECONDS there waits longer"
    )


class _Died(BaseException):
    """A worker process of this machine is gone."""


class _Watch:
    """While it is open, reads what comes of the tasks and makes progress.

    If the workers are `here`, _Died comes when the process of one is gone, for which DirectRunner would wait for ever.
    """

    died = -1  # the number of its task

    def __init__(self, place: Path, progress: Progress, *, here: bool):
        self.outcomes: dict[int, Outcome] = {}
        self._asks = here and threading.current_thread() is threading.main_thread()  # which alone gets signals
        self._place, self._progress, self._over = place, progress, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        self._before = signal.signal(signal.SIGUSR1, self._end) if self._asks else None
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        if self._asks:
            signal.signal(signal.SIGUSR1, self._before)
        self._collect()

    def _look(self) -> None:
        start, said = time.monotonic(), False
        while not self._over.wait(_PAUSE):
            if not said and time.monotonic() > start + _SILENCE:
                said = True
                if not any(self._begun()):
                    Bar.write(_WAITING)
            gone = [number for number, process in self._begun() if _is_gone(process)] if self._asks else []
            self._collect()
            gone = [number for number in gone if number not in self.outcomes]
            if gone:
                self.died = gone[0]
                return signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def _begun(self) -> Iterator[tuple[int, int]]:
        """Number and process of each task that is begun."""
        for path in self._place.glob("begun-*"):
            _, number, process = path.name.split("-")
            yield int(number), int(process)

    def _collect(self) -> None:
        for path in self._place.glob("outcome-*"):
            number = int(path.name.partition("-")[2])
            if number not in self.outcomes:
                self.outcomes[number] = pickle.loads(path.read_bytes())
                self._progress(self.outcomes[number].steps)

    def _end(self, *_):
        raise _Died


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's
        pass
    return False


class _Ended(BaseException):
    """Nobody waits for the work any more. Not an Exception, which it may catch."""


class Worker(beam.DoFn):
    """Does the tasks of a folder by their numbers; runs in Beam's workers.

    Relative paths are of the folder `start`, in which the command runs.
    """

    def __init__(self, place: str, main: str, start: str):
        self._place, self._main, self._start = Path(place), main, start

    def setup(self):
        if os.getcwd() != self._start:
            with contextlib.suppress(OSError):  # Where it is not there, absolute paths may be.
                os.chdir(self._start)
        quiet_tensorflow.install()  # Some work reads by TensorFlow Datasets.

    def process(self, number: int):
        """Leaves what comes of a task beside it."""
        path = self._place / f"task-{number}"
        if not path.exists():
            what = f"a worker does not see {Path(self._start, path)}: --out, and what is read, must be where they are"
            raise RuntimeError(f"{what} here, at the same paths, on the machines of all workers.")
        if (self._place / "failed").exists():
            return
        (self._place / f"begun-{number}-{os.getpid()}").touch()
        with contextlib.suppress(_Ended):
            outcome = self._outcome(path)
            if outcome.error and self._place.exists():
                (self._place / "failed").touch()
            if self._place.exists():  # Else the file would bring the folder back.
                with files.write(self._place / f"outcome-{number}", "wb") as file:
                    pickle.dump(outcome, file)

    def _outcome(self, path: Path) -> Outcome:
        steps, looked = 0, time.monotonic()

        def at(name: str) -> None:
            nonlocal steps, looked
            steps += 1
            if time.monotonic() > looked + _PAUSE:
                looked = time.monotonic()
                if not self._place.exists():
                    raise _Ended

        try:
            work, task = self._load(path)
            result = workers.explained(work, task, at)
            return Outcome(steps, result)
        except (OSError, Refused, urls.Unreachable) as error:
            return Outcome(steps, error=error)

    def _load(self, path: Path) -> tuple[Work, Any]:
        try:
            with open(path, "rb") as file:
                return _Unpickler(file, self._main).load()
        except Exception as error:
            what = f"Beam's worker on {platform.node()} cannot read the work ({type(error).__name__}: {error})"
            raise Refused(f"{what}; install the same tfrecog there, and what else the work needs.") from error


class _Unpickler(pickle.Unpickler):
    """Finds what the command's own module holds, which is __main__ where it was started alone."""

    def __init__(self, file, main: str):
        super().__init__(file)
        self._main = main

    def find_class(self, module_name: str, global_name: str) -> Any:
        return super().find_class(self._main if module_name == "__main__" else module_name, global_name)
