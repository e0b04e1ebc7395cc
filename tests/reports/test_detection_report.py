"""The report of a detector: real small evaluations by a model that sees the truth, more or less."""

import dataclasses
import json
import logging

import pytest
import tensorflow as tf

from tests import datasets
from tests import test_evaluate as scenes
from tests.reports import pages
from tfrecog.cli import flags
from tfrecog.config import DataConfig, DetectorConfig, Experiment
from tfrecog.data import info
from tfrecog.evaluations import detection
from tfrecog.evaluations.detection import DIAGNOSIS
from tfrecog.evaluations.loop import METRICS
from tfrecog.reports import card, page, report
from tfrecog.reports import detection as parts
from tfrecog.runtime import distribution

NASTY = "<script>alert(1)</script>"


def written(folder, out, task, detector, **settings):
    """The page of an evaluation, and what it found."""
    data = DataConfig(records=str(folder), eval_batch_size=3, eval_short_side=64, long_side=128)
    experiment = flags.replace(Experiment(data=data, detector=detector), settings)
    numbers = detection.evaluate(task, None, experiment, distribution.strategy(1), out, step=3)
    assert numbers.report == out / report.FILE
    return pages.Page(numbers.report), numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return scenes.write_records(tmp_path_factory.mktemp("records"), scenes.SCENES)


@pytest.mark.parametrize("part, metrics", [("masks", "coco"), ("keypoints", "both"), ("", "voc")])
def test_the_numbers_on_the_page_are_those_of_the_files(folder, tmp_path, part, metrics):
    detector = DetectorConfig(masks=part == "masks", keypoints=part == "keypoints")
    task = scenes.Oracle(part, noise=4.0 if part == "masks" else 1.0)
    seen, numbers = written(folder, tmp_path, task, detector, metrics=metrics)
    pages.assert_safe(seen)
    report_of, diagnosed = (json.loads((tmp_path / name).read_text()) for name in (METRICS, DIAGNOSIS))
    all_numbers = seen.rows("number")
    assert all_numbers.keys() == {name.replace("_", " ") for name in numbers}
    for name, value in report_of["metrics"].items():
        text, exact = all_numbers[name.replace("_", " ")]["%"]
        error = report_of.get("standard_errors", {}).get(name)
        assert exact == ([value] if value != -1 else [])
        margin = f" ± {100 * error:.1f}" if error else ""
        assert " ".join(text.split()) == (f"{100 * value:.1f}{margin}" if value != -1 else "–")
    classes = seen.rows("class")
    for row, own in zip(report_of["classes"], diagnosed["classes"], strict=True):
        cells = {name: exact for name, (_, exact) in classes[row["name"]].items()}
        assert cells["objects"] == [row.get("instances", row.get("objects"))]
        for kind in ("box", "mask", "keypoint"):
            assert cells.get(f"{kind} AP") == ([row[f"{kind}_AP"]] if f"{kind}_AP" in row else None)
        assert cells.get("VOC AP") == ([row["voc_AP"]] if "voc_AP" in row else None)
        best = own["best"]
        assert [*cells["best threshold"], *cells["F1"]] == [best["threshold"], best["f1"]]
    kinds = seen.rows("kind")
    for kind, error in diagnosed["errors"].items():
        assert kinds[kind]["how often"][1] == [error["count"]] and kinds[kind]["costs"][1] == [error["ap50"]]
    # Every image twice, with its truth and with what is predicted: of so few all are among the worst or the others.
    names = [record.filename for record in scenes.SCENES]
    assert sorted(seen.pictures) == sorted(f"{one}: {what}" for one in names for what in ("truth", "predicted"))
    assert ("Standard errors are not measured" in seen.text) == (metrics == "voc")


def test_the_matrix_has_the_background_and_every_confusion(folder, tmp_path):
    detector = DetectorConfig()
    found = scenes.with_outputs(lambda found: {"labels": tf.where(found["labels"] > 0, 3 - found["labels"], 0)})
    seen, _ = written(folder, tmp_path, found, detector)
    diagnosed = json.loads((tmp_path / DIAGNOSIS).read_text())
    matrix = seen.rows("true ↓ predicted →")
    names = ["background", "cat", "dog"]
    counts = {(names[a], names[b]): count for a, b, count in diagnosed["confusion"]}
    assert counts[("cat", "dog")] > 0 and counts[("dog", "cat")] > 0
    for true in names:
        for predicted in names:
            assert matrix[true][predicted][1] == [counts.get((true, predicted), 0)]


def test_names_are_text_whatever_is_in_them(tmp_path):
    records = tmp_path / 'a "folder" <b>&amp;'
    records.mkdir()
    shown = [
        dataclasses.replace(one, filename=f"<img src=x onerror=alert(1)>{i}") for i, one in enumerate(scenes.SCENES)
    ]
    named = (info.Category(NASTY, 17), info.Category("</title></style>" + "long" * 30, 3))
    facts = {"masks": True, "keypoints": ("a", "b", "c"), "keypoint_sigmas": scenes.SIGMAS}
    datasets.write(records, [shown], named, **facts)
    seen, _ = written(records, tmp_path / "out", scenes.Oracle(), DetectorConfig(masks=True))
    pages.assert_safe(seen)
    assert NASTY in seen.rows("class") and seen.tags["title"] == seen.tags["style"] == 1
    assert any(name.startswith("<img src=x onerror=alert(1)>0: ") for name in seen.pictures)
    assert str(records) in seen.text and f"--data.records={records}" in seen.text


def test_many_classes_are_condensed_and_none_is_lost(tmp_path):
    named = tuple(info.Category(f"class {i}", i) for i in range(1, 101))
    datasets.write(tmp_path, [scenes.SCENES], named, masks=True)
    seen, _ = written(tmp_path, tmp_path / "out", scenes.Oracle(), DetectorConfig(masks=True))
    assert len(seen.rows("class")) == 100, "those that are not seen can be opened"
    assert seen.rows("class")["class 77"]["box AP"][0].strip() == "–"
    assert len(seen.rows("true ↓ predicted →")) == 13 and "Without any instances here" in seen.text
    assert len(seen.source) < 5e6


def test_nothing_to_find_and_nothing_found_are_said_in_words(tmp_path):
    empty = [record for record in scenes.SCENES if not len(record.labels)]
    (tmp_path / "none").mkdir()
    datasets.write(tmp_path / "none", [empty], scenes.CATEGORIES, masks=True)
    seen, _ = written(tmp_path / "none", tmp_path / "one", scenes.Oracle(scenes=empty), DetectorConfig(masks=True))
    assert "Not measured: there is no object to find." in seen.text and "box AP not measured" in seen.text
    scenes.write_records(tmp_path, scenes.SCENES)
    blind = scenes.with_outputs(lambda outputs: {"labels": 0 * outputs["labels"]})
    seen, numbers = written(tmp_path, tmp_path / "two", blind, DetectorConfig(masks=True))
    assert numbers["box_AP"] == 0 and seen.rows("number")["box AP"]["%"][1] == [0]
    assert "no detection of it is a hit" in seen.text


def test_a_page_without_what_older_evaluations_lack_says_so():
    sections = [parts.curves(None), parts.confusions(None, ["cat"]), parts.errors(None), parts.sizes({})]
    sections += [parts.classes([{"name": "cat", "id": 1, "instances": 3, "box_AP": float("nan")}], None)]
    text = page.render(
        "title", card.Facts({}), [*sections, parts.results({"box_AP": -1.0}, {}), parts.pictures([], [])]
    )
    assert text.count("Not measured: ") == 4 and "not measured" in text and "nan" not in text


def test_a_report_that_cannot_be_written_takes_nothing_with_it(folder, tmp_path, caplog):
    (tmp_path / report.FILE).mkdir()  # No file can take its place.
    data = DataConfig(records=str(folder), eval_batch_size=3, eval_short_side=64, long_side=128)
    experiment = Experiment(data=data)
    with caplog.at_level(logging.WARNING, "tfrecog"):
        numbers = detection.evaluate(scenes.Oracle(""), None, experiment, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == pytest.approx(1) and numbers.report is None
    assert json.loads((tmp_path / METRICS).read_text())["metrics"] == numbers
    assert f"{tmp_path / report.FILE} is not written, the numbers are" in caplog.text


def test_an_evaluation_that_ends_early_leaves_no_report_of_other_numbers(folder, tmp_path, monkeypatch):
    (tmp_path / report.FILE).write_text("old")

    def draw(*_):
        raise OSError(28, "full")

    monkeypatch.setattr(detection.Measured, "draw", draw)
    data = DataConfig(records=str(folder), eval_batch_size=3, eval_short_side=64, long_side=128)
    with pytest.raises(OSError, match="full"):
        detection.evaluate(scenes.Oracle(""), None, Experiment(data=data), distribution.strategy(1), tmp_path)
    assert (tmp_path / METRICS).exists() and not (tmp_path / report.FILE).exists()


def test_evaluations_on_the_way_leave_no_report_of_the_one_before(folder, tmp_path):
    (tmp_path / report.FILE).write_text("old")
    data = DataConfig(records=str(folder), eval_batch_size=3, eval_short_side=64, long_side=128)
    numbers = detection.evaluate(
        scenes.Oracle(""), None, Experiment(data=data), distribution.strategy(1), tmp_path, last=False
    )
    assert numbers.report is None and not (tmp_path / report.FILE).exists()
