"""An exported model takes pictures of more than 8 bits by the ranges of the data set that its run learned from."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from export import saved_model, tflite
from export.artifact import metadata
from export.litert import reader
from tests import photos
from tests.export import commands, random_runs, stand_in
from tfrecog import predict
from tfrecog.cli import command
from tfrecog.cli.errors import UserError

RANGES = {"uint16": (0, 4095), "float32": (0, 2)}
PIXELS = np.random.default_rng(0).integers(0, 256, [60, 80, 3]).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The flagfile of a classifier of random weights whose data set has RANGES."""
    folder = tmp_path_factory.mktemp("run")
    dataset = dataclasses.replace(random_runs.INFO, pixel_ranges=RANGES)
    return random_runs.made("classifier", folder, dataset=dataset)[0]


@pytest.fixture(scope="module")
def photos_of_both_depths(tmp_path_factory):
    """A picture of 8 and one of 12 bits, which are the same."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "8.png").write_bytes(photos.file(PIXELS))
    (folder / "12.png").write_bytes(tf.io.encode_png(PIXELS.astype(np.uint16) * 16).numpy())
    return folder


def _classes(out):
    (results,) = out.glob("*.json")
    twelve, eight = json.loads(results.read_text())
    return twelve["classes"], eight["classes"]


def test_predict_sees_the_same_picture(run, photos_of_both_depths, tmp_path):
    arguments = [f"--flagfile={run}", f"--images={photos_of_both_depths}", f"--out={tmp_path}"]
    predict.main(command.parse(predict.Flags(), arguments))
    twelve, eight = _classes(tmp_path)
    assert twelve == eight


def test_a_saved_model_sees_the_same_picture(run, photos_of_both_depths, tmp_path):
    commands.run(saved_model, run, out=tmp_path)
    assert metadata.reading(metadata.load(tmp_path / "1")).ranges == RANGES
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    files = [(photos_of_both_depths / f"{bits}.png").read_bytes() for bits in (8, 12)]
    scores = signature(image_bytes=tf.constant(files))["scores"].numpy()
    np.testing.assert_array_equal(scores[0], scores[1])
    # By the upper 8 of 16 bits, the range of a data set without one, it would be nearly black.
    black = signature(image_bytes=tf.constant([photos.file(PIXELS // 16)]))["scores"].numpy()
    assert np.abs(scores[0] - black[0]).max() > 1e-4


def test_a_tflite_file_sees_the_same_picture(run, photos_of_both_depths, tmp_path):
    path = tmp_path / "model.tflite"
    commands.run(tflite, run, out=path)
    assert metadata.reading(reader.LiteModel.read_metadata(path)).ranges == RANGES
    commands.run(predict, model=path, images=photos_of_both_depths, out=tmp_path / "seen")
    twelve, eight = _classes(tmp_path / "seen")
    assert twelve == eight


@pytest.mark.parametrize("wrong", [{"uint8": [0, 255]}, {"uint16": [5, 5]}, {"uint16": [0]}, {"uint16": "all"}])
def test_ranges_that_cannot_be_are_refused(wrong):
    described = stand_in.metadata("classification", (8, 8), pixel_ranges=wrong)
    with pytest.raises(UserError, match="pixel_ranges"):
        metadata.parse(json.dumps(described).encode(), "a file")
