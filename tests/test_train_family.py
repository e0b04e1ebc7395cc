"""R-CNN, SPP-net, Fast R-CNN and a Faster R-CNN on one map by the real entry points, on scenes with proposals."""

import functools
import json
import re

import pytest

from pipelines import proposals, scenes
from tests.runs import assert_same, train, weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plain, folder = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("proposed")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(plain), split, count, scenes.Scenes(height=96, width=128), jobs=1)
        proposals.build(str(plain), split, str(folder), method="grid", jobs=1)
    return folder


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """{recipe: workdir and output of a run of four steps and an evaluation}, each made when it is asked for."""

    @functools.cache
    def run(recipe):
        workdir = tmp_path_factory.mktemp(recipe)
        status, output = train(recipe, folder, workdir).finish()
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


def test_a_killed_fast_rcnn_with_dropout_goes_on_to_the_weights_it_would_have_had(folder, trained, tmp_path):
    often = "--train.checkpoint_epochs=0.5"
    status, output = train("fast_rcnn", folder, tmp_path, often, kill_at=3).finish()
    assert status != 0, output
    status, output = train("fast_rcnn", folder, tmp_path, often).finish()
    assert status == 0, output
    assert_same(weights(tmp_path), weights(trained("fast_rcnn")[0]))


def test_records_without_proposals_are_refused_with_the_pipeline_that_adds_them(tmp_path):
    scenes.build(str(tmp_path / "plain"), "train", 2, jobs=1)
    process = train("fast_rcnn", tmp_path / "plain", tmp_path / "run", "--data.eval_split=train")
    status, output = process.finish()
    assert status != 0
    assert "pipelines.proposals" in output.splitlines()[-1]
