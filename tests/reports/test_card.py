"""The head of a report."""

import json

import pytest

from tests import test_evaluate as scenes
from tfrecog.cli import flags
from tfrecog.config import DataConfig, DetectorConfig, Experiment
from tfrecog.data import info
from tfrecog.data.split import Split
from tfrecog.reports import card


@pytest.fixture
def split(tmp_path):
    scenes.write_records(tmp_path, scenes.SCENES)
    return Split.open(tmp_path, "val")


@pytest.fixture
def experiment(split):
    return Experiment(data=DataConfig(records=split.folder), detector=DetectorConfig(masks=True))


def head(experiment, split):
    return card.head("Mask R-CNN", None, experiment, split, {"step": 1200, "test_seconds_per_image": None}).facts


def test_it_says_what_the_model_is_and_leaves_out_what_nobody_noted(experiment, split):
    facts = head(experiment, split)
    assert facts["Task"] == "instance segmentation" and facts["Weights"] == "step 1,200"
    assert facts["Measured on"] == f"val of {split.folder}: 7 images, 17 objects"
    assert "Trained on" not in facts and "Started from" not in facts and "Not stated" in facts["Licence"]
    posed = flags.replace(experiment, {"detector.masks": False, "detector.keypoints": True})
    assert head(posed, split)["Task"] == "keypoint detection" and head(posed, split)["Keypoints"] == "a, b, c"


def test_a_run_says_what_it_has_learned_from_and_published_weights_where_they_are_from(experiment, split, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    learned = info.SplitInfo(images=2000, instances=14000, crowd=3, shards=())
    info.save(workdir, info.DatasetInfo(scenes.CATEGORIES, {"train": learned}))
    experiment = flags.replace(experiment, {"workdir": str(workdir), "train.start_from": "runs/other"})
    facts = head(experiment, split)
    assert facts["Trained on"] == "train: 2,000 images, 14,000 objects" and facts["Started from"] == "runs/other"
    noted = {"model": "maskrcnn_resnet50_fpn", "file": "mask.pth", "url": "https://example.org/mask.pth"}
    (workdir / "imported.json").write_text(json.dumps(noted))
    assert head(experiment, split)["Started from"].endswith("maskrcnn_resnet50_fpn, https://example.org/mask.pth")


def text(section):
    return " ".join(block.text for block in section.blocks)


def test_its_limits_are_those_of_the_data(experiment, split):
    table = [{"name": "cat", "instances": 3}, {"name": "dog", "instances": 0}, {"name": "cow", "instances": 10}]
    said = text(card.use(experiment, split, table))
    assert "fewer than 10 instances here have uncertain numbers: cat (3)." in said
    assert "Without any instances here, and so not measured: dog." in said and "learned from" not in said
    assert "cow" not in said
    same = flags.replace(experiment, {"data.train_split": "val"})
    assert "It has learned from val, too" in text(card.use(same, split, table))


def test_records_that_were_learned_from_are_known_however_their_folder_is_written(
    experiment, split, tmp_path, monkeypatch
):
    monkeypatch.chdir(split.folder)
    for written in (str(split.folder), f"{split.folder}/", ".", f"../{tmp_path.name}"):
        run = tmp_path / f"run {len(written)}"
        run.mkdir()
        (run / "experiment.flags").write_text(f"--data.records={written}\n--data.train_split=val\n")
        seen = flags.replace(experiment, {"workdir": str(run)})
        assert "It has learned from val, too" in text(card.use(seen, split, [])), written
    (run / "experiment.flags").write_text("--data.records=elsewhere\n--data.train_split=val\n")
    assert "learned from" not in text(card.use(seen, split, []))
