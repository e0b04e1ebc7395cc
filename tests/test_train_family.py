"""R-CNN, SPP-net, Fast R-CNN and a Faster R-CNN on one map by the real entry points, on scenes with proposals."""

import json
import re

import pytest

from pipelines import proposals, scenes
from tests.folders import REPOSITORY
from tests.runs import train
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    plain, folder = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("proposed")
    for split, count in (("train", 8), ("val", 2)):
        scenes.build(str(plain), split, count, scenes.Scenes(height=96, width=128), jobs=1)
        proposals.build(proposals.Proposals(data=str(plain), split=split, out=str(folder), method="grid", jobs=1))
    return folder


@pytest.mark.parametrize(
    ("recipe", "title"),
    [
        ("rcnn", "R-CNN"),
        ("fast_rcnn", "Fast R-CNN"),
        pytest.param("spp_net", "SPP-net", marks=pytest.mark.long),
        pytest.param("faster_rcnn_zf", "Faster R-CNN", marks=pytest.mark.long),
    ],
)
def test_each_of_the_family_trains_from_its_flagfile_and_is_measured(folder, tmp_path, recipe, title):
    output = train(recipe, folder, tmp_path, "--train.evaluate_epochs=2")
    assert re.search(rf"^model +{title},", output, re.MULTILINE)
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert 0 <= report["metrics"]["box_AP50"] <= 1
    losses = {"class_loss", "box_loss"} | (
        {"objectness_loss", "rpn_box_loss"} if recipe.startswith("faster") else set()
    )
    line = next(line for line in output.splitlines() if line.startswith("step 4/"))
    assert losses == {word.strip("(,") for word in line.split() if word.strip("(,").endswith("_loss")}


def test_records_without_proposals_are_refused_with_the_pipeline_that_adds_them(tmp_path):
    scenes.build(str(tmp_path), "train", 2, jobs=1)
    flagfile = REPOSITORY / "configs/smoke/fast_rcnn.flags"
    records = [f"--data.records={tmp_path}", "--data.eval_split=train"]
    experiment = flags.change(Experiment(), [f"--flagfile={flagfile}", *records])
    with pytest.raises(UserError, match=r"pipelines\.proposals"):
        tasks.build(experiment, info.load(str(tmp_path))).data()
