"""Keeps from the terminal what TensorFlow and LiteRT write there of themselves; the shell of the commands uses it."""

import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from absl import logging

from tfrecog.cli import signals


def install(told: str = "") -> None:
    """From here on TensorFlow is imported without its start-up notes, which it writes to file descriptor 2.

    They would hide our own messages. Set TF_CPP_MIN_LOG_LEVEL yourself to less than 3 (0 tells most) to read them. Its
    import takes seconds: people are `told` so before.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder(told))


class _Finder(importlib.abc.MetaPathFinder):
    """Holds back what the import of TensorFlow writes, some of it before it reads the level of its log."""

    def __init__(self, told: str):
        self._told = told

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        load, told = spec.loader.exec_module, self._told

        def load_quietly(module):
            if told:
                print(told, file=sys.stderr, flush=True)
            with _held(lambda line: False):
                load(module)

        spec.loader.exec_module = load_quietly
        return spec


@contextlib.contextmanager
def _held(passes: Callable[[bytes], bool]) -> Iterator[None]:
    """Holds back what is written to file descriptor 2; at the end the lines that `passes` come, after an error all."""
    sys.stderr.flush()
    stderr = signals.errors = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            passes = bool  # An import that fails may say why only there.
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            signals.errors = 2
            os.close(stderr)
            written.seek(0)
            if shown := b"".join(filter(passes, written)):
                os.write(2, shown)


@contextlib.contextmanager
def converter() -> Iterator[None]:
    """Without TensorFlow's warnings of gradients, which a TFLite file has none of."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def interpreter() -> Iterator[None]:
    """Without LiteRT's INFO lines, which have no level; other lines come when it ends, so it should be short."""
    with _held(lambda line: not line.startswith(b"INFO: ")):
        yield
