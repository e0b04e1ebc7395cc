"""How many cores a process may use."""

import os

import pytest

from tfrecog.runtime import cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only on Linux a process can be kept to some cores")
def test_a_process_that_is_kept_to_a_core_may_use_one():
    allowed = os.sched_getaffinity(0)
    assert cores.usable() == len(allowed)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cores.usable() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(("machine", "usable"), [(3, 3), (None, 1)])
def test_a_system_that_does_not_keep_processes_to_cores_has_all_of_the_machine(machine, usable, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    assert cores.usable() == usable
