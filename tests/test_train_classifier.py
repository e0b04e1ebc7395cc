"""The real entry points, train, evaluate and predict, on a classifier of small pictures."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import digits
from tests.halves import HALVES, halves
from tests.processes import Process, run
from tests.runs import assert_continues_bit_for_bit, assert_same, train, weights
from tfrecog import evaluate, predict
from tfrecog.cli import flags
from tfrecog.runs import checkpoints


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    for split, count in (("train", 64), ("val", 18)):
        digits.build(*halves(count, count), digits.Digits(out=str(folder), split=split, jobs=1), HALVES)
    return folder


RANDOM = ("--classifier.dropout=0.4", "--augment.mixup=0.5", "--classifier.label_smoothing=0.1")
OFTEN = ("--train.checkpoint_epochs=0.25", "--train.keep_checkpoints=9")


@pytest.fixture(scope="module")
def straight(folder, tmp_path_factory):
    """Workdir and output of a run of 8 steps, evaluated after 4 and 8.

    It rests units and mixes images, so each step needs the random numbers that it would have had.
    """
    workdir = tmp_path_factory.mktemp("straight")
    return workdir, train("classifier_digits", folder, workdir, *RANDOM, *OFTEN)


def test_a_stopped_classifier_continues_to_the_same_weights_bit_for_bit(straight, tmp_path):
    assert_continues_bit_for_bit(straight[0], 5, tmp_path / "run")


def test_a_residual_network_trains_from_its_flagfile(folder, tmp_path):
    train("classifier", folder, tmp_path, "--train.evaluate_epochs=2", "--train.summary_images=0")
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["step"] == 8 and 0 <= report["metrics"]["top1"] <= 1


def test_a_killed_classifier_continues_to_the_same_weights_bit_for_bit(folder, straight, tmp_path):
    places = (f"--data.records={folder}", f"--workdir={tmp_path}")
    process = Process("tfrecog.train", "--flagfile=configs/smoke/classifier_digits.flags", *places, *RANDOM, *OFTEN)
    for _ in range(60_000):
        if len(checkpoints.steps(tmp_path)) >= 3:
            break
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    status, output = process.finish()
    assert status == -signal.SIGKILL, output
    assert "continuing from the checkpoint of step" in run("tfrecog.train", f"--flagfile={tmp_path}/experiment.flags")
    assert_same(weights(tmp_path), weights(straight[0]))


def test_the_accuracy_is_shown_and_is_no_part_of_the_loss(straight):
    events = EventAccumulator(str(straight[0]), size_guidance={"tensors": 0}).Reload()

    def values(tag):
        return [tf.make_ndarray(event.tensor_proto).item() for event in events.Tensors(tag)]

    np.testing.assert_allclose(values("training/loss"), values("training/class_loss"), rtol=1e-6)
    shown = [float(value) for value in re.findall(r"loss [0-9.]+  top1 ([0-9.]+)  lr", straight[1])]
    np.testing.assert_allclose(shown, values("training/top1"), atol=1e-4)
    assert len(shown) == 4 and 0 < max(shown) <= 1


def test_tensorboard_has_the_inputs_the_predictions_the_confusions_and_the_filters(straight):
    events = EventAccumulator(str(straight[0]), size_guidance={"tensors": 0}).Reload()
    for tag, steps in (("inputs", [0]), ("predictions", [4, 8]), ("confusion", [4, 8]), ("filters", [4, 8])):
        assert [event.step for event in events.Tensors(tag)] == steps
        for event in events.Tensors(tag):
            picture = tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]).numpy()
            assert picture.shape[-1] == 3 and picture.std() > 10


def test_the_evaluation_of_a_training_is_that_of_the_command(straight, tmp_path, capsys):
    workdir, out = straight[0], tmp_path / "out"
    evaluate.main(flags.load(evaluate.Flags(out=str(out)), workdir / "experiment.flags"))
    assert "top-1 " in capsys.readouterr().out
    for name in ("predictions.csv", "confusion.csv"):
        assert (out / name).read_text() == (workdir / name).read_text()
    before, now = (json.loads((place / "metrics.json").read_text()) for place in (workdir, out))
    assert now["metrics"] == before["metrics"] and now["images"] == 18 and now["step"] == 8
    assert now["metrics"]["top1"] + now["metrics"]["error"] == pytest.approx(1)
    assert f"evaluated at step 8 (epoch 2.00): top1 {now['metrics']['top1']:.4f}\n" in straight[1]


def test_prediction_says_of_a_file_what_evaluation_says_of_its_record(straight, tmp_path, capsys):
    workdir = straight[0]
    for i, image in enumerate(halves(18, 18)[0][:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "rubbish.png").write_text("rubbish")
    asked = predict.Flags(images=(str(tmp_path),), out=str(tmp_path / "seen"))
    predict.main(flags.load(asked, workdir / "experiment.flags"))
    shown = capsys.readouterr()
    assert "3 of 4 images done" in shown.out and "rubbish.png" in shown.err
    said = json.loads((tmp_path / "seen" / "predictions.json").read_text())
    lines = (workdir / "predictions.csv").read_text().splitlines()[1:4]
    for row, line in zip(said, lines, strict=True):
        _, _, _, best, probability, *_ = line.split(",")
        assert row["classes"][0]["category_name"] == best
        assert row["classes"][0]["probability"] == pytest.approx(float(probability), abs=1e-5)
