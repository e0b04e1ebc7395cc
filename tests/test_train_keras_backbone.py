"""Runs whose backbone starts from a weights file of Keras', in this process."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tests.runs import section
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, Experiment
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.models.backbones.keras_backbone import KerasBackbone
from tfrecog.runs import checkpoints
from tfrecog.runs import folder as runs
from tfrecog.training import loop
from tfrecog.training.start import starting_point
from tfrecog.training.step import TrainState

INFO = DatasetInfo((Category("thing", 1),), splits={})


class Task:
    """Has features grow to 1; their backbone is all that learns."""

    name = "features"

    def __init__(self, experiment):
        self.config = experiment.detector.backbone

    def build(self):
        keras.utils.set_random_seed(0)
        model = keras.Model(name="detector")
        model.backbone = KerasBackbone(self.config, last=3)
        model.backbone(tf.zeros([1, 32, 32, 3]))
        model.built = True
        return model

    def losses(self, model, batch):
        image = 40 * batch["x"][:, None, None] + tf.zeros([1, 32, 32, 3])
        features = model.backbone(model.backbone.normalize(image), training=True)
        error = tf.reduce_mean(tf.square(features[3] - 1), axis=[1, 2, 3])
        return {"features": (tf.reduce_sum(error), tf.cast(tf.shape(error)[0], tf.float32))}


def experiment(workdir, weights, *changes, **options) -> Experiment:
    """Four steps; the stem and level 2 are frozen, and so is batch norm."""
    base = tiny.experiment(workdir, "--optim.learning_rate=0.02", "--schedule.epochs=1", **options)
    backbone = BackboneConfig("keras_mobilenet_v3_small", weights=str(weights))
    return flags.change(replace(base, detector=replace(base.detector, backbone=backbone)), changes)


def run(*arguments, **options):
    config = experiment(*arguments, **options)
    loop.run(Task(config), config, tiny.data())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Keras' network, its weights file, and a run of four steps from them."""
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(7)
    model = keras.applications.MobileNetV3Small(include_top=False, weights=None)
    model.save_weights(folder / "original.weights.h5")
    run(folder / "straight", folder / "original.weights.h5")
    return model, folder / "original.weights.h5", folder / "straight"


def test_a_run_starts_from_the_file_and_what_is_frozen_stays_so(original):
    model, _, straight = original
    before, after = {variable.path: variable.numpy() for variable in model.variables}, section(straight)
    changed = {path for path, value in after.items() if np.any(value != before[path.removeprefix("backbone/")])}
    assert "backbone/expanded_conv_1_expand/kernel" in changed
    assert all(path.startswith(("backbone/expanded_conv_1_", "backbone/expanded_conv_2_")) for path in changed)
    assert not [path for path in changed if "_bn/" in path]


def test_a_run_goes_on_without_the_file_and_ends_like_one_that_was_not_stopped(original, tmp_path):
    _, file, straight = original
    moving = tmp_path / "moving.weights.h5"
    moving.write_bytes(file.read_bytes())
    run(tmp_path / "run", moving, "--schedule.epochs=0.5")
    moving.unlink()
    runs.begin(experiment(tmp_path / "run", moving), INFO).close()
    run(tmp_path / "run", moving)
    expected, found = section(straight), section(tmp_path / "run")
    assert checkpoints.latest(tmp_path / "run").name == "step-00000004" and found.keys() == expected.keys()
    for path, value in found.items():
        np.testing.assert_allclose(value, expected[path], atol=1e-6, err_msg=path)


def test_a_new_run_without_the_file_leaves_nothing_behind(tmp_path):
    missing = runs.resolve(experiment(tmp_path / "run", tmp_path / "missing.h5"))
    with pytest.raises(UserError, match=r"missing\.h5: there is no such file"):
        runs.begin(missing, INFO)
    assert not (tmp_path / "run").exists()


def test_other_weights_to_start_from_take_the_place_of_the_file(original, tmp_path):
    _, file, straight = original
    trained = section(straight)

    def starts(weights, skip_mismatched):
        config = experiment(tmp_path, weights, start_from=str(straight), skip_mismatched=skip_mismatched)
        model = Task(config).build()
        assert starting_point(config, model, TrainState(model, config.optim, config.train)) == 0
        return {variable.path: variable.numpy() for variable in model.variables}

    for weights, skip_mismatched in ((tmp_path / "missing.h5", False), (file, True)):
        for path, value in starts(weights, skip_mismatched).items():
            np.testing.assert_array_equal(value, trained[path], err_msg=path)
    with pytest.raises(UserError, match=r"missing\.h5"):  # Where they may lack something, that comes from the file.
        starts(tmp_path / "missing.h5", skip_mismatched=True)


def test_the_name_of_the_file_is_made_absolute_and_imagenet_stays_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for weights, resolved in (("own.h5", str(Path("own.h5").resolve())), ("imagenet", "imagenet"), ("", "")):
        assert runs.resolve(experiment("run", weights)).detector.backbone.weights == resolved


def test_random_weights_cannot_be_frozen_and_the_message_names_the_ways_out(tmp_path):
    with pytest.raises(ValueError, match=r"at random.*weights=imagenet.*norm=batch .*frozen_stages=0"):
        runs.begin(experiment(tmp_path / "run", ""), INFO)
