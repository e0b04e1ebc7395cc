"""Keeps from the terminal what the converter and the interpreter say there of themselves."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from absl import logging

# What LiteRT, which is C++ and has no level of its own, writes straight to the process's standard error.
_CHATTER = b"INFO: "


@contextlib.contextmanager
def converter() -> Iterator[None]:
    """Without TensorFlow's warnings, which are of gradients: a file has none."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def interpreter() -> Iterator[None]:
    """Without LiteRT's INFO lines; other lines on the standard error come when it ends, so it should be short."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            said.seek(0)
            rest = b"".join(line for line in said if not line.startswith(_CHATTER))
            if rest:
                os.write(2, rest)
