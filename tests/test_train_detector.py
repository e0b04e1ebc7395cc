"""The real entry point, python -m tfrecog.train, on synthetic scenes."""

import json
import random
import re
import shlex

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import scenes
from tests.folders import REPOSITORY
from tests.processes import run
from tests.reports import pages
from tests.runs import assert_continues_bit_for_bit, assert_two_replicas_with_two_parts_take_the_step_of_one, train
from tfrecog.cli import flags
from tfrecog.config import Experiment

SMALL = (
    "--detector.masks=true",
    "--data.min_keypoints=4",
    "--data.short_side=96",
    "--data.eval_short_side=96",
    "--data.long_side=96",
    "--detector.rpn.anchor_sizes=16,32,64",
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of eight scenes of one shape, and of two to evaluate on."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(folder), split, count, jobs=1)
    return folder


@pytest.fixture(scope="module")
def straight(records, tmp_path_factory):
    """Workdir and output of a run of four steps with dropout, a checkpoint of each, and an evaluation."""
    workdir = tmp_path_factory.mktemp("straight")
    steps = (
        "--schedule.epochs=2",
        "--schedule.warmup_epochs=0",
        "--train.log_steps=1",
        "--train.checkpoint_epochs=0.5",
    )
    more = ("--train.keep_checkpoints=9", "--train.evaluate_epochs=2", "--train.summary_images=1")
    return workdir, train("keypoint_rcnn", records, workdir, *SMALL, *steps, *more, "--detector.box.dropout=0.3")


def test_a_stopped_detector_continues_to_the_same_weights_bit_for_bit(straight, tmp_path):
    step = random.randint(1, 3)
    print(f"stopped after step {step}")  # pytest shows it where the test fails.
    assert_continues_bit_for_bit(straight[0], step, tmp_path / "run")


def test_two_replicas_with_two_parts_each_take_the_step_of_one(records):
    recipe = f"--flagfile={REPOSITORY}/configs/smoke/keypoint_rcnn.flags"
    experiment = flags.change(Experiment(), [recipe, *SMALL, f"--data.records={records}"])
    unseen = {"keypoint/deconv/bias"}  # The softmax of a heat map does not see it.
    # Through four maps and three branches: up to 5e-5 apart where oneDNN may use AVX2 alone, else less than 1e-5.
    assert_two_replicas_with_two_parts_take_the_step_of_one(experiment, unseen, relative=2e-4)


def test_keypoints_are_trained_evaluated_and_drawn(straight):
    workdir, output = straight
    assert "Mask and Keypoint R-CNN, ResNet-18-FPN" in output
    totals = [float(loss) for loss in re.findall(r"keypoint_loss ([0-9.]+)", output)]
    assert totals and abs(totals[0] - np.log(56 * 56)) < 3  # A new branch knows nothing.
    metrics = json.loads((workdir / "metrics.json").read_text())["metrics"]
    assert {"box_AP", "mask_AP", "keypoint_AP"} <= set(metrics)
    assert all("keypoints" in row for row in json.loads((workdir / "detections.json").read_text()))
    assert f"how it did: {workdir}/report.html" in output
    page = pages.Page(workdir / "report.html")
    pages.assert_safe(page)
    drawn = re.findall(r'aria-label="([^"]*)"', page.source)
    # The curve of the metrics ends with this very evaluation, of which metrics.csv had no row yet.
    (line,) = (one for one in drawn if one.startswith("Metrics, over step: "))
    ends = dict(re.findall(r"(\w+) ends at ([^,]+)", line))
    assert float(ends["box_AP50"]) == pytest.approx(metrics["box_AP50"], rel=1e-3)
    assert any(one.startswith("Losses in training, over step: ") for one in drawn)
    assert page.rows("number")["keypoint AP50"]["%"][1] == [metrics["keypoint_AP50"]]
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0}).Reload()
    assert "predictions/0" in events.Tags()["tensors"]


# Those of every command are in tests/cli/test_commands.py. The replicas come first: later, the devices are made.
SCRATCH = "--detector.backbone.norm=group --detector.backbone.frozen_stages=0"
MISTAKES = [
    ("--workdir={tmp} --data.records={records} --train.replicas=3", "does not divide into 3"),
    ("--workdir=x", "--data.records is missing"),
    ("--workdir=x --data.records=/nowhere", "/nowhere/dataset.json is missing"),
    ("--workdir={tmp} --data.records={records} --data.train_split=trian", "trian"),
    ("--workdir={tmp} --data.records={records} --data.eval_split=test", "--train.evaluate_epochs=0"),
    ("--workdir={tmp} --data.records={records}", "--train.start_from"),  # Batch norm is frozen by default.
    ("--workdir={tmp} --data.records={records} --train.start_from=/nowhere", "no checkpoint at /nowhere"),
    (f"--workdir={{records}}/dataset.json/x --data.records={{records}} {SCRATCH}", "cannot write there"),
]


def test_a_mistake_is_answered_with_a_message_and_no_traceback(records, tmp_path):
    places = {"tmp": shlex.quote(str(tmp_path / "run")), "records": shlex.quote(str(records))}
    commands = [f"tfrecog.train {arguments.format(**places)}" for arguments, _ in MISTAKES]
    output = run(REPOSITORY / "tests" / "in_turn.py", *commands)
    *answers, _ = output.split("status 2\n")
    assert len(answers) == len(MISTAKES) and "Traceback" not in output, output
    for answer, (arguments, message) in zip(answers, MISTAKES, strict=True):
        assert message in answer, (arguments, answer)
    assert not (tmp_path / "run").exists()
