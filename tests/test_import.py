"""TensorFlow comes when somebody asks for it, and without its notes."""

import os
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY

# The optimizations that it tells of at its start, and devices that are missing.
CODE = """
import sys, tfrecog
from tfrecog import config
from tfrecog.drawing import annotations
from tfrecog.inference import image_files, result_files
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
import tensorflow
assert tensorflow.constant(2).numpy() == 2
import os
print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
"""


# Commands hand theirs on to the processes that they start: each case imports TensorFlow, for seconds.
@pytest.mark.parametrize("level", [None, pytest.param("3", marks=pytest.mark.long)])
def test_tensorflow_is_imported_late_and_quietly(level):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    environment |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_an_import_that_fails_tells_why(tmp_path):
    """What a broken TensorFlow writes to file descriptor 2 is not lost."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os\nos.write(2, b'no such instruction')\nraise ImportError('broken')\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    code = "import tfrecog\nimport tensorflow"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "no such instruction" in done.stderr and "ImportError: broken" in done.stderr
