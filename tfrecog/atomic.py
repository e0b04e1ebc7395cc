"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """A file that gets its name when all of it is written and on the disk; an OSError says which file it was."""
    path = Path(path)
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, 0o666 & ~_umask())
        os.replace(draft, path)
    except BaseException as error:
        if draft:
            Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename != str(path):
            # The system names the draft, or nothing.
            raise OSError(error.errno, f"cannot write it: {os.strerror(error.errno)}", str(path)) from error
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
