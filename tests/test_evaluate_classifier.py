"""Evaluation of a classifier from records to numbers, tables and pictures: the model sees the gray of each image."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import datasets, opened
from tfrecog import evaluate, tasks
from tfrecog.config import ClassifierConfig, DataConfig, Experiment
from tfrecog.data import index, info, read, records
from tfrecog.evaluations import classification, confusion, misclassified
from tfrecog.metrics.classification import most_confused
from tfrecog.runs import checkpoints
from tfrecog.runtime import distribution
from tfrecog.tasks import class_mapping

NAMES = ("black", "dark, very", "dim", "gray", "pale", "white")
CATEGORIES = tuple(info.Category(name, 10 + i, key=f"n{i:08d}") for i, name in enumerate(NAMES))
# What 11 images are, and what their gray says. No batch of 2..4 divides them, and nothing is said to be "pale".
LABELS = [1, 2, 3, 4, 5, 6, 1, 2, 2, 2, 6]
SEEN = [1, 2, 3, 4, 6, 6, 1, 3, 3, 1, 6]
SIZES = [(20, 30), (30, 20), (16, 16), (64, 20)]


def write_records(folder, labels=LABELS, seen=SEEN, categories=CATEGORIES, spoil=()):
    """A folder of records of plain gray images, in two shards; the PNGs of rows in `spoil` are cut short."""
    made = []
    for row, (label, gray) in enumerate(zip(labels, seen, strict=True)):
        height, width = SIZES[row % len(SIZES)]
        file = io.BytesIO()
        Image.new("L", (width, height), 40 * gray).save(file, "PNG")
        encoded = file.getvalue()[: 60 if row in spoil else None]
        blank = records.blank(height, width)
        facts = {"filename": f"{row}.png", "source_id": str(row), "label": label}
        names = {"class_name": categories[label - 1].name}
        made.append(dataclasses.replace(blank, encoded=encoded, **facts, **names))
    return datasets.write(folder, [made[:4], made[4:]], categories, image_labels=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"))


def experiment_of(folder, batch_size=3):
    data = DataConfig(records=str(folder), eval_batch_size=batch_size, eval_short_side=16)
    return Experiment(task="classification", data=data, classifier=ClassifierConfig(name="lenet_modern", crop=12))


class Gray:
    """A task whose model is surest of the class that has the gray of the image."""

    info = info.DatasetInfo(CATEGORIES, {})

    def predict(self, model, batch):
        level = tf.reduce_mean(batch["image"], axis=[1, 2, 3]) / 40
        return {"probabilities": tf.nn.softmax(-4 * tf.abs(level[:, None] - tf.range(1.0, 7.0)))}


def evaluated(folder, out=None, replica=1, batch_size=3, task=None, **options):
    strategy = distribution.strategy(replica)
    return classification.evaluate(task or Gray(), None, experiment_of(folder, batch_size), strategy, out, **options)


@pytest.mark.parametrize("replica, batch_size", [(1, 3), (1, 64), (2, 4), (2, 1)])
def test_every_image_counts_once(folder, replica, batch_size):
    # 7 of 11 grays are those of the class. Top-5 misses the farthest of six classes, which no mistake goes to.
    want = {"top1": pytest.approx(7 / 11), "top5": 1.0, "error": pytest.approx(4 / 11)}
    assert evaluated(folder, None, replica, batch_size) == want


def test_predictions_with_names_of_files_need_no_record_again(folder, tmp_path):
    index.load(folder, "val")  # It is made now, so that neither evaluation makes it.
    with opened.files(".tfrecord") as without:
        evaluated(folder)
    with opened.files(".tfrecord") as with_files:
        evaluated(folder, tmp_path, last=False)  # Without a report, which shows images at random.
    mistakes = sum(label != seen for label, seen in zip(LABELS, SEEN, strict=True))  # misclassified.jpg shows them
    assert len(without) == 12 and len(with_files) == 12 + mistakes  # 11 images in batches of 3


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    evaluated(folder, out)
    return out


def test_the_report_has_the_numbers_and_a_row_for_each_class(out):
    report = json.loads((out / "metrics.json").read_text())
    assert report["metrics"]["error"] == pytest.approx(4 / 11) and report["images"] == 11
    dark, pale = report["classes"][1], report["classes"][4]
    assert dark == {"name": "dark, very", "images": 4, "accuracy": 0.25, "top5": 1.0, "taken_for": "dim", "times": 2}
    assert (pale["accuracy"], pale["taken_for"], pale["times"]) == (0, "white", 1)


def test_the_table_of_confusions_is_that_of_labels_and_grays(out):
    with open(out / confusion.TABLE, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    want = np.zeros([6, 6], int)
    np.add.at(want, (np.array(LABELS) - 1, np.array(SEEN) - 1), 1)
    assert head[1:] == [row[0] for row in rows] == list(NAMES)
    np.testing.assert_array_equal([[int(count) for count in row[1:]] for row in rows], want)


def test_what_is_said_of_each_image_is_in_a_row_of_its_own(out):
    with open(out / classification.PREDICTIONS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file_name"] for row in rows] == [f"{i}.png" for i in range(11)]
    assert [row["class"] for row in rows] == [NAMES[label - 1] for label in LABELS]
    assert [row["class_1"] for row in rows] == [NAMES[gray - 1] for gray in SEEN]
    assert [row["right"] for row in rows] == [str(int(a == b)) for a, b in zip(LABELS, SEEN, strict=True)]
    assert all(
        float(row[f"probability_{i}"]) >= float(row[f"probability_{i + 1}"]) for row in rows for i in range(1, 5)
    )


def test_the_sheet_shows_the_mistakes_and_goes_when_there_are_none(folder, tmp_path):
    evaluated(folder, tmp_path)
    sheet = np.asarray(Image.open(tmp_path / misclassified.SHEET))
    grays = {40 * gray for label, gray in zip(LABELS, SEEN, strict=True) if label != gray}
    assert all((np.abs(sheet.astype(int) - gray).max(-1) <= 2).sum() > 2000 for gray in grays)
    assert not (np.abs(sheet.astype(int) - 40 * 4).max(-1) <= 2).sum() > 2000, "of gray 4 nothing is wrong"

    right = tmp_path / "right"
    right.mkdir()
    assert evaluated(write_records(right, SEEN, SEEN), tmp_path)["error"] == 0
    assert not (tmp_path / misclassified.SHEET).exists()
    assert Image.open(tmp_path / confusion.PICTURE).width > 100


def test_of_many_classes_the_picture_has_those_in_the_commonest_mistakes():
    counts = np.zeros([1000, 1000], int)
    counts[5, 900], counts[900, 5], counts[77, 78] = 9, 8, 7
    np.fill_diagonal(counts, 50)
    assert most_confused(counts, 3) == [5, 900], "a mistake has two classes"
    assert most_confused(counts, 4) == [5, 77, 78, 900]
    figure = confusion.picture(counts, tuple(f"c$_{i}$" for i in range(1000)), "title")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["c$_5$", "c$_77$", "c$_78$", "c$_900$"]
    assert figure.axes[0].get_title() == "title\nthe 4 of 1,000 classes in the commonest mistakes"
    right = confusion.picture(np.eye(1000, dtype=int), tuple(map(str, range(1000))), "title")
    assert right.axes[0].get_title() == "title\nthe first 30 of 1,000 classes"
    assert not any(label.get_parse_math() for label in figure.axes[0].get_xticklabels()), "a name is no formula"


def test_records_of_some_classes_are_measured_among_those(tmp_path):
    # "pale" by name under another key, "white" and "black" by key, in another order; the labels are 1 to 3.
    some = (info.Category("weiß", 1, key=CATEGORIES[5].key), info.Category("pale", 2), info.Category("n00000000", 3))
    # The gray 4 is not one of them: it is nearest to "pale" (5). And 2 is nearest to black (1).
    write_records(tmp_path, [1, 2, 3, 2, 3], [6, 5, 1, 4, 2], some)
    numbers = evaluated(tmp_path, tmp_path, task=class_mapping.Relabelled(Gray(), some))
    assert numbers == {"top1": 1.0, "error": 0.0}
    with open(tmp_path / classification.PREDICTIONS, encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert sum(float(row[f"probability_{i}"]) for i in (1, 2, 3)) == pytest.approx(1, abs=1e-5)


def test_classes_that_the_run_does_not_know_are_refused():
    with pytest.raises(ValueError, match=r"1 class that the run was not trained on: emu\. It knows 6: black, "):
        class_mapping.Relabelled(Gray(), (CATEGORIES[0], info.Category("emu", 5)))
    with pytest.raises(ValueError, match="several classes that are one to the run: black, n00000000"):
        class_mapping.Relabelled(Gray(), (CATEGORIES[0], info.Category("n00000000", 5)))


def test_a_network_that_says_nan_is_wrong_and_told(folder, tmp_path, capsys):
    class Broken(Gray):
        def predict(self, model, batch):
            dark = tf.reduce_mean(batch["image"], axis=[1, 2, 3])[:, None] < 50
            return {"probabilities": tf.where(dark, np.nan, super().predict(model, batch)["probabilities"])}

    assert evaluated(folder, tmp_path, task=Broken())["top1"] == pytest.approx(5 / 11)  # Two were right in the dark.
    assert json.loads((tmp_path / "metrics.json").read_text())["undefined"] == 3
    assert "3 images count as mistakes" in capsys.readouterr().out


def test_a_damaged_image_is_named_and_nothing_is_written(tmp_path):
    write_records(tmp_path, spoil=(5,))
    with pytest.raises(read.InputError, match=r"(?s)val-00001-of-00002.tfrecord, record 1 .*'5.png'.*cannot be"):
        evaluated(tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.*"))


def test_a_label_that_no_class_has_is_named(tmp_path):
    write_records(tmp_path)
    info.save(tmp_path, dataclasses.replace(info.load(tmp_path), categories=CATEGORIES[:5]))
    with pytest.raises(ValueError, match=r"record 1 \(byte .*label 6, which no category of dataset.json has"):
        evaluated(tmp_path)


def flags_of(experiment, **more):
    return evaluate.Flags(**{**vars(experiment), **more})


def test_the_command_evaluates_a_run_on_records_of_some_of_its_classes(tmp_path, capsys):
    some = (CATEGORIES[5], CATEGORIES[0])
    write_records(tmp_path, [1, 2, 1, 2, 1], [6, 1, 6, 1, 6], some)
    experiment, workdir = experiment_of(tmp_path), tmp_path / "run"
    dataset = info.DatasetInfo(CATEGORIES, {})
    checkpoints.save(workdir, 0, tasks.build(experiment, dataset).build(), None, keep=1)
    info.save(workdir, dataset)
    evaluate.main(flags_of(experiment, workdir=str(workdir)))
    shown = capsys.readouterr().out
    assert "The run knows 6 classes; those of the records, 2, are found by name" in shown
    assert "top-1 " in shown
    assert "metrics.json, predictions.csv, diagnosis.json, confusion.csv, confusion.png, " in shown
    assert f"report.html in {workdir}" in shown
    metrics = json.loads((Path(workdir) / "metrics.json").read_text())["metrics"]
    assert set(metrics) == {"top1", "error"}


def test_the_command_says_that_it_wrote_nothing_where_there_is_no_folder_for_it(tmp_path, monkeypatch, capsys):
    write_records(tmp_path, [1, 2], [1, 2], CATEGORIES)
    experiment = experiment_of(tmp_path)
    model = tasks.build(experiment, info.DatasetInfo(CATEGORIES, {})).build()
    checkpoint = checkpoints.save(tmp_path, 0, model, None, keep=1)
    (tmp_path / "metrics.json").write_text("of another evaluation")
    monkeypatch.chdir(tmp_path)
    evaluate.main(flags_of(experiment, workdir="", checkpoint=str(checkpoint)))
    shown = capsys.readouterr().out
    assert "top-1 " in shown and "Wrote no file: name a folder for them with --out" in shown
    assert (tmp_path / "metrics.json").read_text() == "of another evaluation"
