"""Trainings from Python."""

import numpy as np
import pytest
import tensorflow as tf

import tfrecog
from tests.runs import assert_same, train, weights
from tfrecog.cli import flagfiles
from tfrecog.cli.errors import UserError
from tfrecog.runtime import onednn


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 8)):
        samples = (
            {"picture": rng.integers(0, 256, [28, 28, 3]).astype(np.uint8), "label": 1 + i % 2} for i in range(count)
        )
        tfrecog.write_records(samples, ["zero", "one"], folder, split)
    return folder


SETTINGS = {
    "schedule.epochs": 1.0,
    "schedule.warmup_epochs": 0.5,
    "schedule.drop_epochs": (),
    "data.batch_size": 16,
    "train.checkpoint_epochs": 0.5,
}


def test_a_recipe_is_found_by_its_name_or_file_and_changed_by_settings(tmp_path):
    one = tfrecog.recipe("coco/mask_rcnn_r50_fpn", {"schedule.epochs": 5, "schedule.drop_epochs": (3, 4)})
    assert one.experiment.detector.masks and one.experiment.schedule.epochs == 5
    assert one.experiment.schedule.drop_epochs == (3.0, 4.0)
    assert repr(one) == "<tfrecog recipe coco/mask_rcnn_r50_fpn for detection; its settings are in .experiment>"
    (tmp_path / "mine.flags").write_text("--flagfile=configs/coco/mask_rcnn_r50_fpn.flags\n--data.batch_size=2\n")
    assert tfrecog.recipe(tmp_path / "mine.flags").experiment.data.batch_size == 2
    assert "smoke/mask_rcnn" in flagfiles.recipes() and "digits/lenet5" in flagfiles.recipes()


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("coco/mask_rcnn_r5", {}, "did you mean coco/mask_rcnn_r50_fpn"),
        ("lenet5", {}, "did you mean digits/lenet5"),
        ("smoke/mask_rcnn", {"epochs": 5}, "did you mean schedule.epochs"),
        ("smoke/mask_rcnn", {"schedule.epochs": "many"}, "needs a number"),
        ("smoke/mask_rcnn", {"schedule.epochs": -1}, "schedule.epochs=-1"),
        ("nothing.flags", {}, "no flagfile 'nothing.flags'"),
    ],
)
def test_what_is_wrong_is_said(name, settings, message):
    with pytest.raises(UserError, match=message):
        tfrecog.recipe(name, settings)


def said(caplog):
    return [one.getMessage() for one in caplog.records if one.name == "tfrecog"]


def test_it_trains_as_the_command_does_and_calls_a_function_at_each_step(records, tmp_path, caplog):
    calls = []
    recipe = tfrecog.recipe("smoke/classifier_digits", SETTINGS)
    numbers = recipe.train(tmp_path / "api", records, on_step=lambda step, terms: calls.append((step, terms)))
    assert [step for step, _ in calls] == [1, 2] and {"loss", "learning_rate", "gradient_norm"} <= calls[0][1].keys()
    assert "top1" in numbers
    assert tf.config.optimizer.get_experimental_options()["arithmetic_optimization"], "what follows computes as usual"
    flags = [f"--{name}={','.join(map(str, v)) if v == () else v}" for name, v in SETTINGS.items()]
    train("classifier_digits", records, tmp_path / "command", *flags)
    assert_same(weights(tmp_path / "api"), weights(tmp_path / "command"))
    assert tfrecog.load(tmp_path / "api").evaluate() == numbers
    assert not said(caplog)
    # As if the training had computed with the other kernels.
    words, flagfile = {False: "off", True: "on"}, tmp_path / "api/experiment.flags"
    here = onednn.is_on()
    flagfile.write_text(flagfile.read_text().replace(f", oneDNN {words[here]})", f", oneDNN {words[not here]})"))
    tfrecog.load(tmp_path / "api")
    (line,) = said(caplog)
    assert f"api was trained with oneDNN {words[not here]}, which is {words[here]} here" in line
    assert f"TF_ENABLE_ONEDNN_OPTS={int(not here)} before TensorFlow" in line


def test_what_the_function_raises_ends_it_and_the_same_call_continues(records, tmp_path):
    class Enough(Exception):
        pass

    def stop(step, _):
        if step == 2:
            raise Enough

    recipe = tfrecog.recipe(
        "smoke/classifier_digits", SETTINGS | {"schedule.epochs": 2.0, "train.evaluate_epochs": 0.0}
    )
    with pytest.raises(Enough):
        recipe.train(tmp_path, records, on_step=stop)
    steps = []
    recipe.train(tmp_path, records, on_step=lambda step, _: steps.append(step))
    assert steps == [2, 3, 4]


def test_records_have_to_be_named(tmp_path):
    with pytest.raises(UserError, match="records: name the folder"):
        tfrecog.recipe("smoke/mask_rcnn").train(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"nothing/dataset\.json is missing.*From Python, tfrecog\.write_records"
    ):
        tfrecog.recipe("smoke/mask_rcnn").train(tmp_path, tmp_path / "nothing")


def test_errors_of_a_training_name_arguments_and_settings(records, tmp_path):
    for recipe, message in (
        ("mask_rcnn", r"digits\d* holds no masks, which detector\.masks needs: .* or set detector\.masks=False"),
    ):
        with pytest.raises(UserError, match=message):
            tfrecog.recipe(f"smoke/{recipe}").train(tmp_path / recipe, records)
