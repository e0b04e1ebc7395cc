"""Evaluation of a segmenter from records to numbers, tables and pictures: the model sees the gray of each pixel."""

import csv
import dataclasses
import io
import json
import weakref

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import gray_maps, opened
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import index, info, records
from tfrecog.data.split import Split
from tfrecog.evaluations import confusion, segmentation, worst_label_maps
from tfrecog.inference import image_files
from tfrecog.runtime import distribution
from tfrecog.tasks import class_mapping

PAIRS = gray_maps.maps()
NAMES, CATEGORIES = gray_maps.NAMES, gray_maps.CATEGORIES


def evaluated(folder, out=None, replica=1, batch_size=2, task=None, **options):
    data = DataConfig(records=str(folder), eval_batch_size=batch_size, eval_short_side=0)
    experiment, strategy = Experiment(task="segmentation", data=data), distribution.strategy(replica)
    return segmentation.evaluate(task or gray_maps.Gray(), None, experiment, strategy, out, **options)


def numbers_of(pairs, classes=range(1, 7)):
    """The four numbers by their definition, from all pixels that count in one row."""
    truth, said = (np.concatenate([pair[i][pair[0] > 0] for pair in pairs]) for i in range(2))
    both, either = ([np.sum(f(truth == c, said == c)) for c in classes] for f in (np.logical_and, np.logical_or))
    there = [np.sum(truth == c) for c in classes]
    iou = [a / b for a, b in zip(both, either, strict=True) if b]
    return {
        "mean_iou": pytest.approx(np.mean(iou)),
        "mean_accuracy": pytest.approx(np.mean([a / b for a, b in zip(both, there, strict=True) if b])),
        "pixel_accuracy": pytest.approx(sum(both) / len(truth)),
        "frequency_weighted_iou": pytest.approx(
            sum(n * a / b for n, a, b in zip(there, both, either, strict=True) if n) / len(truth)
        ),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return gray_maps.write(tmp_path_factory.mktemp("records"), PAIRS)


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    evaluated(folder, out)
    return out


def test_predictions_with_names_of_files_need_no_record_again(folder, tmp_path):
    index.load(folder, "val")  # It is made now, so that neither evaluation makes it.
    with opened.files(".tfrecord") as without:
        evaluated(folder)
    with opened.files(".tfrecord") as with_files:
        evaluated(folder, tmp_path, last=False)  # Without a report, which shows the worst images again.
    assert len(with_files) == len(without) + 7  # worst.jpg shows all of them: of each, half of the pixels are wrong


class Counting(gray_maps.Gray):
    """Counts the images that it sees."""

    def __init__(self):
        self.seen = []

    def predict(self, model, batch):
        def count(valid):
            self.seen.append(len(valid))
            return valid

        with tf.control_dependencies([tf.numpy_function(count, [batch["valid"]], tf.bool)]):
            return super().predict(model, {"image": tf.identity(batch["image"])})


# The sizes of the seven images are there 3, 2, 1 and 1 times; two replicas look at 4, 2, 2 and 2.
@pytest.mark.parametrize("replica, batch_size, looked_at", [(1, 1, 7), (1, 64, 7), (2, 2, 10), (2, 64, 10)])
def test_every_pixel_counts_once_at_its_own_size_with_no_more_fillers_than_the_replicas_need(
    folder, replica, batch_size, looked_at
):
    task = Counting()
    assert evaluated(folder, None, replica, batch_size, task) == numbers_of(PAIRS)
    assert sum(task.seen) == looked_at


def test_the_report_has_the_numbers_and_a_row_for_each_class(out):
    report = json.loads((out / "metrics.json").read_text())
    truth = np.concatenate([truth.ravel() for truth, _ in PAIRS])
    assert report["metrics"] == numbers_of(PAIRS) and report["images"] == 7
    assert (report["pixels"], report["ignored"]) == (np.sum(truth > 0), np.sum(truth == 0))
    pale = report["classes"][4]
    assert (pale["name"], pale["pixels"]) == ("pale", np.sum(truth == 5))
    assert (pale["iou"], pale["accuracy"], pale["precision"]) == (0, 0, None)


def test_the_table_of_confusions_is_that_of_labels_and_grays(out):
    with open(out / confusion.TABLE, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    want = np.zeros([7, 7], int)
    for truth, said in PAIRS:
        np.add.at(want, (truth, said), 1)
    assert head[1:] == [row[0] for row in rows] == list(NAMES)
    np.testing.assert_array_equal([[int(count) for count in row[1:]] for row in rows], want[1:, 1:])


def test_the_picture_of_confusions_has_percentages_of_the_pixels_of_the_true_class():
    counts = np.array([[995, 5, 0], [30, 60, 10], [0, 0, 0]])
    # 100 more pixels of the second class were said to be something else.
    figure = confusion.picture(counts, ("a", "b", "c"), "title", np.array([1000, 200, 0]))
    numbers = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert numbers == {(0, 0): "100", (1, 0): "0.5", (0, 1): "15", (1, 1): "30", (2, 1): "5.0"}


def test_each_image_has_a_row_of_its_own(out):
    with open(out / segmentation.PREDICTIONS, encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file_name"])
    assert [row["file_name"] for row in rows] == [f"{i}.png" for i in range(7)]
    for row, pair in zip(rows, PAIRS, strict=True):
        want = numbers_of([pair])
        assert int(row["pixels"]) == np.sum(pair[0] > 0)
        assert (float(row["pixel_accuracy"]), float(row["mean_iou"])) == (want["pixel_accuracy"], want["mean_iou"])


def test_an_image_of_which_nothing_counts_has_an_empty_row_and_changes_no_number(tmp_path):
    void = np.zeros([20, 30], np.uint8)
    gray_maps.write(tmp_path, [*PAIRS, (void, void + 1)])
    assert evaluated(tmp_path, tmp_path) == numbers_of(PAIRS)
    rows = (tmp_path / segmentation.PREDICTIONS).read_text().splitlines()
    assert "7.png,0,," in rows and len(rows) == 9


def test_the_sheet_shows_the_worst_images_first_and_goes_when_all_is_right(tmp_path):
    # Of picture i the first i + 1 of 16 rows are wrong.
    truth, pairs, rows = np.full([16, 24], 3, np.uint8), [], []
    for i in range(12):
        said = truth.copy()
        said[: i + 1] = 4
        pairs.append((truth, said))
        picture = gray_maps.STEP * said[..., None].repeat(3, -1)
        rows.append((picture, truth, said, f"{i}.png: pixel accuracy {1 - (i + 1) / 16:.1%}"))
    evaluated(gray_maps.write(tmp_path, pairs), tmp_path)
    expected = worst_label_maps.triples(rows[:-9:-1], gray_maps.Gray.info)  # the eight worst
    image_files.save(expected, tmp_path / "expected.jpg")
    sheet = image_files.load(tmp_path / worst_label_maps.SHEET)
    np.testing.assert_array_equal(sheet, image_files.load(tmp_path / "expected.jpg"))

    right = tmp_path / "right"
    right.mkdir()
    assert evaluated(gray_maps.write(right, [(truth, truth)] * 4), tmp_path)["mean_iou"] == 1
    assert not (tmp_path / worst_label_maps.SHEET).exists()


def test_of_the_worst_images_no_label_map_stays_in_memory_as_it_was(folder):
    experiment = Experiment(task="segmentation", data=DataConfig(records=str(folder), eval_short_side=0))
    measured = segmentation.Measured(experiment, Split.open(folder, "val"), distribution.strategy(1))
    said = PAIRS[0][1].copy()
    kept = weakref.ref(said)
    measured.add({"label_map": said}, {"record": 0})
    del said
    assert kept() is None


def test_a_run_is_measured_on_records_of_some_of_its_classes_in_another_order(tmp_path, capsys):
    some = (info.Category("white", 1), info.Category("pale", 2), info.Category("black", 3))
    truth = np.array([[1, 1, 2, 3, 3, 0]], np.uint8)
    grays = np.array([[6, 1, 5, 1, 4, 4]], np.uint8)  # The last pixel does not count; the class 4 is none of the three.
    task = class_mapping.Relabelled(gray_maps.Gray(), some)
    numbers = evaluated(gray_maps.write(tmp_path, [(truth, grays)], some), tmp_path, task=task, show=True, step=120)
    # Their labels are 1, 3, 2, 3, none.
    assert numbers == numbers_of([(truth, np.array([[1, 3, 2, 3, 0, 0]]))], range(1, 4))
    assert numbers["pixel_accuracy"] == 3 / 5
    assert "mean IoU 61.11 %" in capsys.readouterr().out  # The mean of 1/2, 1 and 1/3.
    assert json.loads((tmp_path / "metrics.json").read_text())["step"] == 120


def png(labels):
    file = io.BytesIO()
    Image.fromarray(np.asarray(labels, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "label_map, reason",
    [
        (records.to_label_map(PAIRS[4][0])[:60], "cannot be decoded"),
        (b"nothing", "cannot be decoded"),
        (png(np.zeros([8, 8])), r"is \(8, 8\) pixels .* and the image \(33, 17\)"),
        (png(np.full([33, 17], 6)), "has the class 6, counted from 0, of 6"),
        (None, "is missing"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_named_and_nothing_is_written(tmp_path, label_map, reason):
    gray_maps.write(tmp_path, PAIRS, label_maps={4: label_map})
    with pytest.raises(
        ValueError, match=rf"val-00001-of-00002.tfrecord, record 1 .*label map of image '4.png' {reason}"
    ):
        evaluated(tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.*"))


def test_records_without_label_maps_are_refused(tmp_path):
    gray_maps.write(tmp_path, PAIRS)
    info.save(tmp_path, dataclasses.replace(info.load(tmp_path), label_maps=False))
    with pytest.raises(ValueError, match=r"no label maps, which --task=segmentation needs: pipelines.segmentation"):
        evaluated(tmp_path)


def test_a_split_of_which_nothing_counts_is_refused(tmp_path):
    void = np.zeros([20, 30], np.uint8)
    gray_maps.write(tmp_path, [(void, void + 1)])
    with pytest.raises(ValueError, match="not one pixel counts"):
        evaluated(tmp_path)
