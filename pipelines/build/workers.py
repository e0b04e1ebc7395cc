"""Processes that work through a list of tasks, and say where they were when one of them dies."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from tfrecog.runtime import cores, quiet_tensorflow

from .problems import Refused


def run(work: Callable[[Any, Callable], Any], tasks: Sequence, *, jobs: int, progress: Callable[[int], Any]) -> list:
    """Results of `work(task, at)` for each task; `at(name)` says what it does next, and counts as a step of progress.

    Raises:
        OSError: what `work` raised, such as a full disk.
        Refused: `work` raised something else, or a process died; the message names where it was.
    """
    jobs = min(jobs or cores.usable(), len(tasks))
    if jobs <= 1:
        return [_alone(work, task, progress) for task in tasks]
    context = multiprocessing.get_context("forkserver")  # never a copy of a process that has threads
    context.set_forkserver_preload([f"{__package__}.shards"])
    workers, results = {}, {}
    waiting = list(enumerate(tasks))[::-1]
    try:
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(work, theirs), daemon=True)
            process.start()
            theirs.close()
            workers[ours] = [process, "its start"]
            ours.send(waiting.pop())
        while workers:
            for connection in wait(list(workers)):
                _hear(connection, workers, waiting, results, progress)
    except BaseException:
        for process, _ in workers.values():
            process.terminate()
        raise
    finally:
        for process, _ in workers.values():
            process.join()
    return [results[number] for number in range(len(tasks))]


def _alone(work: Callable, task: Any, progress: Callable) -> Any:
    last = "its start"

    def at(name: str) -> None:
        nonlocal last
        last = name
        progress(1)

    try:
        return work(task, at)
    except (OSError, Refused):
        raise
    except Exception as error:
        raise Refused(_failure(last, traceback.format_exc())) from error


def _hear(connection, workers: dict, waiting: list, results: dict, progress: Callable) -> None:
    """Acts on one message of a worker."""
    process, last = workers[connection]
    try:
        kind, what = connection.recv()
    except EOFError:
        process.join()
        raise Refused(
            f"a worker process died (exit status {process.exitcode}) at {last}. If it was short of memory (status -9), "
            "try fewer --jobs. The same command goes on from the finished shards."
        ) from None
    if kind == "at":
        workers[connection][1] = what
        progress(1)
    elif kind == "done":
        number, result = what
        results[number] = result
        if waiting:
            connection.send(waiting.pop())
        else:
            connection.close()
            process.join()
            del workers[connection]
    elif kind == "OSError":
        raise OSError(*what)
    elif kind == "refused":
        raise Refused(what)
    else:
        raise Refused(_failure(last, what))


def _serve(work: Callable, connection) -> None:
    """Works for the other end of the connection until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the workers.
    quiet_tensorflow.install()  # Some work reads by TensorFlow Datasets.
    try:
        while True:
            number, task = connection.recv()
            try:
                result = work(task, lambda name: connection.send(("at", name)))
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as error:
                connection.send(("OSError", (error.errno, error.strerror, error.filename)))
            except Refused as refused:
                connection.send(("refused", str(refused)))
            except Exception:
                connection.send(("failure", traceback.format_exc()))
            else:
                connection.send(("done", (number, result)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _failure(where: str, trace: str) -> str:
    return f"could not make the record of {where}; this is a mistake of the pipeline, please report it.\n{trace}"
