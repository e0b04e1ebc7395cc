"""The reports of a classifier and of a segmenter: real small evaluations by models that see the gray of a picture."""

import json

import numpy as np
import pytest

from tests import gray_maps
from tests import test_evaluate_classifier as grays
from tests.reports import pages
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import info
from tfrecog.evaluations import segmentation
from tfrecog.runtime import distribution

NASTY = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """The page and folder of a classifier of which a class is named like a program, and one has no image."""
    folder = tmp_path_factory.mktemp("records")
    categories = (*grays.CATEGORIES[:5], info.Category(NASTY, 9))
    labels = [one if one != 4 else 3 for one in grays.LABELS]
    grays.write_records(folder, labels, grays.SEEN, categories)
    numbers = grays.evaluated(folder, folder / "out", step=7)
    return pages.Page(numbers.report), folder / "out", labels


@pytest.fixture(scope="module")
def segmented(tmp_path_factory):
    """The page and folder of a segmenter."""
    folder = tmp_path_factory.mktemp("records")
    categories = (*gray_maps.CATEGORIES[:5], info.Category(NASTY, 9))
    gray_maps.write(folder, gray_maps.maps(), categories)
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=0)
    experiment = Experiment(task="segmentation", data=data)
    task = gray_maps.Gray()
    numbers = segmentation.evaluate(task, None, experiment, distribution.strategy(1), folder / "out")
    return pages.Page(numbers.report), folder / "out"


def test_the_page_of_a_classifier_has_the_numbers_of_its_files(classified):
    seen, out, labels = classified
    pages.assert_safe(seen)
    written, diagnosed = (json.loads((out / name).read_text()) for name in ("metrics.json", "diagnosis.json"))
    top1 = written["metrics"]["top1"]
    assert seen.numbers[:3] == [written["metrics"][name] for name in ("top1", "top5", "error")]
    assert written["standard_errors"]["top1"] == pytest.approx(np.sqrt(top1 * (1 - top1) / len(labels)))
    assert f"{100 * top1:.1f} ± {100 * written['standard_errors']['top1']:.1f}" in seen.text
    classes = seen.rows("class")
    for row, own in zip(written["classes"], diagnosed["classes"], strict=True):
        cells = {name: exact for name, (_, exact) in classes[row["name"]].items()}
        assert cells["images"] == [row["images"]]
        assert cells["accuracy"] == ([] if row["accuracy"] is None else [row["accuracy"]])
        best = own["best"] or {}
        assert [cells["best threshold"], cells["F1"]] == [[best[name]] if best else [] for name in ("threshold", "f1")]
    assert classes["gray"]["accuracy"][0].strip() == "–" and "Without any images here" in seen.text


def test_the_best_threshold_of_a_classifier_is_of_its_most_probable_classes(classified):
    _, out, labels = classified
    rows = json.loads((out / "diagnosis.json").read_text())["classes"]
    for one, row in enumerate(rows, 1):
        said = [label == one for label, seen in zip(labels, grays.SEEN, strict=True) if seen == one]
        # Every gray is as far from its own level as any other: all have one probability, which counts all or none.
        f1 = 2 * sum(said) / (len(said) + labels.count(one)) if any(said) else None
        assert (row["best"] and row["best"]["f1"]) == (f1 and pytest.approx(f1)), row["name"]


def test_the_matrix_of_a_classifier_is_that_of_labels_and_grays(classified):
    seen, _, labels = classified
    names = [*grays.NAMES[:5], NASTY]
    matrix = seen.rows("true ↓ predicted →")
    for a, true in enumerate(names, 1):
        for b, predicted in enumerate(names, 1):
            count = sum(pair == (a, b) for pair in zip(labels, grays.SEEN, strict=True))
            assert matrix[true][predicted][1] == [count]
    wrong = sum(a != b for a, b in zip(labels, grays.SEEN, strict=True))
    assert len(seen.pictures) == wrong + min(8, len(labels) - wrong)


def test_the_page_of_a_segmenter_has_the_numbers_of_its_files(segmented):
    seen, out = segmented
    pages.assert_safe(seen)
    written = json.loads((out / "metrics.json").read_text())
    assert seen.numbers[:4] == [*written["metrics"].values()]
    assert written["standard_errors"].keys() == written["metrics"].keys()
    for row in written["classes"]:
        cells = seen.rows("class")[row["name"]]
        for name, key in (("IoU", "iou"), ("recall", "accuracy"), ("precision", "precision")):
            assert cells[name][1] == ([] if row[key] is None else [row[key]])
    assert seen.pictures == [
        f"{name}: {what}" for name in dict.fromkeys(one.split(":")[0] for one in seen.pictures)
        for what in ("image", "truth", "predicted")
    ]  # fmt: skip
    assert len(seen.pictures) == 3 * 7 and "no score" in seen.text
