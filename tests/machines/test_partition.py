"""Machines between which the network fails, in network namespaces of Linux."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.folders import REPOSITORY
from tests.machines.test_ends import FLAGS
from tfrecog.cli.errors import Status

pytestmark = pytest.mark.long
NAMES = ("tfrecog0", "tfrecog1")
ADDRESSES = ("10.77.0.1", "10.77.0.2")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespaces():
    """Two hosts with a cable between them."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need iproute2, and root")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", "cable0", "netns", NAMES[0], "type", "veth", "peer", "name", "cable1", "netns", NAMES[1])
        for index, (name, address) in enumerate(zip(NAMES, ADDRESSES, strict=True)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", f"cable{index}")
            for device in (f"cable{index}", "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield NAMES
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode()}")
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_both_sides_of_a_partition_end_and_say_so(namespaces, digit_records, tmp_path):
    cluster = {"worker": [f"{address}:2222" for address in ADDRESSES]}
    recipe = f"--flagfile={REPOSITORY}/configs/smoke/classifier_digits.flags"
    places = f"--data.records={digit_records}", f"--workdir={tmp_path}"
    processes = []
    for index, name in enumerate(namespaces):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        worker = sys.executable, str(REPOSITORY / "tests" / "worker.py"), str(index), config
        command = ["ip", "netns", "exec", name, *worker, "tfrecog.train", recipe, *places, *FLAGS]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        processes.append(subprocess.Popen(command, cwd=REPOSITORY, env=environment, **pipes))
    before = ""
    while "step 6/" not in before:
        line = processes[0].stdout.readline()
        assert line, before
        before += line
    ip("-n", namespaces[0], "link", "set", "cable0", "down")
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [Status.CONTINUES] * 2, outputs
    assert "error: worker 1 at 10.77.0.2:2222 has ended, does not respond or cannot be reached" in outputs[0]
    assert "error: worker 0 (the chief) at 10.77.0.1:2222 has ended" in outputs[1]
