import os
import subprocess
import sys

from tests.folders import REPOSITORY
from tfrecog.runtime import onednn


def test_a_choice_in_the_environment_is_respected(monkeypatch):
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    onednn.prefer()
    assert os.environ[onednn.VARIABLE] == "1"
    monkeypatch.setenv(onednn.VARIABLE, "0")
    onednn.prefer()
    assert os.environ[onednn.VARIABLE] == "0"


def test_the_description_says_which_kernels_are_in_use():
    ours = os.environ[onednn.VARIABLE]
    theirs = {"0": "1", "1": "0"}[ours]
    program = "from tfrecog.runtime import onednn; print(onednn.description())"
    environment = {**os.environ, onednn.VARIABLE: theirs}
    command = [sys.executable, "-c", program]
    said = subprocess.check_output(command, cwd=REPOSITORY, env=environment, text=True)
    for value, description in ((ours, onednn.description()), (theirs, said)):
        assert description.startswith({"0": "oneDNN off", "1": "oneDNN on"}[value])
