"""The real entry point, python -m tfrecog.train, on synthetic scenes."""

import json
import random
import re

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import scenes
from tests import runs
from tests.processes import Process
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import info

SCRATCH = ("--detector.backbone.norm=group", "--detector.backbone.frozen_stages=0")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of eight scenes of one shape, and of two to evaluate on."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(folder), split, count, jobs=1)
    return folder


def train(records, workdir, *more):
    """The process of a run of four steps at the full rate, with masks and keypoints and a checkpoint of each."""
    settings = [
        "--detector.masks=true",
        "--data.min_keypoints=4",
        "--data.short_side=96",
        "--data.eval_short_side=96",
        "--data.long_side=96",
        "--detector.rpn.anchor_sizes=16,32,64",
        "--schedule.epochs=2",
        "--schedule.warmup_epochs=0",
        "--train.log_steps=1",
        "--train.evaluate_epochs=0",
        "--train.checkpoint_epochs=0.5",
        "--train.keep_checkpoints=9",
        "--train.summary_images=1",
    ]
    return runs.train("keypoint_rcnn", records, workdir, *settings, *more)


@pytest.fixture(scope="module")
def ended(records, tmp_path_factory):
    """Workdirs of a run that nothing disturbs, and of a first step on two replicas in two parts; output of the run."""
    workdirs = {name: tmp_path_factory.mktemp(name) for name in ("straight", "shared")}
    # Side by side: most of it is Python that traces, on one core each.
    straight = train(records, workdirs["straight"], "--train.evaluate_epochs=2")
    both = ("--train.replicas=2", "--train.accumulate_steps=2", "--schedule.epochs=0.5")
    shared = train(records, workdirs["shared"], *both)
    for process, message in (
        (shared, "2 on each of 2 replicas (CPU), in 2 parts of 1"),
        (straight, "4 on each of 1 replica"),
    ):
        status, output = process.finish()
        assert status == 0 and message in output, output
    return workdirs | {"output": output}


def test_a_stopped_detector_continues_to_the_same_weights_bit_for_bit(ended, tmp_path):
    step = random.randint(1, 3)
    print(f"stopped after step {step}")  # pytest shows it where the test fails.
    workdir = runs.stopped(ended["straight"], step, tmp_path / "run")
    # The flagfile that the run has written is all that it takes, wherever its folder is.
    again = (f"--flagfile={workdir}/experiment.flags", f"--workdir={workdir}", "--train.evaluate_epochs=0")
    status, output = Process("tfrecog.train", *again).finish()
    assert status == 0, output
    assert f"continuing from the checkpoint of step {step} of 4" in output
    one, other = runs.weights(workdir), runs.weights(ended["straight"])
    assert one["step/.ATTRIBUTES/VARIABLE_VALUE"] == 4
    runs.assert_same(one, other)


def test_two_replicas_with_two_parts_each_take_the_step_of_one(ended):
    # One step: rounding then moves a proposal over a threshold here or there, and the two runs choose other samples.
    one, two = (runs.weights(ended[name], step=1) for name in ("straight", "shared"))
    experiment = flags.load(Experiment(), ended["straight"] / "experiment.flags")
    model = tasks.build(experiment, info.load(experiment.data.records)).build()  # As a run begins: the seed decides.
    learned = 0
    for variable in model.trainable_variables:
        before, name = variable.numpy(), f"model/{variable.path.replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
        update = one[name] - before
        # The update, and not the weight, agrees to 1e-5; the weight itself is rounded to its last bit.
        tolerance = 1e-5 * np.abs(update).max() + np.spacing(np.abs(one[name]).max())
        if variable.path == "keypoint/deconv/bias":  # The softmax of a heat map does not see it: roundings alone.
            tolerance = 1e-9
        np.testing.assert_allclose(two[name] - before, update, rtol=0, atol=tolerance, err_msg=name)
        learned += np.abs(update).max() > 100 * tolerance
    assert learned > len(model.trainable_variables) / 2  # Else all of this would be of roundings.


def test_keypoints_are_trained_evaluated_and_drawn(ended):
    assert "Mask and Keypoint R-CNN, ResNet-18-FPN" in ended["output"]
    totals = [float(loss) for loss in re.findall(r"keypoint_loss ([0-9.]+)", ended["output"])]
    assert totals and abs(totals[0] - np.log(56 * 56)) < 3  # A new branch knows nothing.
    metrics = json.loads((ended["straight"] / "metrics.json").read_text())["metrics"]
    assert {"box_AP", "mask_AP", "keypoint_AP"} <= set(metrics)
    assert all("keypoints" in row for row in json.loads((ended["straight"] / "detections.json").read_text()))
    events = EventAccumulator(str(ended["straight"]), size_guidance={"tensors": 0}).Reload()
    assert "predictions/0" in events.Tags()["tensors"]


# Those of every command are in tests/cli/test_commands.py.
MISTAKES = [
    (["--workdir=x"], "--data.records is missing"),
    (["--workdir=x", "--data.records=/nowhere"], "/nowhere/dataset.json is missing"),
    (["--workdir={tmp}", "--data.records={records}", "--data.train_split=trian"], "trian"),
    (["--workdir={tmp}", "--data.records={records}", "--data.eval_split=test"], "--train.evaluate_epochs=0"),
    (["--workdir={tmp}", "--data.records={records}", "--train.replicas=3"], "does not divide into 3"),
    (["--workdir={tmp}", "--data.records={records}"], "--train.start_from"),  # Batch norm is frozen by default.
    (["--workdir={tmp}", "--data.records={records}", "--train.start_from=/nowhere"], "no checkpoint at /nowhere"),
    (["--workdir={records}/dataset.json/x", "--data.records={records}", *SCRATCH], "cannot write there"),
]


def test_a_mistake_is_answered_with_a_message_and_no_traceback(records, tmp_path):
    places = {"tmp": tmp_path / "run", "records": records}
    given = [[argument.format(**places) for argument in arguments] for arguments, _ in MISTAKES]
    processes = [Process("tfrecog.train", *arguments) for arguments in given]
    for arguments, process, (_, message) in zip(given, processes, MISTAKES, strict=True):
        status, output = process.finish()
        assert status == 2, (arguments, output)
        assert message in output and "Traceback" not in output, (arguments, output)
    assert not (tmp_path / "run").exists()
