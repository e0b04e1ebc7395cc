"""kserve, the optional part of the installation that the server stands on."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """A context to import kserve in: on import it reads the command line, and our flags are none of its own."""
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments
