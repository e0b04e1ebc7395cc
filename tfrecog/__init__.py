"""Object recognition in TensorFlow and Keras: Faster R-CNN, Mask R-CNN and what led to them."""

import os
import signal
import sys
import tempfile

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # A command of ours, whose modules load for seconds: until `interruption.listen`, Ctrl-C just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _import_tensorflow_quietly() -> None:
    """Imports TensorFlow without its start-up notes, which it writes straight to file descriptor 2.

    They would hide our own messages. Set TF_CPP_MIN_LOG_LEVEL yourself (0 tells most) to read them.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ or "tensorflow" in sys.modules:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())  # An import that fails may tell why only there.
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


_import_tensorflow_quietly()
