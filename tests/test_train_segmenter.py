"""The real entry points, train, evaluate and predict, on scenes with label maps."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines import scenes
from tests.folders import REPOSITORY
from tests.runs import assert_continues_bit_for_bit, assert_two_replicas_with_two_parts_take_the_step_of_one, train
from tfrecog import evaluate, predict
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import image, segmentation
from tfrecog.data.split import Split
from tfrecog.runs import trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    for split, count in (("train", 32), ("val", 6)):
        options = scenes.Scenes(height=64, width=80, label_maps=True, portrait=0.5)
        scenes.build(str(folder), split, count, options, jobs=1)
    return folder


# Units rest and images are mirrored and scaled, so each step needs the random numbers that it would have had.
RANDOM = ("--segmenter.fc_channels=8", "--segmenter.fc_size=3", "--segmenter.dropout=0.3", "--data.photometric=1")


@pytest.fixture(scope="module")
def straight(folder, tmp_path_factory):
    """Workdir and output of a run of 8 steps, evaluated after 4 and 8."""
    workdir = tmp_path_factory.mktemp("straight")
    often = ("--train.checkpoint_epochs=0.25", "--train.evaluate_epochs=1", "--train.keep_checkpoints=9")
    return workdir, train("segmenter", folder, workdir, *RANDOM, "--segmenter.backbone.norm=group", *often)


def test_a_stopped_segmenter_continues_to_the_same_weights_bit_for_bit(straight, tmp_path):
    assert_continues_bit_for_bit(straight[0], 5, tmp_path / "run")


def test_two_replicas_with_two_parts_each_take_the_step_of_one(folder):
    # The pixels that count differ from share to share, so a mean of means would go elsewhere.
    recipe = f"--flagfile={REPOSITORY}/configs/smoke/segmenter.flags"
    own_norms = "--segmenter.backbone.norm=group"  # No statistics of a batch: its parts are as good as the whole.
    changes = [recipe, *RANDOM, own_norms, f"--data.records={folder}"]
    assert_two_replicas_with_two_parts_take_the_step_of_one(flags.change(Experiment(), changes))


def test_it_learns_and_says_how_well(straight):
    events = EventAccumulator(str(straight[0]), size_guidance={"tensors": 0}).Reload()
    losses = [tf.make_ndarray(event.tensor_proto).item() for event in events.Tensors("training/loss")]
    assert losses[-1] < losses[0]
    shown = re.findall(r"evaluated at step (\d) .*mean_iou ([0-9.]+)  pixel_accuracy ([0-9.]+)", straight[1])
    assert [step for step, *_ in shown] == ["4", "8"]


def test_tensorboard_has_the_inputs_and_the_predictions(straight):
    events = EventAccumulator(str(straight[0]), size_guidance={"tensors": 0}).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag == "inputs" or "predictions" in tag]
    assert len(tags) > 1
    for tag in tags:
        for event in events.Tensors(tag):
            assert tf.io.decode_png(tf.make_ndarray(event.tensor_proto)[2]).numpy().std() > 10


def test_the_evaluation_of_a_training_is_that_of_the_command_and_of_a_count(straight, folder, tmp_path, capsys):
    workdir, out = straight[0], tmp_path / "out"
    asked = flags.load(evaluate.Flags(out=str(out)), workdir / "experiment.flags")
    evaluate.main(asked)
    shown = capsys.readouterr().out
    assert "mean IoU" in shown
    assert "Wrote metrics.json, predictions.csv, confusion.csv, confusion.png, worst.jpg, report.html in" in shown
    before, now = (json.loads((place / "metrics.json").read_text()) for place in (workdir, out))
    assert now["metrics"] == before["metrics"] and now["step"] == 8
    # What the model says of each image by itself, counted a pixel at a time.
    task, model, *_ = trained.restore(asked, "latest")
    split = Split.open(folder, "val")
    right = counted = 0
    for row in range(len(split)):
        picture = image.decode(split.record(row).encoded)
        said = task.predict(model, {"image": tf.cast(picture[None], tf.float32)})["label_map"][0].numpy()
        truth = segmentation.truth(split, row)
        right, counted = right + np.sum((said == truth) & (truth > 0)), counted + np.sum(truth > 0)
    assert now["metrics"]["pixel_accuracy"] == pytest.approx(right / counted, abs=2e-3)  # A tie may fall otherwise.


def test_a_photo_gets_a_map_of_its_own_size_and_rubbish_is_named(straight, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, [37, 91, 3], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "odd.png")
    (tmp_path / "rubbish.png").write_text("rubbish")
    asked = predict.Flags(images=(str(tmp_path),), out=str(tmp_path / "seen"))
    predict.main(flags.load(asked, straight[0] / "experiment.flags"))
    shown = capsys.readouterr()
    assert "1 of 2 images done" in shown.out and "rubbish.png" in shown.err
    (png,) = (tmp_path / "seen").rglob("odd*.png")
    assert np.asarray(Image.open(png)).shape == (37, 91)
