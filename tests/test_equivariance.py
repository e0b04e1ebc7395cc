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
from PIL import Image

from pipelines import crops, scenes
from tfrecog import equivariance
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, ClassifierConfig, DataConfig, SegmenterConfig
from tfrecog.data import info
from tfrecog.equivariance_lab import (
    dense,
    detection,
    ends,
    experiments,
    measure,
    moves,
    objects,
    parts,
    report,
    rois,
    transforms,
)
from tfrecog.equivariance_lab.classification import Classifier
from tfrecog.equivariance_lab.flags import Flags, Strengths
from tfrecog.equivariance_lab.measure import Outputs, Sample
from tfrecog.equivariance_lab.segmentation import Segmenter
from tfrecog.models import classifier
from tfrecog.models.segmenter import fcn


def receptive_field(last=5):
    """Pixels that a cell of a stage of ResNet-18 sees: 1 + the sum of (kernel - 1) x stride of what it is made from."""
    layers = [(7, 1), (3, 2)]  # Kernel, and stride of its input: the stem and the pooling.
    for level in range(2, last + 1):
        layers += [(3, 2 ** max(level - 1, 2))] + [(3, 2**level)] * 3
    return 1 + sum((kernel - 1) * stride for kernel, stride in layers)


SEGMENTER = SegmenterConfig(
    backbone=BackboneConfig(name="resnet18", norm="batch", width=8, frozen_stages=0),
    padding=0,
    fc_channels=0,
    skip_scales=(1.0, 1.0),
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = fcn.build(SEGMENTER, 5)
    network(tf.zeros([1, 64, 64, 3]))
    random = np.random.default_rng(0)
    for variable in network.head.variables:  # The scores start as zeros.
        if "score" in variable.path:
            variable.assign(random.normal(size=variable.shape))
    return network


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, [64, 768, 3]).astype(np.float32)


def test_a_shift_by_the_stride_shifts_the_output_wherever_no_zeros_are_seen_and_another_nowhere(model, image):
    assert receptive_field() == 435  # that of the literature
    curve = ends.by_distance(ends.difference(model, image, 32))
    # Half the field, a cell of the coarsest map for the upsampling, and half of one, as far as a pixel is off a centre.
    interior = receptive_field() // 2 + 32 + 16
    assert len(curve) > interior + 50
    assert curve[interior:].max() < 1e-4
    assert curve[0] > 0.1  # The zeros do not move.
    assert ends.by_distance(ends.difference(model, image, 20))[300:].min() > 1e-2


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


@pytest.fixture(scope="module")
def segmenter(model):
    names = [info.Category(name=f"c{i}", id=i) for i in range(5)]
    task = SimpleNamespace(info=SimpleNamespace(num_classes=5, categories=names))
    return Segmenter(task, model, Flags(task="segmentation", layers=True))


@pytest.fixture(scope="module")
def shifted(segmenter):
    """Measures of a segmenter's shifts by 8 and 4 pixels, without the edges that res3 sees."""
    picture = np.random.default_rng(2).uniform(0, 255, [192, 192, 3]).astype(np.float32)
    labels = np.random.default_rng(3).integers(1, 6, [192, 192])
    shifts = {"translation": (8.0, 4.0, 0.5, 180.0)}
    margin = receptive_field(3) // 2 + 8
    rows, pictures = measure.measure(segmenter, [Sample(picture, "noise", labels)], shifts, margin=margin)
    return {(row.strength, row.measure): row for row in rows}, pictures


def test_features_follow_a_shift_by_their_stride_and_no_other(shifted):
    rows, _ = shifted
    assert rows[8, "level3_equivariance_error"].value < 1e-5
    assert rows[4, "level3_equivariance_error"].value > 0.05
    assert rows[4, "level2_equivariance_error"].value < 1e-5  # Their stride is 4.
    assert rows[8, "level3_invariance_error"].value > 0.1  # They do not stay.


def test_without_a_change_nothing_differs_and_every_strength_is_drawn(shifted):
    rows, pictures = shifted
    assert rows[0, "same_label"].value == 1
    assert all(row.value == 0 for key, row in rows.items() if key[0] == 0 and key[1].endswith("_error"))
    assert {"mean_iou", "pixel_accuracy"} <= {name for _, name in rows}
    assert list(pictures["translation"]) == [0, 0.5, 4, 8]  # By 180 of 192 pixels hardly anything is left.


def test_the_floor_of_whole_pixels_is_nothing_and_of_half_a_pixel_it_is_not(shifted):
    rows, _ = shifted
    assert rows[8, "level2_equivariance_error"].floor < 1e-5
    assert rows[0.5, "level2_equivariance_error"].floor > 0.01
    # M_g moves the map of stride 4 by an eighth of a cell there and back.
    assert rows[8, "level2_equivariance_error"].map_floor == 0
    assert rows[0.5, "level2_equivariance_error"].map_floor > 0.001


def test_what_is_averaged_over_the_whole_map_stays_more_than_the_map():
    config = ClassifierConfig(name="resnet18")
    keras.utils.set_random_seed(0)
    network = classifier.build(config, 3)
    network(tf.zeros([1, 64, 64, 3]))
    task = SimpleNamespace(info=SimpleNamespace(names=("a", "b", "c")))
    subject = Classifier(task, network, Flags(task="classification", classifier=config, layers=True))
    scene = np.random.default_rng(0).uniform(0, 255, [4, 6, 3]).repeat(24, 0).repeat(24, 1).astype(np.float32)
    seen = [subject.outputs(Sample(part, ""), moves.in_place(part)) for part in (scene[:, :-8], scene[:, 8:])]
    found = measure.compare(subject, *seen, moves.in_place(scene[:, 8:]))
    map_error, pooled_error = found["level5_invariance_error"][0], found["pooled_invariance_error"][0]
    assert map_error > 0.1 and pooled_error < map_error / 2


def test_parts_move_with_shifts_by_their_stride():
    rows = {(row.measure, row.strength): row for row in parts.table((1, 2, 8))}
    everywhere = {key: row.value for key, row in rows.items()}
    inside = {key: row.floor for key, row in rows.items()}  # far from the edges
    assert everywhere["convolution, not padded, to follow", 1] == 0
    padded = "convolution, zeros around, to follow", 1
    assert inside[padded] == 0 < everywhere[padded]
    for name, stride in (
        ("convolution of stride 2", 2),
        ("max pooling 2x2", 2),
        ("3 convolutions and max poolings", 8),
    ):
        for shift in (1, 2, 8):
            error = inside[f"{name}, to follow", shift]
            assert error == 0 if shift % stride == 0 else error > 0.1
    assert everywhere["global average, to stay", 8] < everywhere["last map, to stay", 8] / 5


@pytest.mark.parametrize("stride", [4, 16, 32])
def test_roi_aligns_ramp_moves_as_the_roi_does_and_roi_pools_jumps_by_whole_cells(stride):
    shifts = np.arange(0, 2 * stride + 0.1, stride / 16)
    np.testing.assert_allclose(rois.pooled_ramp("roi_align", stride, shifts), 0, atol=1e-3)
    # Without the half cell it is half a cell off, always.
    np.testing.assert_allclose(rois.pooled_ramp("roi_align_unaligned", stride, shifts), stride / 2, atol=1e-3)
    readings = rois.pooled_ramp("roi_pool", stride, shifts) + shifts[:, None]
    jumps = np.diff(readings, axis=0)
    np.testing.assert_allclose(jumps / stride, np.round(jumps / stride), atol=1e-5)
    assert (jumps == 0).mean() > 0.8 and jumps.max() == stride
    np.testing.assert_allclose(readings[-1] - readings[0], 2 * stride)


def test_the_table_of_ramps_says_so():
    summary, rows = rois.ramps((16,), steps=16)
    table = {row.measure.removesuffix("_pixels"): row.value for row in summary}
    assert (table["roi_align_step"], table["roi_align_jump"]) == pytest.approx((1, 1), abs=1e-4)
    assert table["roi_align_error"] < 1e-3 and table["roi_pool_error"] >= 8
    assert table["roi_pool_jump"] == 16 and table["roi_pool_offset"] == pytest.approx(16.5, abs=0.1)
    moved = [(row.strength, row.value) for row in rows if row.measure == "roi_align_moved_pixels"]
    np.testing.assert_allclose(moved, [(shift, shift) for shift in range(33)], atol=1e-3)


def some(boxes, labels, scores=None, **more):
    scores = np.ones(len(boxes)) if scores is None else np.array(scores)
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "labels": np.array(labels), "scores": scores, **more}


@pytest.fixture
def detector():
    return detection.Detector(SimpleNamespace(info=None, predict=None), None, Flags())


def seen(found):
    return Outputs(found, {}, found["boxes"])


def test_boxes_that_follow_are_found_and_others_are_extra(detector):
    picture = np.zeros([40, 60, 3], np.float32)
    change = transforms.translation(picture, 5, transforms.NOWHERE)
    before = seen(some([[10, 10, 20, 20], [10, 50, 20, 60], [25, 5, 35, 15]], [1, 1, 2], [0.9, 0.8, 0.7]))
    # The first follows, but for 2 pixels; the second has left the image; of the third the class changes.
    after = seen(some([[10, 17, 20, 27], [25, 10, 35, 20]], [1, 1], [0.6, 0.7]))
    found = {name: total / count for name, (total, count) in detector.compare(before, after, change).items() if count}
    assert found == pytest.approx(
        {"found": 1 / 2, "extra": 1 / 2, "box_iou": 8 / 12, "centre_pixels": 2, "score_change": 0.3}
    )


def test_masks_and_keypoints_are_compared_where_they_should_be(detector):
    picture, mask = np.zeros([40, 60, 3], np.float32), np.zeros([1, 40, 60], bool)
    mask[0, 10:20, 10:20] = True
    points = np.array([[[12.0, 14.0, 1.0], [18.0, 18.0, 1.0]]])
    one = some([[10, 10, 20, 20]], [1], masks=mask, keypoints=points)
    moved = some([[10, 15, 20, 25]], [1], masks=np.roll(mask, 7, 2), keypoints=points + 3)
    found = detector.compare(seen(one), seen(moved), transforms.translation(picture, 5, transforms.NOWHERE))
    # 2 of 10 columns farther than it should be.
    assert found["mask_iou"] == pytest.approx((8 / 12, 1)) and found["mask_pixels"] == pytest.approx((2, 1))
    # Each moved by (3, 3) and should have moved by (0, 5).
    assert found["keypoint_pixels"] == pytest.approx((2 * 13**0.5, 2))
    # A mask that has vanished overlaps nothing, and has no centre.
    vanished = objects.differences(one, one | {"masks": np.zeros_like(mask)}, np.ones([40, 60], bool))
    assert vanished["mask_iou"] == (0, 1) and vanished["mask_pixels"] == (0, 0)


def test_ap_of_what_follows_is_1_and_what_left_does_not_count():
    change = transforms.translation(np.zeros([40, 60, 3], np.float32), 5, transforms.NOWHERE)
    crowd = np.array([False, False, True])
    three = some([[10, 10, 20, 20], [10, 50, 20, 60], [25, 5, 35, 15]], [1, 1, 1], crowd=crowd)
    sample = Sample(None, "", detection.Truth(three, measure.NO_BOXES))
    task = SimpleNamespace(info=SimpleNamespace(categories=[info.Category("thing", 7)]))
    detector = detection.Detector(task, None, Flags())
    evaluator = detector.evaluator()
    follows, stays = (seen(some([[10, left, 20, left + 10]], [1], [0.9])) for left in (15, 10))
    assert detector.evaluate(evaluator, follows, sample, change) == {"recall": (1, 1)}
    assert detector.accuracy(evaluator) == pytest.approx({"AP50": 1})
    assert detector.evaluate(evaluator, stays, sample, change) == {"recall": (0, 1)}
    # Of two images one object is found, first: precision 1 at 51 of COCO's 101 recalls.
    assert detector.accuracy(evaluator) == pytest.approx({"AP50": 51 / 101})


def test_the_closest_pairs_come_first_and_only_of_one_class():
    expected, got = some([[0, 0, 10, 10], [0, 2, 10, 12]], [1, 1]), some([[0, 1, 10, 11], [0, 0, 10, 10]], [1, 2])
    # The second of both is of another class; the first lies as close to either, and is given to one alone.
    mine, theirs = objects.pairs(expected, got)
    assert (mine.tolist(), theirs.tolist()) == ([0], [0])


def test_a_map_moves_exactly_by_cells():
    values = np.random.default_rng(0).normal(size=[5, 8, 2]).astype(np.float32)
    one = moves.Grid(values, stride=4, first=0.5)
    moved = one.moved(transforms.translation(np.zeros([20, 32, 3], np.float32), 8, transforms.NOWHERE).move)
    np.testing.assert_array_equal(moved[:, 2:], values[:, :-2])


def test_a_cell_counts_if_all_of_its_pixels_do():
    grid, visible = moves.Grid(np.zeros([2, 2, 1]), 4, 2.0), np.ones([8, 8], bool)
    visible[0, 5] = False
    np.testing.assert_array_equal(dense.visible_cells(grid, visible), [[True, True], [True, True]])
    visible[0, 4] = False
    np.testing.assert_array_equal(dense.visible_cells(grid, visible), [[True, False], [True, True]])


ROWS = [
    measure.Row("translation", 0.0, "same_class", 1.0),
    measure.Row("translation", 0.5, "same_class", 0.75, 1.0),
    measure.Row("translation", 0.5, "top1", float("nan")),
]


def test_the_report_is_a_table_numbers_curves_pictures_and_events(tmp_path):
    pictures, units = {"translation": {0.0: np.zeros([20, 30, 3], np.uint8)}}, {"translation": "steps"}
    measured = report.Measured(ROWS, {"task": "classification"}, units, pictures)
    names = report.write(tmp_path / "new", measured)
    assert names == ["results.csv", "results.json", "translation.png", "translation.jpg", "tensorboard"]
    rows = list(csv.DictReader((tmp_path / "new/results.csv").open()))
    assert rows[1]["strength"] == "0.5" and float(rows[1]["floor"]) == 1
    found = json.loads((tmp_path / "new/results.json").read_text())
    assert found["task"] == "classification" and "value" not in found["rows"][2]
    report.write(tmp_path / "new", report.Measured(ROWS, {}))
    assert len(list((tmp_path / "new/tensorboard").glob("events*"))) == 1  # They take the place of the older ones.
    # The floor is in parentheses.
    text = report.text_of(measured)
    assert re.fullmatch(r"translation \(steps\) +0 +0\.5\nsame_class +1 +0\.75 \(1\)\ntop1 +–\n", text)


def test_a_curve_of_one_strength_is_a_point_and_nothing_is_drawn_at_no_place():
    axes = report.curves([measure.Row("ends", 3.0, "logits_difference", 0.0)], "pixels").axes
    assert axes[0].lines[0].get_xydata().tolist() == [[3.0, 1e-7]] and axes[0].get_yscale() == "log"


def test_curves_have_a_panel_a_kind_and_the_floor_dotted():
    axes = report.curves([*ROWS, measure.Row("translation", 0.5, "logits_invariance_error", 0.2)], "pixels").axes
    assert [one.get_title() for one in axes] == ["fraction", "‖f(g(x)) − f(x)‖ / ‖f(x)‖"]
    value, floor = axes[0].lines
    np.testing.assert_array_equal(value.get_xydata(), [[0, 1], [0.5, 0.75]])
    np.testing.assert_array_equal(floor.get_xydata(), [[0.5, 1]])


def test_legends_hide_no_curve_and_curves_in_one_place_are_told_apart():
    figure = report.curves(rois.ramps(strides=[16])[1], "pixels")
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert axes.get_legend().get_window_extent().y1 < axes.xaxis.label.get_window_extent().y0
        drawn = [line for line in axes.lines if len(line.get_xdata())]
        assert axes.get_ylim()[0] < min(line.get_ydata().min() for line in drawn), "a curve lies on the axis"
        assert len({line.get_linestyle() for line in drawn}) == len(drawn) == 3


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
        (["--experiment=rois"], "--experiment=rois: --task=segmentation has no rois"),
        (["--experiment=parts", "--layers"], "--layers=true: is not read with --experiment=parts"),
        (["--data.batch_size=0"], "--data.batch_size=0"),
        (["--shift=0"], "--shift=0: must be more than 0 pixels"),
        (["--shift=8"], "--shift=8: is not read with --experiment=variations, only with ends"),
        (
            ["--task=classification", "--experiment=ends"],
            "--experiment=ends: --task=classification has no output for every pixel",
        ),
    ],
)
def test_what_cannot_be_measured_is_named_with_its_flag(settings, words, tmp_path):
    with pytest.raises(UserError, match=re.escape(words)):
        validate.check(given(tmp_path, settings, "segmentation"))


def test_a_variation_that_there_is_not_is_answered_with_those_that_there_are(tmp_path):
    with pytest.raises(UserError, match=r"variations=translation,rain.*rotation"):
        given(tmp_path, ["--variations=translation,rain"], "detection")


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("records") / "scenes")
    scenes.build(folder, "val", 2, scenes.Scenes(height=64, width=96, label_maps=True), jobs=1)
    return folder


def test_pixels_of_records_are_labelled_where_they_are_seen(label_maps):
    given = Flags(task="segmentation", data=DataConfig(records=label_maps, eval_short_side=32), max_images=5)
    dataset = info.load(label_maps)
    subject = Segmenter(SimpleNamespace(info=dataset), None, given)
    first, second = experiments.samples(subject, given, dataset.names)
    assert (first.image.shape, first.truth.shape) == ((32, 48, 3), (32, 48))
    # What has a colour of its own has a label of its own: within a label the colours differ less than in the image.
    for sample in (first, second):
        within = [sample.image[sample.truth == label].var(axis=0).mean() for label in np.unique(sample.truth)]
        sizes = [(sample.truth == label).mean() for label in np.unique(sample.truth)]
        assert len(within) > 1 and np.dot(within, sizes) < 0.9 * sample.image.var(axis=(0, 1)).mean()


def test_a_classifier_is_measured_on_records_with_its_accuracy(tmp_path, capsys):
    scenes.build(str(tmp_path / "scenes"), "val", 2, scenes.Scenes(height=64, width=96), jobs=1)
    crops.build(crops.Crops(data=str(tmp_path / "scenes"), out=str(tmp_path / "crops"), split="val", jobs=1))
    equivariance.main(
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


def test_the_ends_of_a_photo_are_measured(label_maps, tmp_path, capsys):
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, [32, 48, 3], np.uint8)).save(photo)
    facts = {"data": DataConfig(records=label_maps), "segmenter": SEGMENTER, "checkpoint": "random"}
    given = Flags(task="segmentation", experiment="ends", images=str(photo), shift=(8,), out=str(out), **facts)
    equivariance.main(given)
    assert re.search(r"ends \(pixels\) +0\nshift_8_difference +\d", capsys.readouterr().out)
    rows = json.loads((out / "results.json").read_text())["rows"]
    largest = [row["value"] for row in rows if row["measure"] == "shift_8_difference"]
    # 48 - 2 x 8 columns are in the middle of both parts, and 16 of them nearer to one end.
    assert len(largest) == 16 and largest == sorted(largest, reverse=True)
    assert (out / "ends.png").is_file()
    with pytest.raises(UserError, match="--shift needs pixels from 1 to 23, of an image 48 wide"):
        equivariance.main(dataclasses.replace(given, shift=(24,)))


def test_ramps_and_parts_need_no_run(tmp_path, capsys):
    equivariance.main(given(tmp_path, ["--experiment=ramp"], "detection"))
    assert re.search(r"roi_pool_jump_pixels +4 +16 +32\n", capsys.readouterr().out)
    assert {"ramps.png", "results.csv", "results.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
    equivariance.main(given(tmp_path, ["--experiment=parts"], "detection"))
    assert re.search(r"max pooling 2x2, to follow +0\.\d+ \(0\.\d+\) +0 \(0\)", capsys.readouterr().out)
