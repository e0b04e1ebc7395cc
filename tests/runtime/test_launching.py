"""Several processes of a command: their TF_CONFIG, their lines, and how they end."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY
from tfrecog.runtime import launching, tf_config

SHOW = "import os; print(os.environ['TF_CONFIG']); print('last')"
FIRST = "import json, os; index = json.loads(os.environ['TF_CONFIG'])['task']['index']; "


def python(code):
    return [sys.executable, "-c", code]


def test_each_has_a_place_in_one_cluster_and_its_lines_begin_with_it(capsys):
    assert launching.run(python(SHOW), 3) == 0
    lines = capsys.readouterr().out.splitlines()
    configs = [line.partition("] ")[2] for line in sorted(lines) if "cluster" in line]
    clusters = [tf_config.read(config) for config in configs]
    assert [cluster and cluster.index for cluster in clusters] == [0, 1, 2]
    assert len({json.dumps(json.loads(config)["cluster"]) for config in configs}) == 1
    assert sorted(line for line in lines if "last" in line) == ["[0] last", "[1] last", "[2] last"]


def test_one_that_fails_ends_the_others_and_its_status_is_returned():
    assert launching.run(python(FIRST + "import sys, time; sys.exit(7) if index else time.sleep(600)"), 2) == 7


def test_one_that_does_not_end_is_killed_after_the_grace():
    deaf = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    deaf += "sys.exit(7) if index else time.sleep(600)"
    assert launching.run(python(FIRST + deaf), 2, grace=1) == 7


def test_one_that_was_killed_has_the_status_of_a_shell():
    assert launching.run(python(FIRST + "import time; os.kill(os.getpid(), 9) if index else time.sleep(600)"), 2) == 137


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system gives no process a part of its cores")
def test_the_cores_are_divided(capsys):
    count = len(os.sched_getaffinity(0))
    launching.run(python("import os, time; time.sleep(0.5); print(sorted(os.sched_getaffinity(0)))"), count)
    shares = [json.loads(line.partition("] ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert sorted(shares) == [[core] for core in sorted(os.sched_getaffinity(0))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_goes_to_all(number):
    wait = (
        "import signal, sys, time; signal.signal({0}, lambda *_: sys.exit(128 + {0})); print('here'); time.sleep(600)"
    )
    command = [sys.executable, "-c", wait.format(int(number))]
    code = f"import sys; from tfrecog.runtime import launching; sys.exit(launching.run({command!r}, 2))"
    process = subprocess.Popen(python(code), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process:
        for _ in range(2):
            assert "here" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == 128 + number


def test_a_command_is_asked_for():
    command = [sys.executable, "-m", "tfrecog.launch", "--workers=2"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "command is missing" in done.stderr
