"""The real entry point, python -m tfrecog.train, on synthetic scenes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrecog import checkpoints

REPOSITORY = Path(__file__).resolve().parent.parent


def start(*arguments):
    """The process of a command of ours, from another directory than the repository."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process):
    """Exit status and output."""
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Records of eight scenes of one shape."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("val", 2)):
        status, output = finish(
            start("pipelines.scenes", f"--count={count}", f"--split={split}", f"--out={folder}", "--jobs=1")
        )
        assert status == 0, output
    return folder


def train(scenes, workdir, *more):
    return start(
        "tfrecog.train",
        "--flagfile=configs/smoke/mask_rcnn.flags",
        f"--data.records={scenes}",
        f"--workdir={workdir}",
        "--schedule.epochs=3",
        "--train.log_steps=1",
        "--train.evaluate_epochs=0",
        *more,
    )


def weights(workdir):
    reader = tf.train.load_checkpoint(str(checkpoints.latest(workdir) / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if not name.startswith("_")}


@pytest.fixture(scope="module")
def straight(scenes, tmp_path_factory):
    """Workdir of a run of six steps that nothing has disturbed."""
    workdir = tmp_path_factory.mktemp("straight")
    status, output = finish(train(scenes, workdir))
    assert status == 0, output
    return workdir


def test_a_killed_detector_continues_to_the_same_weights_bit_for_bit(scenes, straight, tmp_path):
    process = train(scenes, tmp_path)
    for line in process.stdout:
        if line.startswith("step 3/6"):
            process.send_signal(signal.SIGKILL)
            break
    finish(process)
    assert checkpoints.steps(tmp_path)[-1] < 6
    # The flagfile that the run has written is all that it takes.
    status, output = finish(start("tfrecog.train", f"--flagfile={tmp_path}/experiment.flags"))
    assert status == 0, output
    one, other = weights(tmp_path), weights(straight)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_two_replicas_take_the_step_of_one(scenes, tmp_path):
    # One step: rounding then moves a proposal over a threshold here or there, and the two runs choose other samples.
    for replicas in (1, 2):
        workdir = tmp_path / str(replicas)
        status, output = finish(train(scenes, workdir, f"--train.replicas={replicas}", "--schedule.epochs=0.5"))
        assert status == 0, output
        assert f"{4 // replicas} on each of {replicas} replica" in output
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    assert one["step/.ATTRIBUTES/VARIABLE_VALUE"] == 1
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optim.learning_rat=1"], "Did you mean: optim.learning_rate"),
        (["--optim.learning_rate=fast"], "optim.learning_rate"),
        (["--data.flip=2", "--workdir=x"], "--data.flip=2.0: must be between 0 and 1"),
        (["--workdir=x"], "--data.records is missing"),
        (["--workdir=x", "--data.records=/nowhere"], "/nowhere/dataset.json is missing"),
        (["--workdir={tmp}", "--data.records={scenes}", "--data.train_split=trian"], "trian"),
        (["--workdir={tmp}", "--data.records={scenes}", "--data.eval_split=test"], "--train.evaluate_epochs=0"),
        (["--workdir={tmp}", "--data.records={scenes}", "--train.replicas=3"], "does not divide into 3"),
        (["--workdir={scenes}/dataset.json/x", "--data.records={scenes}"], "cannot write there"),
    ],
)
def test_a_mistake_is_answered_with_a_message_and_no_traceback(scenes, tmp_path, arguments, message):
    places = {"tmp": tmp_path / "run", "scenes": scenes}
    status, output = finish(start("tfrecog.train", *(argument.format(**places) for argument in arguments)))
    assert status != 0
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "run" / "experiment.flags").exists()
