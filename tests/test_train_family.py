"""R-CNN, SPP-net, Fast R-CNN and a Faster R-CNN on one map by the real entry points, on scenes with proposals."""

import functools
import json
import re

import pytest

from pipelines import proposals, scenes
from tests.processes import Process
from tests.runs import assert_same, stopped, train, weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plain, folder = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("proposed")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(plain), split, count, scenes.Scenes(height=96, width=128), jobs=1)
        proposals.build(proposals.Proposals(data=str(plain), split=split, out=str(folder), method="grid", jobs=1))
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """{recipe: workdir and output of a run of four steps and an evaluation}, each made when it is asked for."""

    @functools.cache
    def run(recipe):
        workdir = tmp_path_factory.mktemp(recipe)
        status, output = train(recipe, folder, workdir, "--train.checkpoint_epochs=0.5").finish()
        assert status == 0, output
        return workdir, output

    return run


@pytest.mark.parametrize(
    ("recipe", "title"),
    [
        ("rcnn", "R-CNN"),
        ("fast_rcnn", "Fast R-CNN"),
        pytest.param("spp_net", "SPP-net", marks=pytest.mark.long),
        pytest.param("faster_rcnn_zf", "Faster R-CNN", marks=pytest.mark.long),
    ],
)
def test_each_of_the_family_trains_from_its_flagfile_and_is_measured(trained, recipe, title):
    workdir, output = trained(recipe)
    assert re.search(rf"^model +{title},", output, re.MULTILINE)
    report = json.loads((workdir / "metrics.json").read_text())
    assert 0 <= report["metrics"]["box_AP50"] <= 1
    losses = {"class_loss", "box_loss"} | (
        {"objectness_loss", "rpn_box_loss"} if recipe.startswith("faster") else set()
    )
    line = next(line for line in output.splitlines() if line.startswith("step 4/"))
    assert losses == {word.strip("(,") for word in line.split() if word.strip("(,").endswith("_loss")}


def test_a_stopped_fast_rcnn_with_dropout_goes_on_to_the_weights_it_would_have_had(trained, tmp_path):
    workdir, _ = trained("fast_rcnn")
    copy = stopped(workdir, 2, tmp_path / "run")
    again = (f"--flagfile={copy}/experiment.flags", f"--workdir={copy}", "--train.evaluate_epochs=0")
    status, output = Process("tfrecog.train", *again).finish()
    assert status == 0 and "continuing from the checkpoint of step 2 of 4" in output, output
    assert_same(weights(copy), weights(workdir))


def test_records_without_proposals_are_refused_with_the_pipeline_that_adds_them(tmp_path):
    scenes.build(str(tmp_path / "plain"), "train", 2, jobs=1)
    process = train("fast_rcnn", tmp_path / "plain", tmp_path / "run", "--data.eval_split=train")
    status, output = process.finish()
    assert status != 0
    assert "pipelines.proposals" in output.splitlines()[-1]
