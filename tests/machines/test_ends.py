"""A worker that is stopped, killed, hangs or fails ends all of them, and the same command continues."""

import functools
import os
import re
import shutil
import signal
import time

import pytest

from tests.data.made import flip_bit
from tests.machines.workers import Machines, train
from tests.matrices import representatives
from tests.runs import assert_same, weights
from tfrecog.cli.errors import Status
from tfrecog.data.split import Split
from tfrecog.runs import checkpoints

# 40 steps of which nobody sees the end before it is disturbed.
FLAGS = (
    "--schedule.epochs=10",
    "--train.log_steps=1",
    "--train.summary_images=0",
    "--train.evaluate_epochs=0",
    "--train.worker_timeout=8",
)
STOPPED = 128 + signal.SIGTERM


# Recipe, records, flags.
CLASSIFIER = "classifier_digits", "digit_records", *FLAGS
MASKS = "mask_rcnn", "scene_records", *FLAGS, "--schedule.epochs=20"


@pytest.fixture(scope="module")
def straight(request, tmp_path_factory):
    """Weights of a run that nothing has disturbed, by recipe, records and flags."""

    @functools.cache
    def trained(recipe, records, *flags):
        workdir = tmp_path_factory.mktemp("straight")
        train(recipe, request.getfixturevalue(records), workdir, *flags)
        return weights(workdir)

    return trained


def reach(machines, text, timeout=200):
    """Waits until the chief has printed something."""
    end = time.monotonic() + timeout
    while not re.search(text, machines.processes[0].printed()):
        assert time.monotonic() < end, machines.processes[0].printed()
        time.sleep(0.05)


# What comes to which worker of which training → exit status of it, and of the other one.
CASES = {
    "SIGTERM to the chief": (CLASSIFIER, signal.SIGTERM, 0, STOPPED, STOPPED),
    "SIGTERM to a worker": (CLASSIFIER, signal.SIGTERM, 1, STOPPED, STOPPED),
    "SIGKILL to the chief": (CLASSIFIER, signal.SIGKILL, 0, -signal.SIGKILL, Status.CONTINUES),
    "SIGKILL to a worker": (CLASSIFIER, signal.SIGKILL, 1, -signal.SIGKILL, Status.CONTINUES),
    "SIGSTOP to the chief": (CLASSIFIER, signal.SIGSTOP, 0, -signal.SIGKILL, Status.CONTINUES),
    "SIGSTOP to a worker": (CLASSIFIER, signal.SIGSTOP, 1, -signal.SIGKILL, Status.CONTINUES),
    "SIGTERM to a worker that trains a Mask R-CNN": (MASKS, signal.SIGTERM, 1, STOPPED, STOPPED),
    "SIGKILL to the chief that trains a Mask R-CNN": (MASKS, signal.SIGKILL, 0, -signal.SIGKILL, Status.CONTINUES),
    "SIGKILL to a worker that trains a Mask R-CNN": (MASKS, signal.SIGKILL, 1, -signal.SIGKILL, Status.CONTINUES),
}


@pytest.mark.parametrize("case", representatives(CASES, "SIGKILL to a worker"))
def test_what_ends_one_ends_the_others_and_the_same_command_continues(case, straight, tmp_path, request):
    training, number, index, own, others = CASES[case]
    recipe, records, *flags = training
    command = recipe, request.getfixturevalue(records), tmp_path, *flags
    machines = Machines(*command)
    reach(machines, "step 6/")
    os.kill(machines.processes[index].pid, number)
    status, output = machines.processes[1 - index].finish(200)  # One that waits for ever is aborted.
    assert status == others, output
    if number == signal.SIGSTOP:
        os.kill(machines.processes[index].pid, signal.SIGKILL)
    assert machines.processes[index].finish(100)[0] == own
    last = checkpoints.steps(tmp_path)[-1]
    if number == signal.SIGTERM:
        assert f"stopped; to continue: python -m tfrecog.train --flagfile={tmp_path}/experiment.flags" in output
        assert last >= 6  # the step at which they agreed to stop
    else:
        chief = " (the chief)" if index == 0 else ""
        assert f"error: worker {index}{chief} at 127.0.0.1:" in output and "The same command" in output, output
        assert last >= 4  # At a meeting between two steps the chief saves the last one.
    again, _ = train(*command)
    assert f"continuing from the checkpoint of step {last} of 40" in again
    assert_same(weights(tmp_path), straight(*training))


@pytest.mark.long
def test_a_signal_in_an_evaluation_ends_all_after_a_batch(digit_records, tmp_path):
    often = *FLAGS, "--train.evaluate_epochs=0.25", "--data.eval_batch_size=2", "--train.worker_timeout=30"
    machines = Machines("classifier_digits", digit_records, tmp_path, *often)
    reach(machines, "evaluate val")
    os.kill(machines.processes[1].pid, signal.SIGTERM)
    outcomes = machines.finish(100)
    assert [status for status, _ in outcomes] == [STOPPED, STOPPED], outcomes
    assert checkpoints.steps(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("per_call", [1, 3])
def test_a_damaged_record_of_one_worker_ends_all_with_the_steps_before_it_saved(digit_records, tmp_path, per_call):
    records = shutil.copytree(digit_records, tmp_path / "records")
    flip_bit(Split.open(records, "train"), 20)
    often = *FLAGS, f"--train.steps_per_execution={per_call}", "--train.checkpoint_epochs=0"
    strict = "--data.skip_damaged=false"
    outcomes = Machines("classifier_digits", records, tmp_path / "run", *often, strict).finish(100)
    assert [status for status, _ in outcomes] == [Status.FAILED] * 2, outcomes
    assert all("is damaged: its checksum does not fit" in output for _, output in outcomes)
    (told,) = (output for _, output in outcomes if "ended with an error" in output)
    assert re.search(r"error: worker [01].* at 127\.0\.0\.1:\d+ ended with an error: train-00000", told)
    steps = re.findall(r"step (\d+)/40", outcomes[0][1])
    assert not steps or checkpoints.steps(tmp_path / "run") == [int(steps[-1])]
    skipping = train("classifier_digits", records, tmp_path / "run", *often)
    assert "Going on without it; damaged so far: 1" in "".join(skipping)
