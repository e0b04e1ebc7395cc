"""Object recognition in TensorFlow and Keras: Faster R-CNN, Mask R-CNN and what led to them."""

import contextlib
import importlib.abc
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # A command of ours, whose modules load for seconds: until `interruption.listen`, Ctrl-C just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """TensorFlow, whenever a module asks for it, without its start-up notes, which it writes to file descriptor 2.

    They would hide our own messages. Set TF_CPP_MIN_LOG_LEVEL yourself to less than 3 (0 tells most) to read them.
    Nobody who does not ask for TensorFlow gets it: what runs on a device, or only draws, starts without those seconds.
    """

    _asks = False  # the other finders

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow" or self._asks or os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
            return None
        self._asks = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asks = False
        if spec is None or spec.loader is None:
            return None
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        load = spec.loader.exec_module

        def load_quietly(module):
            with _quiet():
                load(module)

        spec.loader.exec_module = load_quietly
        return spec


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What is written to file descriptor 2 is kept, and told only if there is an error."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())  # An import that fails may tell why only there.
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


sys.meta_path.insert(0, _QuietTensorFlow())

_HERE = Path(__file__).resolve().parent
# Where pipelines, export and configs are: in this package if it was installed, beside it in a checkout, where they are
# found by the same names, tfrecog.pipelines and tfrecog.export.
HOME = _HERE if (_HERE / "configs").is_dir() else _HERE.parent
if HOME != _HERE:
    __path__.append(str(HOME))


def version() -> str:
    """Version of the installed package."""
    from importlib import metadata

    try:
        return metadata.version("tfrecog")
    except metadata.PackageNotFoundError:
        return "(not installed)"
