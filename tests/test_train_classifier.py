"""The real entry points, train, evaluate and predict, on a classifier of small pictures."""

import json
import re
import signal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import digits
from tests.processes import Process
from tests.runs import assert_same, train, weights
from tfrecog import evaluate, predict
from tfrecog.cli import flags

CLASSES = ("top", "bottom", "left", "right")


def pictures(count, seed):
    """Gray images uint8 [count, 20, 20], bright in one half, and which half it is [count]."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images = rng.integers(0, 60, [count, 20, 20])
    for image, label in zip(images, labels, strict=True):
        half = slice(0, 10) if label % 2 == 0 else slice(10, 20)
        image[(half, slice(None)) if label < 2 else (slice(None), half)] += 150
    return images.astype(np.uint8), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    for split, count in (("train", 64), ("val", 18)):
        digits.build(*pictures(count, count), digits.Digits(out=str(folder), split=split, jobs=1), CLASSES)
    return folder


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Workdirs of a run that nothing disturbs, of one that is killed, and of a residual network; and their outputs.

    The first two rest units and mix images, so each step needs the random numbers that it would have had.
    """
    random = ("--classifier.dropout=0.4", "--augment.mixup=0.5", "--classifier.label_smoothing=0.1")
    often = ("--train.checkpoint_epochs=0.25", "--train.evaluate_epochs=0", "--train.keep_checkpoints=9")
    workdirs = {name: tmp_path_factory.mktemp(name) for name in ("straight", "killed", "residual")}
    straight = train("classifier_digits", folder, workdirs["straight"], *random, *often)
    killed = train("classifier_digits", folder, workdirs["killed"], *random, *often, kill_at=6)
    residual = train("classifier", folder, workdirs["residual"])
    status, output = killed.finish()
    assert status == -signal.SIGKILL, output
    killed = Process("tfrecog.train", f"--flagfile={workdirs['killed']}/experiment.flags")
    outputs = {}
    for name, process in (("straight", straight), ("killed", killed), ("residual", residual)):
        status, outputs[name] = process.finish()
        assert status == 0, outputs[name]
    return workdirs, outputs


def test_a_killed_classifier_continues_to_the_same_weights_bit_for_bit(runs):
    workdirs, outputs = runs
    assert "continuing from the checkpoint of step 5 of 8" in outputs["killed"]
    one, other = (weights(workdirs[name]) for name in ("straight", "killed"))
    assert len(one) > 10
    assert_same(one, other)


def test_the_accuracy_is_shown_and_is_no_part_of_the_loss(runs):
    events = EventAccumulator(str(runs[0]["residual"]), size_guidance={"tensors": 0}).Reload()

    def values(tag):
        return [tf.make_ndarray(event.tensor_proto).item() for event in events.Tensors(tag)]

    np.testing.assert_allclose(values("training/loss"), values("training/class_loss"), rtol=1e-6)
    shown = [float(value) for value in re.findall(r"loss [0-9.]+  top1 ([0-9.]+)  lr", runs[1]["residual"])]
    np.testing.assert_allclose(shown, values("training/top1"), atol=1e-4)
    assert len(shown) == 4 and 0 < max(shown) <= 1


def test_tensorboard_has_the_inputs_the_predictions_the_confusions_and_the_filters(runs):
    events = EventAccumulator(str(runs[0]["residual"]), size_guidance={"tensors": 0}).Reload()
    for tag, steps in (("inputs", [0]), ("predictions", [4, 8]), ("confusion", [4, 8]), ("filters", [4, 8])):
        assert [event.step for event in events.Tensors(tag)] == steps
        for event in events.Tensors(tag):
            picture = tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]).numpy()
            assert picture.shape[-1] == 3 and picture.std() > 10


def test_the_evaluation_of_a_training_is_that_of_the_command(runs, tmp_path, capsys):
    workdir, out = runs[0]["residual"], tmp_path / "out"
    evaluate.main(flags.load(evaluate.Flags(out=str(out)), workdir / "experiment.flags"))
    assert "top-1 " in capsys.readouterr().out
    for name in ("predictions.csv", "confusion.csv"):
        assert (out / name).read_text() == (workdir / name).read_text()
    before, now = (json.loads((place / "metrics.json").read_text()) for place in (workdir, out))
    assert now["metrics"] == before["metrics"] and now["images"] == 18 and now["step"] == 8
    assert now["metrics"]["top1"] + now["metrics"]["error"] == pytest.approx(1)
    assert f"evaluated at step 8 (epoch 2.00): top1 {now['metrics']['top1']:.4f}\n" in runs[1]["residual"]


def test_prediction_says_of_a_file_what_evaluation_says_of_its_record(runs, tmp_path, capsys):
    workdir = runs[0]["residual"]
    for i, image in enumerate(pictures(18, 18)[0][:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "rubbish.png").write_text("rubbish")
    asked = predict.Flags(images=str(tmp_path), out=str(tmp_path / "seen"))
    predict.main(flags.load(asked, workdir / "experiment.flags"))
    shown = capsys.readouterr()
    assert "3 of 4 images done" in shown.out and "rubbish.png" in shown.err
    said = json.loads((tmp_path / "seen" / "predictions.json").read_text())
    lines = (workdir / "predictions.csv").read_text().splitlines()[1:4]
    for row, line in zip(said, lines, strict=True):
        _, _, _, best, probability, *_ = line.split(",")
        assert row["classes"][0]["category_name"] == best
        assert row["classes"][0]["probability"] == pytest.approx(float(probability), abs=1e-5)
