"""An import of the library does nothing to a process; its commands keep TensorFlow's notes from the terminal."""

import os
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY

# A person's own package, run by `python -m mine`: its __init__ is imported first, as that of our commands is.
MINE = """
import os, signal, sys

def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return handlers, [*sys.meta_path], dict(os.environ), sys.argv, [os.fstat(number)[:3] for number in range(3)]

before = state()
import tfrecog, tfrecog.cli, pipelines, export
from tfrecog import config
from tfrecog.drawing import annotations
from tfrecog.inference import image_files, result_files
assert state() == before
assert not {"tensorflow", "keras"} & {*sys.modules}
"""

# The optimizations that it tells of at its start, and devices that are missing.
QUIET = """
import os
from tfrecog.runtime import quiet_tensorflow
quiet_tensorflow.install("loading TensorFlow ...")
import tensorflow
assert tensorflow.constant(2).numpy() == 2
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""


def run(*arguments, path=(), level=None):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, [*path, REPOSITORY]))}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_an_import_changes_nothing_in_the_process(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text(MINE)
    (tmp_path / "mine" / "__main__.py").write_text("print('mine runs')")
    done = run("-m", "mine", path=[tmp_path])
    assert (done.returncode, done.stdout, done.stderr) == (0, "mine runs\n", "")


# Commands hand theirs on to the processes that they start: each case imports TensorFlow, for seconds.
@pytest.mark.parametrize("level", [None, pytest.param("3", marks=pytest.mark.long)])
def test_a_command_says_that_it_imports_tensorflow_and_does_so_quietly(level):
    done = run("-c", QUIET, level=level)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "loading TensorFlow ...\n")


def test_an_import_that_fails_tells_why(tmp_path):
    """What a broken TensorFlow writes to file descriptor 2 is not lost."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nos.write(2, b'no such instruction')\nraise ImportError('broken')\n"
    )
    done = run("-c", QUIET, path=[tmp_path])
    assert done.returncode == 1 and "no such instruction" in done.stderr and "ImportError: broken" in done.stderr


def test_a_signal_while_tensorflow_is_imported_ends_the_command_with_a_line(tmp_path):
    """Though what TensorFlow itself writes is held back."""
    (tmp_path / "tensorflow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    done = run("-c", f"from tfrecog.cli import signals\nsignals.exit_at_once(){QUIET}", path=[tmp_path])
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "loading TensorFlow ...\n\nstopped\n")
