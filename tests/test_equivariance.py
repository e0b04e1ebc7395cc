"""Convolutions move with their input (the lecture's equivariance), zeros around the image do not; and the command."""

import csv
import dataclasses
import json
import re
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import crops, scenes
from tfrecog import equivariance
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, ClassifierConfig, DataConfig, Experiment, SegmenterConfig
from tfrecog.data import info
from tfrecog.drawing import figures
from tfrecog.equivariance_lab import (
    dense,
    detection,
    ends,
    experiments,
    measure,
    moves,
    parts,
    ramps,
    report,
    samples,
    transforms,
)
from tfrecog.equivariance_lab.classification import Classifier
from tfrecog.equivariance_lab.flags import Flags, Strengths
from tfrecog.equivariance_lab.model_under_test import Options, Sample
from tfrecog.equivariance_lab.objects import Objects
from tfrecog.equivariance_lab.segmentation import Segmenter
from tfrecog.models import classifier
from tfrecog.models.segmenter import fcn

NOWHERE = transforms.Around(np.zeros([0, 4]), np.zeros([1, 1, 3]))


def receptive_field(last=5):
    """Pixels that a cell of a stage of ResNet-18 sees: 1 + the sum of (kernel - 1) x stride of what it is made from."""
    layers = [(7, 1), (3, 2)]  # Kernel, and stride of its input: the stem and the pooling.
    for level in range(2, last + 1):
        layers += [(3, 2 ** max(level - 1, 2))] + [(3, 2**level)] * 3
    return 1 + sum((kernel - 1) * stride for kernel, stride in layers)


@pytest.fixture(scope="module")
def model():
    config = SegmenterConfig(
        backbone=BackboneConfig(name="resnet18", norm="batch", width=8, frozen_stages=0),
        padding=0,
        fc_channels=0,
        skip_scales=(1.0, 1.0),
    )
    keras.utils.set_random_seed(0)
    network = fcn.build(config, 5)
    network(tf.zeros([1, 64, 64, 3]))
    random = np.random.default_rng(0)
    for variable in network.head.variables:  # The scores start as zeros.
        if "score" in variable.path:
            variable.assign(random.normal(size=variable.shape))
    return network


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, [64, 768, 3]).astype(np.float32)


def test_the_field_of_view_is_that_of_the_literature():
    assert receptive_field() == 435


def test_a_shift_by_the_stride_shifts_the_output_wherever_no_zeros_are_seen(model, image):
    curve = ends.by_distance(ends.difference(model, image, 32))
    # Half the field, a cell of the coarsest map for the upsampling, and half of one, as far as a pixel is off a centre.
    interior = receptive_field() // 2 + 32 + 16
    assert len(curve) > interior + 50
    assert curve[interior:].max() < 1e-4
    assert curve[0] > 0.1  # The zeros do not move.


def test_another_shift_does_not(model, image):
    curve = ends.by_distance(ends.difference(model, image, 20))
    assert curve[300:].min() > 1e-2


def test_columns_are_matched_by_what_they_show():
    image = np.random.default_rng(0).normal(size=[4, 30, 3])
    assert ends.difference(lambda part: 2 * part, image, 7).shape == (16,)
    assert not ends.difference(lambda part: 2 * part, image, 7).any()
    # A network that knows where it is differs by the shift everywhere.
    places = ends.difference(lambda part: part * 0 + np.arange(23.0)[:, None], image, 7)
    np.testing.assert_array_equal(places, 7)


def test_the_distance_is_that_of_the_nearer_end():
    np.testing.assert_array_equal(ends.by_distance(np.array([5, 1, 0, 2, 3])), [5, 2, 0])
    np.testing.assert_array_equal(ends.by_distance(np.array([5, 1, 2, 3])), [5, 2])


def test_the_figure_of_shifts_is_written(tmp_path):
    drawn = ends.figure({32: np.array([1.0, 0.1, 0.0]), 1: np.array([2.0, 2.0, 2.0])}, 1.5)
    figures.save(drawn, tmp_path / "new" / "figure.png")
    assert (tmp_path / "new" / "figure.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture(scope="module")
def segmenter(model):
    names = [info.Category(name=f"c{i}", id=i) for i in range(5)]
    task = SimpleNamespace(info=SimpleNamespace(num_classes=5, categories=names))
    return Segmenter(task, model, Experiment(task="segmentation"), Options(layers=True))


@pytest.fixture(scope="module")
def shifted(segmenter):
    """Measures of a segmenter's shifts by 8 and 4 pixels, without the edges that res3 sees."""
    picture = np.random.default_rng(2).uniform(0, 255, [192, 192, 3]).astype(np.float32)
    labels = np.random.default_rng(3).integers(1, 6, [192, 192])
    shifts = {transforms.BY_NAME["translation"]: (8.0, 4.0, 0.5)}
    margin = receptive_field(3) // 2 + 8
    rows, pictures = measure.measure(segmenter, [Sample(picture, "noise", labels)], shifts, margin=margin)
    return {(row.strength, row.measure): row for row in rows}, pictures


def test_features_follow_a_shift_by_their_stride_and_no_other(shifted):
    rows, _ = shifted
    assert rows[8, "level3_equivariance_error"].value < 1e-5
    assert rows[4, "level3_equivariance_error"].value > 0.05
    assert rows[4, "level2_equivariance_error"].value < 1e-5  # Their stride is 4.
    assert rows[8, "level3_invariance_error"].value > 0.1  # They do not stay.


def test_nothing_differs_without_a_change(shifted):
    rows, _ = shifted
    assert rows[0, "same_label"].value == 1
    assert all(row.value == 0 for key, row in rows.items() if key[0] == 0 and key[1].endswith("_error"))


def test_the_floor_of_whole_pixels_is_nothing_and_of_half_a_pixel_it_is_not(shifted):
    rows, _ = shifted
    assert rows[8, "level2_equivariance_error"].floor < 1e-5
    assert rows[0.5, "level2_equivariance_error"].floor > 0.01
    # M_g moves the map of stride 4 by an eighth of a cell there and back.
    assert rows[8, "level2_equivariance_error"].map_floor == 0
    assert rows[0.5, "level2_equivariance_error"].map_floor > 0.001


def test_accuracy_is_of_what_is_visible(shifted):
    rows, pictures = shifted
    assert {"mean_iou", "pixel_accuracy"} <= {name for _, name in rows}
    assert len(pictures["translation"]) == 4


def test_what_is_averaged_over_the_whole_map_stays_more_than_the_map():
    config = ClassifierConfig(name="resnet18")
    keras.utils.set_random_seed(0)
    network = classifier.build(config, 3)
    network(tf.zeros([1, 64, 64, 3]))
    task = SimpleNamespace(info=SimpleNamespace(names=("a", "b", "c")))
    subject = Classifier(task, network, Experiment(task="classification"), Options(layers=True))
    scene = np.random.default_rng(0).uniform(0, 255, [4, 6, 3]).repeat(24, 0).repeat(24, 1).astype(np.float32)
    seen = [subject.outputs(Sample(part, ""), moves.in_place(part)) for part in (scene[:, :-8], scene[:, 8:])]
    found = measure.compare(subject, *seen, moves.in_place(scene[:, 8:]))
    map_error, pooled_error = found["level5_invariance_error"][0], found["pooled_invariance_error"][0]
    assert map_error > 0.1 and pooled_error < map_error / 2


def test_parts_move_with_shifts_by_their_stride():
    rows = {(row.variation, row.strength, row.measure): row.value for row in parts.table((1, 2, 8))}
    assert rows["convolution, not padded", 1, "all"] == 0
    assert rows["convolution, zeros around", 1, "inside"] == 0 < rows["convolution, zeros around", 1, "all"]
    for name, stride in (
        ("convolution of stride 2", 2),
        ("max pooling 2x2", 2),
        ("3 convolutions and max poolings", 8),
    ):
        for shift in (1, 2, 8):
            inside = rows[name, shift, "inside"]
            assert inside == 0 if shift % stride == 0 else inside > 0.1
    last, average = (rows[f"{name}, to stay", 8, "all"] for name in ("last map", "global average"))
    assert average < last / 5


@pytest.mark.parametrize("stride", [4, 16, 32])
def test_roi_aligns_ramp_moves_as_the_roi_does(stride):
    shifts = np.linspace(0, 2 * stride, 23)
    np.testing.assert_allclose(ramps.pooled_ramp("roi_align", stride, shifts), 0, atol=1e-3)
    # Without the half cell it is half a cell off, always.
    np.testing.assert_allclose(ramps.pooled_ramp("roi_align_unaligned", stride, shifts), stride / 2, atol=1e-3)


@pytest.mark.parametrize("stride", [4, 16, 32])
def test_roi_pools_ramp_jumps_by_whole_cells(stride):
    shifts = np.arange(0, 2 * stride + 0.1, stride / 16)
    readings = ramps.pooled_ramp("roi_pool", stride, shifts) + shifts[:, None]
    jumps = np.diff(readings, axis=0)
    np.testing.assert_allclose(jumps / stride, np.round(jumps / stride), atol=1e-5)
    assert (jumps == 0).mean() > 0.8 and jumps.max() == stride
    np.testing.assert_allclose(readings[-1] - readings[0], 2 * stride)


def test_the_table_of_ramps_says_so():
    table = {(row["operator"], row["stride"]): row for row in ramps.summary_of(ramps.measure((16,), steps=16))}
    assert table["roi_align", 16]["jump"] == pytest.approx(1, abs=1e-4)
    assert table["roi_align", 16]["error"] < 1e-3
    assert table["roi_pool", 16]["jump"] == 16 and table["roi_pool", 16]["error"] >= 8


def objects(boxes, labels, scores=None):
    scores = np.ones(len(boxes)) if scores is None else np.array(scores)
    return Objects(np.array(boxes, float).reshape(-1, 4), np.array(labels), scores)


@pytest.fixture
def detector():
    task = SimpleNamespace(info=None, predict=None)
    return detection.Detector(task, None, Experiment(), Options())


def seen(found):
    return detection.Outputs(found, found, {})


def test_boxes_that_follow_are_found_and_others_are_extra(detector):
    picture = np.zeros([40, 60, 3], np.float32)
    change = transforms.translation(picture, 5, NOWHERE)
    before = seen(objects([[10, 10, 20, 20], [10, 50, 20, 60], [25, 5, 35, 15]], [1, 1, 2], [0.9, 0.8, 0.7]))
    # The first follows, but for 2 pixels; the second has left the image; of the third the class changes.
    after = seen(objects([[10, 17, 20, 27], [25, 10, 35, 20]], [1, 1], [0.6, 0.7]))
    found = {name: total / count for name, (total, count) in detector.compare(before, after, change).items() if count}
    assert found == pytest.approx(
        {"found": 1 / 2, "extra": 1 / 2, "box_iou": 8 / 12, "centre_pixels": 2, "score_change": 0.3}
    )


def test_masks_and_keypoints_are_compared_where_they_should_be(detector):
    picture, mask = np.zeros([40, 60, 3], np.float32), np.zeros([1, 40, 60], bool)
    mask[0, 10:20, 10:20] = True
    points = np.array([[[12.0, 14.0, 1.0], [18.0, 18.0, 1.0]]])
    one = dataclasses.replace(objects([[10, 10, 20, 20]], [1]), masks=mask, keypoints=points)
    moved = dataclasses.replace(objects([[10, 15, 20, 25]], [1]), masks=np.roll(mask, 5, 2), keypoints=points + 3)
    change = transforms.translation(picture, 5, NOWHERE)
    found = detector.compare(seen(one), seen(moved), change)
    assert found["mask_iou"] == (1, 1)
    # Each moved by (3, 3) and should have moved by (0, 5).
    assert found["keypoint_pixels"] == pytest.approx((2 * 13**0.5, 2))


def test_ap_of_what_follows_is_1_and_what_left_does_not_count():
    change = transforms.translation(np.zeros([40, 60, 3], np.float32), 5, NOWHERE)
    truth = detection.Truth(objects([[10, 10, 20, 20], [10, 50, 20, 60]], [1, 1]), np.zeros(2, bool))
    accuracy = detection.Ap50([info.Category("thing", 7)], 0.5)
    accuracy.add(seen(objects([[10, 15, 20, 25]], [1], [0.9])), Sample(None, "", truth), change)
    assert accuracy.numbers() == pytest.approx({"AP50": 1, "recall": 1})
    accuracy.add(seen(objects([[10, 10, 20, 20]], [1], [0.9])), Sample(None, "", truth), change)  # It stayed.
    assert accuracy.numbers()["recall"] == 0.5


def test_a_map_moves_exactly_by_cells():
    values = np.random.default_rng(0).normal(size=[5, 8, 2]).astype(np.float32)
    one = dense.Map(values, stride=4, first=0.5)
    moved = one.moved(transforms.translation(np.zeros([20, 32, 3], np.float32), 8, NOWHERE).move)
    np.testing.assert_array_equal(moved[:, 2:], values[:, :-2])


def test_a_cell_counts_if_all_of_its_pixels_do():
    visible = np.ones([8, 8], bool)
    visible[0, 5] = False
    np.testing.assert_array_equal(dense.Map(np.zeros([2, 2, 1]), 4, 2.0).counted(visible), [[True, True], [True, True]])
    visible[0, 4] = False
    np.testing.assert_array_equal(
        dense.Map(np.zeros([2, 2, 1]), 4, 2.0).counted(visible), [[True, False], [True, True]]
    )


ROWS = [
    measure.Row("translation", 0.0, "same_class", 1.0),
    measure.Row("translation", 0.5, "same_class", 0.75, 1.0),
    measure.Row("translation", 0.5, "top1", float("nan")),
]


def test_the_report_is_a_table_numbers_curves_pictures_and_events(tmp_path):
    pictures = {"translation": [np.zeros([20, 30, 3], np.uint8)] * 2}
    names = report.write(tmp_path / "new", ROWS, {"task": "classification"}, {"translation": "pixels"}, pictures)
    assert names == ["results.csv", "results.json", "translation.png", "translation.jpg", "tensorboard"]
    rows = list(csv.DictReader((tmp_path / "new/results.csv").open()))
    assert rows[1]["strength"] == "0.5" and float(rows[1]["floor"]) == 1
    found = json.loads((tmp_path / "new/results.json").read_text())
    assert found["task"] == "classification" and "value" not in found["rows"][2]
    assert len(list((tmp_path / "new/tensorboard").glob("events*"))) == 1
    report.write(tmp_path / "new", ROWS, {}, {}, {})
    assert len(list((tmp_path / "new/tensorboard").glob("events*"))) == 1  # They take the place of the older ones.


def test_the_table_has_the_floor_in_parentheses():
    text = report.text_of(ROWS, {"translation": "pixels"})
    assert "translation (pixels)" in text and re.search(r"0\.5 +0\.75 \(1\)  +–", text)


def given(tmp_path, more, task):
    path = tmp_path / "given.flags"
    network = "--segmenter.backbone.norm=batch\n" if task == "segmentation" else ""
    path.write_text(f"--task={task}\n--out={tmp_path / 'out'}\n{network}" + "\n".join(more) + "\n")
    return flags.load(equivariance.Flags(), path)


@pytest.mark.parametrize(
    "settings, words",
    [
        (["--strength.scale=0,2"], "--strength.scale=0.0,2.0: must be between 0.05 and 20"),
        (["--strength.noise="], "--strength.noise=: needs at least one value"),
        (["--strength.rotation=nan"], "--strength.rotation=nan: must be between 0 and 180 degrees"),
        (["--variations="], "--variations=: needs at least one value"),
        (["--variations=noise", "--strength.scale=2"], "--strength.scale=2.0: nothing reads it"),
        (["--max_images=0"], "--max_images=0"),
        (["--margin=-1"], "--margin=-1"),
        (["--min_score=2"], "--min_score=2"),
        (["--rois=run"], "--rois=run: --task=segmentation has no rois"),
        (["--parts", "--rois=ramp"], "leave all but one of them out"),
        (["--data.batch_size=0"], "--data.batch_size=0"),
        (["--shift=0"], "--shift=0: must be more than 0 pixels"),
    ],
)
def test_what_cannot_be_measured_is_named_with_its_flag(settings, words, tmp_path):
    with pytest.raises(UserError, match=re.escape(words)):
        validate.check(given(tmp_path, settings, "segmentation"))


def test_a_variation_that_there_is_not_is_answered_with_those_that_there_are(tmp_path):
    with pytest.raises(UserError, match=r"variations=translation,rain.*rotation"):
        given(tmp_path, ["--variations=translation,rain"], "detection")


def test_shifts_of_a_classifier_are_refused(tmp_path):
    with pytest.raises(UserError, match="--shift=32: --task=classification has no output for every pixel"):
        validate.check(given(tmp_path, ["--shift=32"], "classification"))


def test_pixels_of_records_are_labelled_where_they_are_seen(tmp_path):
    folder = str(tmp_path / "scenes")
    scenes.build(folder, "val", 2, scenes.Scenes(height=64, width=96, label_maps=True), jobs=1)
    dataset = info.load(folder)
    data = DataConfig(records=folder, eval_short_side=32)
    task = SimpleNamespace(info=dataset)
    model = Segmenter(task, None, Experiment(task="segmentation", data=data), Options())
    first, second = samples.of_records(model, data, dataset.names, most=5)
    assert (first.image.shape, first.truth.shape) == ((32, 48, 3), (32, 48))
    # What has a colour of its own has a label of its own: within a label the colours differ less than in the image.
    for sample in (first, second):
        within = [sample.image[sample.truth == label].var(axis=0).mean() for label in np.unique(sample.truth)]
        sizes = [(sample.truth == label).mean() for label in np.unique(sample.truth)]
        assert len(within) > 1 and np.dot(within, sizes) < 0.9 * sample.image.var(axis=(0, 1)).mean()


def test_a_classifier_is_measured_on_records_with_its_accuracy(tmp_path, capsys):
    scenes.build(str(tmp_path / "scenes"), "val", 2, scenes.Scenes(height=64, width=96), jobs=1)
    crops.build(crops.Crops(data=str(tmp_path / "scenes"), out=str(tmp_path / "crops"), split="val", jobs=1))
    experiments.run(
        Flags(
            task="classification",
            data=DataConfig(records=str(tmp_path / "crops"), eval_short_side=16),
            classifier=ClassifierConfig(name="lecun1989", crop=16),
            checkpoint="random",
            max_images=4,
            variations=("brightness",),
            strength=Strengths(brightness=(0.4,)),
            out=str(tmp_path / "out"),
        )
    )
    assert "random weights on 4 images" in capsys.readouterr().out
    results = json.loads((tmp_path / "out/results.json").read_text())
    found = {(row["strength"], row["measure"]): row["value"] for row in results["rows"]}
    assert found[0, "same_class"] == 1 and found[0, "logits_invariance_error"] == 0 < found[0.4, "score_change"]
    assert found[0, "top1"] in (0, 0.25, 0.5, 0.75, 1)
    assert (tmp_path / "out/brightness.jpg").is_file()


def test_rois_and_parts_need_no_run(tmp_path, capsys):
    equivariance.main(given(tmp_path, ["--rois=ramp"], "detection"))
    assert "roi_align" in capsys.readouterr().out
    assert {"ramps.png", "results.csv", "results.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
