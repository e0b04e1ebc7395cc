"""R-CNN, SPP-net, Fast R-CNN and a Faster R-CNN on one map by the real entry points, on scenes with proposals."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines import proposals, scenes
from tfrecog.runs import checkpoints

REPOSITORY = Path(__file__).resolve().parent.parent
RECIPES = ("rcnn", "spp_net", "fast_rcnn", "faster_rcnn_zf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plain, folder = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("proposed")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(plain), split, count, scenes.Scenes(height=96, width=128), jobs=1)
        proposals.build(str(plain), split, str(folder), method="grid", jobs=1)
    return folder


def start(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, cwd="/", text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def train(folder, workdir, recipe, *more, program=("-m", "tfrecog.train")):
    records = (f"--data.records={folder}", f"--workdir={workdir}")
    return start(*program, f"--flagfile=configs/smoke/{recipe}.flags", *records, *more)


def finish(process):
    output, _ = process.communicate(timeout=400)
    return process.returncode, output


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory):
    """Workdir and output of a run of each recipe, of four steps and an evaluation."""
    found = {}
    for pair in (RECIPES[:2], RECIPES[2:]):
        started = {recipe: tmp_path_factory.mktemp(recipe) for recipe in pair}
        processes = {recipe: train(folder, workdir, recipe) for recipe, workdir in started.items()}
        for recipe, process in processes.items():
            status, output = finish(process)
            assert status == 0, output
            found[recipe] = (started[recipe], output)
    return found


def weights(workdir):
    reader = tf.train.load_checkpoint(str(checkpoints.latest(workdir) / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("recipe", "title"),
    [("rcnn", "R-CNN"), ("spp_net", "SPP-net"), ("fast_rcnn", "Fast R-CNN"), ("faster_rcnn_zf", "Faster R-CNN")],
)
def test_each_of_the_family_trains_from_its_flagfile_and_is_measured(runs, recipe, title):
    workdir, output = runs[recipe]
    assert re.search(rf"^model +{title},", output, re.MULTILINE)
    report = json.loads((workdir / "metrics.json").read_text())
    assert 0 <= report["metrics"]["box_AP50"] <= 1
    losses = {"class_loss", "box_loss"} | (
        {"objectness_loss", "rpn_box_loss"} if recipe.startswith("faster") else set()
    )
    line = next(line for line in output.splitlines() if line.startswith("step 4/"))
    assert losses == {word.strip("(,") for word in line.split() if word.strip("(,").endswith("_loss")}


def test_a_killed_fast_rcnn_with_dropout_goes_on_to_the_weights_it_would_have_had(folder, runs, tmp_path):
    often = "--train.checkpoint_epochs=0.5"
    kill = (REPOSITORY / "tests" / "kill.py", 3)
    status, output = finish(train(folder, tmp_path, "fast_rcnn", often, program=kill))
    assert status != 0, output
    status, output = finish(train(folder, tmp_path, "fast_rcnn", often))
    assert status == 0, output
    straight, resumed = weights(runs["fast_rcnn"][0]), weights(tmp_path)
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


def test_records_without_proposals_are_refused_with_the_pipeline_that_adds_them(tmp_path):
    scenes.build(str(tmp_path / "plain"), "train", 2, jobs=1)
    status, output = finish(train(tmp_path / "plain", tmp_path / "run", "fast_rcnn", "--data.eval_split=train"))
    assert status != 0
    assert "pipelines.proposals" in output.splitlines()[-1]
