"""Processes that work through a list of tasks, and say where they were when one of them dies."""

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from tfrecog.cli import urls
from tfrecog.runtime import cores, quiet_tensorflow

from .problems import Refused

Progress = Callable[[int], Any]  # of so many steps
Work = Callable[[Any, Callable[[str], None]], Any]  # of a task; it says what it does next


def run(work: Work, tasks: Sequence, *, jobs: int, progress: Progress) -> list:
    """Results of `work(task, at)` for each task; `at(name)` says what it does next, and counts as a step of progress.

    Raises:
        OSError: what `work` raised, such as a full disk.
        Unreachable: what it raised.
        Refused: `work` raised something else, or a process died; the message names where it was.
    """
    jobs = min(jobs or cores.usable(), len(tasks))
    if jobs <= 1:
        return [explained(work, task, lambda name: progress(1)) for task in tasks]
    context = multiprocessing.get_context("forkserver")  # never a copy of a process that has threads
    # What the command has imported of formats is imported once, not by each process; but no TensorFlow.
    formats = [name for name in sys.modules if name.startswith("pipelines.formats.") and "tfds" not in name]
    context.set_forkserver_preload([f"{__package__}.shards", *formats])
    workers, places, results = {}, {}, {}  # processes and where they are, by connection
    waiting = list(enumerate(tasks))[::-1]
    try:
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            workers[ours] = process
            theirs.close()
            places[ours] = "its start"
            ours.send(waiting.pop())
        while places:
            for connection in wait(list(places)):
                try:
                    kind, what = connection.recv()
                except EOFError:
                    workers[connection].join()
                    raise Refused(
                        f"a worker process died (exit status {workers[connection].exitcode}) at {places[connection]}. "
                        "If it was short of memory (status -9), try fewer --jobs. The same command goes on from the "
                        "finished shards."
                    ) from None
                if kind == "at":
                    places[connection] = what
                    progress(1)
                elif kind == "error":
                    raise what
                else:
                    results[kind] = what
                    if waiting:
                        connection.send(waiting.pop())
                    else:
                        connection.close()
                        del places[connection]
    except BaseException:
        for process in workers.values():
            process.terminate()
        raise
    finally:
        for process in workers.values():
            process.join()
    return [results[number] for number in range(len(tasks))]


def _serve(work: Work, connection) -> None:
    """Works for the other end of the connection until it closes; sends results by number of the task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the workers.
    quiet_tensorflow.install()  # Some work reads by TensorFlow Datasets.
    try:
        while True:
            number, task = connection.recv()
            try:
                result = explained(work, task, lambda name: connection.send(("at", name)))
            except (OSError, Refused, urls.Unreachable) as error:
                connection.send(("error", error))
            else:
                connection.send((number, result))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def explained(work: Work, task: Any, at: Callable[[str], Any]) -> Any:
    """The result of a task; Refused names where it was if it raises what nobody expects."""
    last = "its start"

    def note(name: str) -> None:
        nonlocal last
        last = name
        at(name)

    try:
        return work(task, note)
    except (OSError, Refused, urls.Unreachable):
        raise
    except Exception as error:
        raise Refused(
            f"could not make the record of {last}; this is a mistake of the pipeline, please report it.\n"
            f"{traceback.format_exc()}"
        ) from error
