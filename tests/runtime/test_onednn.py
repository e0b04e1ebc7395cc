import os
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY
from tfrecog.runtime import onednn


def test_a_choice_in_the_environment_is_respected(monkeypatch):
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    onednn.prefer()
    assert os.environ[onednn.VARIABLE] == "1"
    monkeypatch.setenv(onednn.VARIABLE, "0")
    onednn.prefer()
    assert os.environ[onednn.VARIABLE] == "0"


@pytest.mark.parametrize(("value", "state"), [("0", "off"), ("1", "on")])
def test_the_description_says_which_kernels_are_in_use(value, state):
    said = subprocess.run(
        [sys.executable, "-c", "from tfrecog.runtime import onednn; print(onednn.description())"],
        cwd=REPOSITORY,
        env={**os.environ, onednn.VARIABLE: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith(f"oneDNN {state}")
