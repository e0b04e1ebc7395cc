"""The benchmark of what workers exchange: it adds up what all of them have."""

import re

import pytest

from tests.folders import REPOSITORY
from tests.machines.workers import tf_configs
from tests.processes import Process

pytestmark = pytest.mark.long


def test_two_workers_add_up_and_the_chief_says_what_it_took():
    arguments = "benchmarks.all_reduce", "--megabytes=2", "--runs=3"
    processes = [
        Process(REPOSITORY / "tests" / "worker.py", index, config, *arguments)
        for index, config in enumerate(tf_configs(2))
    ]
    outcomes = [process.finish(120) for process in processes]
    assert [status for status, _ in outcomes] == [0, 0], outcomes
    (chief, other) = (re.findall(r"^2 devices, (.*): .* Gbit/s from each", text, re.MULTILINE) for _, text in outcomes)
    assert chief == ["4 bytes", "2 MB"] and other == []
