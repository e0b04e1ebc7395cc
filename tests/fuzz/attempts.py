"""One try of a reader: a small input of its own, damaged, has to be read or refused in a sentence."""

import contextlib
import io
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz import mutations
from tfrecog.cli import errors


@dataclass(frozen=True)
class Target:
    """A reader, and what writes small inputs for it that are whole."""

    write: Callable[[Path, Random], object]  # into a folder
    damage: tuple[str, ...]  # patterns of the files of which one is damaged
    read: Callable[[Path, Path], object]  # from the folder; what it writes goes to the other one
    made_again: str = "none"  # pattern of the files in the folder that reading may write
    # with an independent reading: whether it could be; AssertionError: they differ
    compare: Callable[[Path, Path], bool] | None = None
    is_dear: bool = False  # It takes a twentieth of the inputs of others.


class Fault(Exception):
    """What no input may do; the message says what it was, with the traceback."""


class _Hangs(BaseException):
    """Not an Exception, which some readers catch and explain."""


def attempt(target: Target, seed: str, root: Path, *, damage: bool = True, seconds: float = 10.0) -> str:
    """What became of the input of a seed: "refused" in a sentence, "read", or "compared" with an independent reading.

    Args:
        target: the reader.
        seed: decides the input and its damage.
        root: empty folder. The input (`a/b/in`) and what is written (`a/b/out`) lie so deep that `../../` stays in it.
        damage: False reads the input as it is.
        seconds: that reading may take.

    Raises:
        Fault: reading ended in a traceback, took too long, found other things than the independent reading, or
            changed a file outside of `out`; or the sentence names neither a file nor a flag.
    """
    rng, folder, out = Random(seed), root / "a/b/in", root / "a/b/out"
    folder.mkdir(parents=True)
    with _printing():
        target.write(folder, rng)
    if damage:
        path = rng.choice(rng.choice([paths for one in target.damage if (paths := sorted(folder.glob(one)))]))
        path.write_bytes(mutations.damaged(path.name, path.read_bytes(), rng))
    before, became = _files(root, out, target), "refused"
    try:
        with _alarm(seconds), _printing():
            target.read(folder, out)
            became = "read"
            if target.compare:
                became = _compared(target, folder, out, damage)
    except _Hangs as error:
        raise Fault(f"it took more than {seconds:g} seconds:\n{traceback.format_exc()}") from error
    except Exception as error:
        sentence, _ = errors.explain(error) or ("", 0)
        if not sentence or "Traceback" in sentence:
            raise Fault(traceback.format_exc()) from error
        names = [str(root), "--", *(path.name for path in folder.rglob("*") if path.is_file())]
        if not any(name in sentence for name in names):
            raise Fault(f"the sentence names neither a file nor a flag: {sentence}") from error
    changed = {path for path, _ in before.items() ^ _files(root, out, target).items()}
    if changed:
        raise Fault(f"it changed {', '.join(sorted(changed))}")
    return became


def _compared(target, folder, out, damage):
    """What became of an input that is read: the other reading may refuse one that is damaged, however it does so."""
    try:
        return "compared" if target.compare(folder, out) else "read"
    except AssertionError:
        raise
    except Exception:
        if not damage:
            raise
        return "read"


def _files(root, out, target):
    """Contents of the files beside `out`, by path; of folders and what else there is, nothing."""
    paths = (path for path in root.rglob("*") if out not in (path, *path.parents))
    paths = (path for path in paths if not path.match(target.made_again))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


@contextlib.contextmanager
def _alarm(seconds):
    def ring(*_):
        raise _Hangs

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _printing():
    """What is printed goes nowhere, and has to be text that a file can hold."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        yield
