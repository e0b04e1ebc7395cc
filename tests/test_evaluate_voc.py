"""VOC's numbers, curves and errors of an evaluation, from records to files; and how long the model took."""

import csv
import dataclasses
import io
import itertools
import json
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import datasets
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import info, records
from tfrecog.drawing import contact_sheet
from tfrecog.evaluations import detection, detection_errors, precision_recall, tensorboard_images
from tfrecog.evaluations.detection import FILES, VOC_FILES
from tfrecog.inference import predictor
from tfrecog.metrics import coco, voc, voc_errors
from tfrecog.runtime import distribution
from tfrecog.training import progress as summaries

CATEGORIES = (info.Category("cat", 17), info.Category("dog", 3))
CAT, HARD, DOG = [10.0, 10, 50, 50], [10.0, 60, 50, 100], [60.0, 60, 90, 90]
LEVELS = (30, 60, 90, 120, 150, 180, 210)  # of gray, one an image


def record_of(row):
    """A gray image with a cat, a difficult cat and a dog."""
    file = io.BytesIO()
    Image.new("RGB", (120, 100), (LEVELS[row],) * 3).save(file, "PNG")
    return records.Record(
        encoded=file.getvalue(), format="png", height=100, width=120, filename=f"{row}.png", source_id=str(row),
        boxes=np.array([CAT, HARD, DOG], np.float32), labels=np.array([1, 1, 2]), names=["cat", "cat", "dog"],
        crowd=np.zeros(3, bool), areas=np.array([1600, 1600, 900], np.float32), ids=np.arange(3),
        difficult=np.array([False, True, False]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = [record_of(row) for row in range(len(LEVELS))]
    return datasets.write(tmp_path_factory.mktemp("records"), [made], CATEGORIES, difficult=True)


class Sees:
    """A task whose model sees the same boxes in every image, and one of the highest score in the image of row 4."""

    def __init__(self, boxes, labels, scores, in_row_4=((0.0, 0, 0, 0), 0)):
        self.boxes = np.tile(np.array([*boxes, in_row_4[0]], np.float32), [len(LEVELS), 1, 1])
        self.labels = np.tile(np.array([*labels, 0], np.int32), [len(LEVELS), 1])
        self.labels[4, -1] = in_row_4[1]
        self.scores = np.tile(np.array([*scores, 0.99], np.float32), [len(LEVELS), 1])

    def predict(self, model, batch):
        rows = batch["record"]
        boxes = tf.gather(self.boxes, rows) * tf.tile(batch["scale"], [1, 2])[:, None]
        return {"boxes": boxes, "labels": tf.gather(self.labels, rows), "scores": tf.gather(self.scores, rows)}


def knowing():
    """The model finds cat and dog."""
    return Sees([CAT, DOG], [1, 2], [0.9, 0.8])


def wrong():
    """It finds the cat twice, and takes the dog for a cat; a cat in the void of row 4."""
    return Sees([CAT, CAT, DOG], [1, 1, 1], [0.7, 0.6, 0.8], ([60.0, 5, 90, 35], 1))


def evaluated(folder, task, out=None, metrics="auto", batch_size=2, replica=1, **options):
    data = DataConfig(records=str(folder), eval_batch_size=batch_size, eval_short_side=100, long_side=120)
    experiment = Experiment(data=data, metrics=metrics)
    return detection.evaluate(task, None, experiment, distribution.strategy(replica), out, **options)


def report_of(out):
    return json.loads((out / "metrics.json").read_text())


@pytest.mark.parametrize(("batch_size", "replica"), [(3, 1), (4, 2)])
def test_a_model_that_finds_all_but_the_difficult_objects_has_ap_1_by_both_rules(folder, batch_size, replica):
    numbers = evaluated(folder, knowing(), None, "both", batch_size, replica)
    assert (numbers["box_AP"], numbers["box_AR100"]) == (pytest.approx(1), 1)
    assert (numbers["voc_mAP"], numbers["voc_mAP_11"]) == (pytest.approx(1), pytest.approx(1))


def test_auto_measures_both_where_objects_are_marked_as_difficult_and_else_coco(folder, tmp_path):
    both = {*(f"box_{name}" for name in coco.NUMBERS), *voc.NUMBERS}
    assert set(evaluated(folder, knowing(), batch_size=7)) == both
    (tmp_path / "val-00000-of-00001.tfrecord").symlink_to(folder / "val-00000-of-00001.tfrecord")
    info.save(tmp_path, dataclasses.replace(info.load(folder), difficult=False))
    assert set(evaluated(tmp_path, knowing(), batch_size=7)) == both - set(voc.NUMBERS)
    assert set(evaluated(tmp_path, knowing(), metrics="both", batch_size=7)) == both
    assert set(evaluated(folder, knowing(), metrics="voc", batch_size=7)) == set(voc.NUMBERS)


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    evaluated(folder, wrong(), out)
    return out


def test_the_report_has_both_numbers_of_each_class_and_the_kinds_of_errors(out):
    report = report_of(out)
    # By score: the cat of row 4's void, seven dogs taken for cats, seven cats, seven duplicates. The k-th hit is at
    # rank 8 + k, so that precision rises to 7 / 15.
    assert report["metrics"]["voc_mAP"] == pytest.approx(7 / 15 / 2), "and no dog is found"
    assert report["metrics"]["box_AP50"] == pytest.approx(7 / 15 / 2)
    cat, dog = report["classes"]
    assert (cat["voc_AP"], cat["box_AP50"], dog["voc_AP"]) == (pytest.approx(7 / 15), pytest.approx(7 / 15), 0)
    assert (cat["objects"], cat["difficult"], cat["instances"]) == (7, 7, 14)
    # Seven cats, so that the seven best count: the one of the void and six dogs.
    kinds = {"correct": 0, "mislocalised": 0, "misclassified": 6, "duplicate": 0, "background": 1, "missed": 7}
    assert report["errors"] == {"rule": voc_errors.RULE, "objects": 14, **kinds}
    assert (report["instances"], report["difficult"], report["detections"]) == (21, 7, 22)


def test_the_table_of_the_curves_has_a_row_for_each_hit_and_their_mean_is_the_ap(out):
    with open(out / precision_recall.TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["cat"] * 7
    np.testing.assert_allclose([float(row["recall"]) for row in rows], np.arange(1, 8) / 7, atol=1e-6)
    hits = np.arange(1, 8)
    np.testing.assert_allclose([float(row["precision"]) for row in rows], hits / (8 + hits), atol=1e-6)
    np.testing.assert_allclose([float(row["interpolated"]) for row in rows], 7 / 15, atol=1e-6)
    np.testing.assert_allclose([float(row["score"]) for row in rows], 0.7, atol=1e-6)
    with Image.open(out / precision_recall.PICTURE) as picture:
        assert picture.size[0] > picture.size[1], "a panel for each of two classes"


def test_the_picture_of_errors_cuts_them_out_of_their_own_images(out):
    with Image.open(out / detection_errors.SHEET) as picture:
        sheet = np.asarray(picture).astype(int)
    cells = detection_errors.MOST * (detection_errors.CELL + 3) + 3
    assert sheet.shape[1] == cells
    # Rows: misclassified (six of them), background (one), missed (dogs). Only row 4, of gray 150, has one of the void.
    levels = [np.sum(np.abs(sheet - level).max(axis=-1) < 4) for level in LEVELS]
    assert all(count > 0 for count in levels[:6])
    background = sheet[2 * sheet.shape[0] // 5 : 3 * sheet.shape[0] // 5, : detection_errors.CELL]
    assert np.sum(np.abs(background - 150).max(axis=-1) < 4) > detection_errors.CELL**2 / 8


def test_an_evaluation_without_errors_or_without_voc_leaves_no_old_picture(folder, tmp_path):
    files = {"metrics.json", "report.html", *FILES}
    evaluated(folder, wrong(), tmp_path, batch_size=7)
    assert {path.name for path in tmp_path.iterdir()} == files
    evaluated(folder, knowing(), tmp_path, batch_size=7)
    assert {path.name for path in tmp_path.iterdir()} == files - {detection_errors.SHEET}
    evaluated(folder, knowing(), tmp_path, "coco", batch_size=7)
    assert {path.name for path in tmp_path.iterdir()} == files - set(VOC_FILES)
    assert "errors" not in report_of(tmp_path)


def test_the_numbers_of_both_are_shown(folder, capsys):
    evaluated(folder, wrong(), show=True)
    shown = capsys.readouterr().out
    assert "AP50" in shown and "difficult" in shown and "14 of 14 objects" not in shown
    assert "7 of 14 objects are found by no detection" in shown and "misclassified" in shown


@pytest.mark.parametrize("times", [1, 23])
def test_a_crop_shows_both_boxes_in_place_and_gray_beyond_the_image(times):
    image = np.full([100 * times, 120 * times, 3], 255, np.uint8)
    box, true_box = np.array([0.0, 0, 40, 40]) * times, np.array([20.0, 20, 60, 60]) * times
    cut = detection_errors.crop(image, voc_errors.Error("key", 0.2, 1, 0.5, box, 1, true_box)).astype(int)
    # 60 pixels and a quarter at each side: from -15 to 75, so that pixel p is at (p + 15) 224 / 90.
    for colour, (low, high) in ((detection_errors.FOUND, (0, 40)), (detection_errors.TRUE, (20, 60))):
        y, x = np.nonzero(np.abs(cut - colour).max(axis=-1) < 10)
        want = (np.array([low, high]) + 15) * detection_errors.CELL / 90
        np.testing.assert_allclose([[y.min(), y.max()], [x.min(), x.max()]], [want, want], atol=2)
    assert (cut[:30] == 200).all() and (cut[-30:, -30:] == 255).all()


@pytest.mark.parametrize("shape", [(3000, 4000), (3, 5), (1, 1)])
def test_a_crop_has_one_size_whatever_the_image(shape):
    box = np.array([0.0, 0, *shape])
    image = np.random.default_rng(0).integers(0, 255, [*shape, 3], np.uint8)
    assert detection_errors.crop(image, voc_errors.Error("key", 0.0, 1, 0.5, box)).shape == (
        detection_errors.CELL,
        detection_errors.CELL,
        3,
    )


def test_a_caption_names_the_image_and_a_detection_that_is_of_another_object():
    box, image = np.array([0.0, 0, 5, 5]), np.zeros([9, 9, 3], np.uint8)
    error = voc_errors.Error("key", 0.5, 1, 0.9, box, 1, box, elsewhere=True)
    sheet = detection_errors.sheet({"missed": [error]}, ["cat"], lambda key: (image, f"some/{key}.jpg"))
    cell, rest = detection_errors.CELL, detection_errors.MOST - 1
    cells = [detection_errors.crop(image, error), *[np.full([cell, cell, 3], 255, np.uint8)] * rest]
    captions = ["cat (90%), hits another\non cat, IoU 0.50\nkey.jpg", *[""] * rest]
    expected = contact_sheet.draw(cells, len(cells), captions, cell, detection_errors.LETTER)
    assert sheet is not None
    np.testing.assert_array_equal(sheet[-len(expected) :], expected)  # Below the headings.


def test_a_picture_of_curves_has_room_for_many_classes_and_for_those_without_detections():
    some = voc.Ranking(np.array([0.9, 0.8]), np.array([0, 5], np.int8), 2, 0)
    none = voc.Ranking(np.zeros(0), np.zeros(0, np.int8), 3, 0)
    figure = precision_recall.picture([some, none] * 6, [f"$class {i}" for i in range(12)])
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == 12 and drawn[0].get_title() == "$class 0: AP 50.0 %, 2 objects"
    recall, envelope = drawn[0].lines[0].get_data()
    np.testing.assert_allclose([recall, envelope], [[0, 0.5, 0.5], [1, 0, 0]])
    for one in (figure, precision_recall.picture([some], ["a class"])):
        one.draw_without_rendering()
        place = one.legends[0].get_window_extent()
        assert place.y1 <= min(ax.get_tightbbox().y0 for ax in one.axes if ax.axison), "the legend hides a panel"
        assert min(place.x0, place.y0) >= 0 and place.x1 <= one.bbox.x1, "it is cut off"


def test_a_training_shows_vocs_number(tmp_path, capsys):
    progress = summaries.Progress(tmp_path, 0, 10, 5, 1, 1)
    progress.metrics(5, {"voc_mAP": 0.25, "voc_mAP_11": 0.5})
    progress.close()
    assert capsys.readouterr().out == "evaluated at step 5 (epoch 1.00): voc_mAP 0.2500\n"


def test_tensorboard_has_the_curves_and_the_errors_of_the_evaluation_before(folder, out):
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=100, long_side=120)
    seen = tensorboard_images.predictions(
        wrong(), None, Experiment(workdir=str(out), data=data), distribution.strategy(1), 1
    )
    assert set(seen) == {"predictions/0", "precision_recall", "errors"}
    with Image.open(out / detection_errors.SHEET) as sheet:
        assert seen["errors"].shape == (sheet.height, sheet.width, 3)


class Clock:
    """Of a computer that has nothing else to do than to predict, and takes some seconds for each batch."""

    def __init__(self, took):
        self.now, self._took = 0.0, itertools.cycle(took)

    def __call__(self):
        return self.now

    def predict(self, model, batch):
        """A task's; whatever the model is."""

        def work(rows):
            self.now += next(self._took)
            return rows

        return {"rows": tf.ensure_shape(tf.numpy_function(work, [batch["record"]], tf.int64), [None])}


def batches(*sizes):
    for size in sizes:
        rows = tf.range(size, dtype=tf.int64)
        yield {"image": tf.zeros([size, 8, 8, 3]), "record": rows, "valid": rows < 1}


def test_a_batch_counts_in_the_time_once_its_graph_is_there(monkeypatch):
    task, strategy, seconds = Clock([0.04]), distribution.strategy(1), []
    monkeypatch.setattr(time, "perf_counter", task)
    list(predictor.predict_batches(task, None, strategy, batches(2, 2, 2, 4, 4), seconds=seconds))
    # The first of each shape builds a graph. Fillers, here all but one image, take as long as images.
    assert seconds == pytest.approx([0.02, 0.02, 0.01])
    list(predictor.predict_batches(task, None, strategy, batches(2), seconds=seconds))
    assert len(seconds) == 4, "the graph of an evaluation before serves"


def test_the_time_of_an_image_is_the_median(folder, tmp_path, monkeypatch):
    clock = Clock([9.0, 1.0, 100.0, 2.0])

    class Uneven(Sees):
        def predict(self, model, batch):
            rows = clock.predict(model, batch)["rows"]
            return super().predict(model, batch | {"record": rows})

    monkeypatch.setattr(time, "perf_counter", clock)
    evaluated(folder, Uneven([CAT, DOG], [1, 2], [0.9, 0.8]), tmp_path, batch_size=2)
    assert report_of(tmp_path)["test_seconds_per_image"] == 1  # of 0.5, 50 and 1; the first built the graph


@pytest.mark.parametrize("batch_size, known", [(16, False), (2, True)])
def test_the_time_of_an_image_is_unknown_without_a_second_batch(folder, tmp_path, capsys, batch_size, known):
    evaluated(folder, knowing(), tmp_path, batch_size=batch_size, show=True)
    seconds = report_of(tmp_path)["test_seconds_per_image"]
    shown = f"{seconds:.3g} s an image, the model alone" if known else "too few batches to tell"
    assert (seconds is not None) == known and f"Test time: {shown}" in capsys.readouterr().out
