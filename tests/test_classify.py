"""What a classifier sees in photos: its best classes, in a file and on pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import shown
from tfrecog.cli import validate
from tfrecog.config import ClassifierConfig, DataConfig, Experiment
from tfrecog.data import info
from tfrecog.inference import classification, result_files

EXPERIMENT = Experiment(
    task="classification",
    data=DataConfig(eval_short_side=64, resize="pillow"),
    classifier=ClassifierConfig(name="resnet18", crop=48),
)


class Colours:
    """A task whose model finds the mean red and green of what it is shown, as scores of classes 2 and 5."""

    info = info.DatasetInfo(
        tuple(info.Category(name, 10 + i) for i, name in enumerate(["tea", "red", "sea", "sky", "green", "oak"])), {}
    )

    def predict(self, model, batch):
        assert batch["image"].shape == [1, 48, 48, 3]
        red, green, _ = tf.unstack(tf.reduce_mean(batch["image"][0], axis=[0, 1]) / 1000)
        return {"probabilities": tf.stack([0.01, red, 0.03, 0.02, green, 0.0])[None]}


def save(path, colour, size=(100, 150)):
    Image.new("RGB", size[::-1], colour).save(path)
    return path


def test_the_five_best_classes_are_written_best_first(tmp_path):
    (tmp_path / "notes.jpg").write_text("not an image")
    paths = [save(tmp_path / "a.png", (200, 100, 0)), tmp_path / "notes.jpg", save(tmp_path / "b.png", (50, 250, 0))]
    broken = shown.write(Colours(), EXPERIMENT, paths, tmp_path / "seen")
    assert set(broken) == {paths[1]} and broken[paths[1]]
    rows = json.loads((tmp_path / "seen" / result_files.PREDICTIONS).read_text())
    assert [row["file_name"] for row in rows] == [str(path) for path in paths[::2]]
    best = [[one["category_name"] for one in row["classes"]] for row in rows]
    assert best == [["red", "green", "sea", "sky", "tea"], ["green", "red", "sea", "sky", "tea"]]
    assert rows[1]["classes"][0] == {"category_id": 14, "category_name": "green", "probability": 0.25}


def test_each_picture_has_its_classes_written_in_the_upper_left_corner(tmp_path):
    path = save(tmp_path / "photo.png", (200, 100, 0), (300, 400))
    shown.write(Colours(), EXPERIMENT, [path], tmp_path / "seen")
    drawn = np.asarray(Image.open(tmp_path / "seen" / "photo.jpg"), int)
    changed = np.abs(drawn - (200, 100, 0)).max(-1) > 40
    assert drawn.shape == (300, 400, 3)
    assert changed[5:70, :40].mean() > 0.9 and (drawn[5:70, :100].min(-1) > 230).any(), "white on dark"
    assert not changed[:, 200:].any() and not changed[150:].any(), "the rest stays as it is"


def test_a_small_picture_is_enlarged_until_text_is_legible():
    picture = np.random.default_rng(0).integers(0, 255, [30, 50, 3]).astype(np.uint8)
    drawn = result_files.written_on(picture, ["tea 50%"], min_side=100)
    assert drawn.shape == (120, 200, 3)
    np.testing.assert_array_equal(drawn[60:], picture.repeat(4, 0).repeat(4, 1)[60:])


@pytest.mark.parametrize(
    "height, width, top, left",
    # Of half a pixel, as of (77 - 48) / 2 = 14.5, to the even one: 14, but 16 of 15.5.
    [(64, 64, 8, 8), (64, 77, 8, 14), (64, 79, 8, 16), (83, 64, 18, 8)],
)
def test_the_crop_is_the_middle_of_the_resized_picture(height, width, top, left):
    picture = np.random.default_rng(0).integers(0, 255, [height, width, 3]).astype(np.uint8)
    seen = classification.batch_of(picture, EXPERIMENT)["image"][0]  # The short side is 64 already: no resizing.
    np.testing.assert_array_equal(seen, picture[top : top + 48, left : left + 48])


def test_the_resized_long_side_is_rounded_down():
    picture = np.random.default_rng(0).integers(0, 255, [100, 151, 3]).astype(np.uint8)
    resized = np.asarray(Image.fromarray(picture).resize((96, 64), Image.Resampling.BILINEAR))  # 151 * 0.64 = 96.64
    np.testing.assert_array_equal(classification.batch_of(picture, EXPERIMENT)["image"][0], resized[8:56, 24:72])


@pytest.mark.parametrize("name, crop, reason", [("alexnet", 62, "at least 63"), ("resnet18", 65, "must not exceed")])
def test_a_crop_that_cannot_be_is_refused(name, crop, reason):
    experiment = replace(EXPERIMENT, classifier=ClassifierConfig(name=name, crop=crop))
    with pytest.raises(ValueError, match=f"--classifier.crop={crop}: .*{reason}"):
        validate.check(experiment)
