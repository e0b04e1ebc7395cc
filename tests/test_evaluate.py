"""Evaluation from records to numbers: a model that knows the truth must get AP 1 through the whole path."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests import datasets
from tfrecog import evaluate, tasks
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import (
    BackboneConfig,
    BoxConfig,
    DataConfig,
    DetectorConfig,
    Experiment,
    MaskConfig,
    OutputConfig,
    ProposalConfig,
    RpnConfig,
)
from tfrecog.data import info, records
from tfrecog.evaluations import detection
from tfrecog.evaluations.detection import DIAGNOSIS
from tfrecog.evaluations.loop import METRICS
from tfrecog.inference.result_files import DETECTIONS
from tfrecog.metrics import coco
from tfrecog.ops import rle
from tfrecog.ops.coco_format import to_xywh
from tfrecog.runs import checkpoints, trained
from tfrecog.runtime import distribution
from tfrecog.tasks import class_mapping

CATEGORIES = (info.Category("cat", 17), info.Category("dog", 3))
# Landscape and portrait, larger and smaller than what they are resized to; 7 images, which no batch of 2..4 divides.
SIZES = [(60, 80), (90, 50), (64, 64), (120, 200), (33, 47), (200, 90), (61, 83)]
SLOTS = 6
SIGMAS = (0.02, 0.05, 0.1)


def scene(row, height, width):
    """A Record: noise with two or three rectangles as objects; row 2 is empty, and row 3 has a crowd too."""
    rng = np.random.default_rng(row)
    n = 0 if row == 2 else 3
    corner = rng.integers(0, [height // 2, width // 2], [n, 2])
    boxes = np.concatenate([corner, corner + rng.integers(15, [height // 2, width // 2], [n, 2])], -1)
    masks = np.zeros([n, height, width], bool)
    for mask, (y1, x1, y2, x2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    labels = rng.integers(1, 3, n)
    # Pixels of the object: COCO's indices, so that the continuous ones end in a half. A joint in four is not labelled.
    visibility = rng.integers(0, 4, [n, 3, 1]).clip(0, 2)
    points = corner[:, None] + rng.integers(0, 15, [n, 3, 2]) + 0.5
    keypoints = np.where(visibility > 0, np.concatenate([points, visibility], -1), 0)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, [height, width, 3], np.uint8)).save(file, "PNG")
    return records.Record(
        encoded=file.getvalue(), format="png", height=height, width=width, filename=f"{row}.png",
        source_id=str(1000 + 7 * row), boxes=boxes.astype(np.float32).reshape(-1, 4), labels=labels,
        names=[CATEGORIES[label - 1].name for label in labels],
        crowd=np.array([row == 3 and i == 0 for i in range(n)], bool), areas=masks.sum((1, 2)).astype(np.float32),
        ids=np.arange(n), masks=[rle.encode(mask) for mask in masks], keypoints=keypoints.astype(np.float32),
    )  # fmt: skip


SCENES = [scene(row, *size) for row, size in enumerate(SIZES)]
OBJECTS = [(record, i) for record in SCENES for i in range(len(record.labels))]


def write_records(folder, scenes):
    facts = {"masks": True, "keypoints": ("a", "b", "c"), "keypoint_sigmas": SIGMAS}
    return datasets.write(folder, [scenes[:4], scenes[4:]], CATEGORIES, **facts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("records"), SCENES)


@pytest.fixture
def experiment(folder):
    data = DataConfig(records=str(folder), eval_batch_size=3, eval_short_side=64, long_side=128)
    return Experiment(data=data, detector=DetectorConfig(masks=True))


@pytest.fixture
def posed(experiment):
    return dataclasses.replace(experiment, detector=DetectorConfig(keypoints=True))


class Oracle:
    """A task whose model sees what is in the records: `scenes[row]`, without crowd, in pixels of the resized image.

    Beside boxes it has `masks`, `keypoints` (those that are not labelled too, in the middle of the box) or neither.
    Noise moves either by pixels.
    """

    def __init__(self, part="masks", scenes=SCENES, noise=0.0):
        self.part, slots = part, max(SLOTS, *(len(record.labels) for record in scenes))
        self.boxes = np.zeros([len(scenes), slots, 4], np.float32)
        self.labels = np.zeros([len(scenes), slots], np.int32)
        self.keypoints = np.zeros([len(scenes), slots, 3, 3], np.float32)
        for row, record in enumerate(scenes):
            kept = np.flatnonzero(~record.crowd)
            self.boxes[row, : len(kept)], self.labels[row, : len(kept)] = record.boxes[kept], record.labels[kept]
            middle = np.pad((record.boxes[kept, :2] + record.boxes[kept, 2:]) / 2, [(0, 0), (0, 1)])[:, None]
            points = record.keypoints[kept]
            self.keypoints[row, : len(kept)] = np.where(points[..., 2:] > 0, points, middle)
        moved = self.keypoints[..., :2] if part == "keypoints" else self.boxes
        filled = self.labels.reshape(self.labels.shape + (1,) * (moved.ndim - 2)) > 0
        moved += np.where(filled, np.random.default_rng(5).normal(0, noise, moved.shape), 0)

    def predict(self, model, batch):
        rows, scale = batch["record"], batch["scale"]
        labels = tf.gather(self.labels, rows)
        points, scores = tf.split(tf.gather(self.keypoints, rows), [2, 1], axis=-1)
        parts = {
            "masks": tf.ones([*labels.shape, 28, 28]),
            "keypoints": tf.concat([points * scale[:, None, None], scores], -1),
        }
        return {
            "boxes": tf.gather(self.boxes, rows) * tf.tile(scale, [1, 2])[:, None],
            "labels": labels,
            "scores": tf.where(labels > 0, 0.9, 0.0),
            **{name: value for name, value in parts.items() if name == self.part},
        }


def with_outputs(change):
    """An Oracle whose outputs `change` returns others in place of."""

    class Changed(Oracle):
        def predict(self, model, batch):
            outputs = super().predict(model, batch)
            return outputs | change(outputs)

    return Changed()


def evaluated(task, experiment, out=None, replicas=1):
    """Its numbers, and what is written to detections.json."""
    numbers = detection.evaluate(task, None, experiment, distribution.strategy(replicas), out)
    return numbers, json.loads((out / DETECTIONS).read_text()) if out else []


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch_size, tight", [(1, False), (3, False), (16, False), (1, True), (3, True)])
def test_a_model_that_knows_the_truth_has_ap_1(experiment, tmp_path, batch_size, tight, count):
    experiment = flags.replace(experiment, {"data.eval_batch_size": batch_size, "data.pad_to_batch_max": tight})
    numbers, rows = evaluated(Oracle(), experiment, tmp_path, count)
    assert set(numbers) == {f"{kind}_{name}" for kind in ("box", "mask") for name in coco.NUMBERS}
    assert numbers["box_AP"] == pytest.approx(1) and numbers["box_AR100"] == pytest.approx(1)
    # A pasted square of ones may be off by part of a pixel at each edge, of 15 pixels or more: IoU over 0.75.
    assert numbers["mask_AP75"] == pytest.approx(1)
    written = json.loads((tmp_path / METRICS).read_text())
    assert (written["images"], written["instances"], written["crowd"], written["detections"]) == (7, 17, 1, 17)
    assert {name: written["standard_errors"][name] for name in ("box_AP", "mask_AP50")} == pytest.approx(
        {"box_AP": 0, "mask_AP50": 0}, abs=1e-9
    )
    diagnosed = json.loads((tmp_path / DIAGNOSIS).read_text())
    assert sum(row["errors"]["hit"] for row in diagnosed["classes"]) == written["instances"]
    assert not any(error["count"] for error in diagnosed["errors"].values())
    # Each once, with the ids and pixels of the source.
    expected = [
        (int(record.source_id), CATEGORIES[record.labels[i] - 1].id, *to_xywh(record.boxes)[i])
        for record, i in OBJECTS
        if not record.crowd[i]
    ]
    got = [(row["image_id"], row["category_id"], *row["bbox"]) for row in rows]
    np.testing.assert_allclose(sorted(got), sorted(expected), atol=2e-3)


@pytest.mark.parametrize(("most", "ap"), [(300, 1), (100, 34 / 101)])
def test_an_image_of_300_objects_all_found_has_ap_1_if_the_detector_may_find_so_many(tmp_path, capsys, most, ap):
    # COCO's own limit of 100 finds a third of them: precision 1 at the recalls 0..0.33 of 101.
    corners, sides = np.stack(np.divmod(np.arange(300), 20), -1) * 20.0, (12, 14)
    dense = dataclasses.replace(
        SCENES[2], height=300, width=400, boxes=np.concatenate([corners, corners + sides], -1).astype(np.float32),
        encoded=tf.io.encode_png(np.zeros([300, 400, 3], np.uint8)).numpy(), labels=np.ones(300, np.int64),
        names=["cat"] * 300, crowd=np.zeros(300, bool), areas=np.full(300, 168, np.float32), ids=np.arange(300),
        masks=None, keypoints=np.zeros([300, 3, 3], np.float32),
    )  # fmt: skip
    folder = datasets.write(tmp_path, [[dense]], CATEGORIES, keypoints=("a", "b", "c"), keypoint_sigmas=SIGMAS)
    data = DataConfig(records=str(folder), eval_batch_size=1, eval_short_side=300, long_side=400)
    experiment = Experiment(data=data, detector=DetectorConfig(output=OutputConfig(max_detections=most)))
    oracle = Oracle("", [dense, dense])
    numbers = detection.evaluate(oracle, None, experiment, distribution.strategy(1), show=True)
    assert numbers["box_AP"] == pytest.approx(ap)
    said = "1 image has more than 100 objects, and the detector finds 100 at most: set --detector.output.max_detections"
    assert (said in capsys.readouterr().out) is (most == 100)


@pytest.mark.parametrize("count", [1, 2])
def test_a_model_that_knows_the_keypoints_has_keypoint_ap_1(posed, tmp_path, count):
    numbers, rows = evaluated(Oracle("keypoints"), posed, tmp_path, count)
    assert numbers["keypoint_AP"] == numbers["box_AP"] == pytest.approx(1)
    for record, i in OBJECTS:
        if not record.crowd[i]:
            box, points = to_xywh(record.boxes)[i], record.keypoints[i]
            labelled = points[:, 2] > 0
            expected = points[labelled][:, [1, 0]] - 0.5  # COCO's pixel indices, which are whole numbers here
            near = min(rows, key=lambda row: np.abs(np.subtract(row["bbox"], box)).sum())
            got = np.reshape(near["keypoints"], [3, 3])[labelled, :2]
            np.testing.assert_allclose(got, expected, atol=2e-3)
    assert {score for row in rows for score in row["keypoint_scores"]} == {0, 1, 2}, "scores are not scaled"


def as_coco(keypoints):
    """x, y in pixel indices and visibility, in a row; zeros where a keypoint is not labelled."""
    return np.where(keypoints[:, 2:] > 0, keypoints[:, [1, 0, 2]] - [0.5, 0.5, 0], 0).ravel().tolist()


@pytest.mark.parametrize("part, kinds", [
    ("masks", {"box": ("bbox", "segmentation"), "mask": ("segm", "bbox")}),
    ("keypoints", {"keypoint": ("keypoints", "bbox")}),
])  # fmt: skip
def test_the_written_files_give_plain_pycocotools_the_same_numbers(experiment, posed, tmp_path, part, kinds):
    """Of each kind: pycocotools' name of it, and what it is not to see in the rows."""
    numbers, rows = evaluated(Oracle(part, noise=1.7), experiment if part == "masks" else posed, tmp_path, 2)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": int(r.source_id), "height": r.height, "width": r.width} for r in SCENES],
        "categories": [{"id": category.id, "name": category.name} for category in CATEGORIES],
        "annotations": [
            {"id": number, "image_id": int(r.source_id), "category_id": CATEGORIES[r.labels[i] - 1].id,
             "bbox": to_xywh(r.boxes)[i].tolist(), "area": float(r.areas[i]), "iscrowd": int(r.crowd[i]),
             "segmentation": {"size": [r.height, r.width], "counts": r.masks[i].tolist()},
             "num_keypoints": int((r.keypoints[i, :, 2] > 0).sum()),
             "keypoints": as_coco(r.keypoints[i])}
            for number, (r, i) in enumerate(OBJECTS, 1)
        ],
    }  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        for name, (kind, drop) in kinds.items():
            found = truth.loadRes([{key: row[key] for key in row if key != drop} for row in rows])
            reference = COCOeval(truth, found, kind)
            reference.params.kpt_oks_sigmas = np.array(SIGMAS)
            reference.evaluate(), reference.accumulate(), reference.summarize()
            names = coco.KEYPOINT_NUMBERS if kind == "keypoints" else coco.NUMBERS
            got = [numbers[f"{name}_{number}"] for number in names]
            np.testing.assert_allclose(got, reference.stats, atol=1e-12)
            assert 0 < got[0] < 1, "what is shaken is neither perfect nor useless"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"keypoint_sigmas": ()}, r'dataset\.json has no keypoint_sigmas.*"keypoint_sigmas": \[0.05, 0.05, 0.05\]'),
        (
            {"keypoint_sigmas": (), "keypoints": ()},
            r"dataset\.json has no keypoints, which --detector\.keypoints needs",
        ),
    ],
)
def test_what_the_evaluation_of_keypoints_needs_is_named_before_any_image_is_read(posed, tmp_path, missing, message):
    info.save(tmp_path, dataclasses.replace(info.load(write_records(tmp_path, SCENES)), **missing))
    with pytest.raises(ValueError, match=message):
        evaluated(None, flags.replace(posed, {"data.records": str(tmp_path)}))


def test_a_model_that_finds_nothing_has_ap_0(experiment, tmp_path):
    blind = with_outputs(lambda found: {"labels": tf.zeros_like(found["labels"])})
    numbers, rows = evaluated(blind, experiment, tmp_path)
    assert numbers["box_AP"] == numbers["mask_AP"] == 0 and rows == []


def test_boxes_that_leave_the_image_are_clipped_to_it(experiment, tmp_path):
    filled = lambda found: tf.cast(found["labels"] > 0, tf.float32)[..., None]  # noqa: E731
    outside = with_outputs(lambda found: {"boxes": filled(found) * tf.constant([-50.0, -60, 900, 950])})
    sizes = {int(record.source_id): (record.width, record.height) for record in SCENES}
    _, rows = evaluated(outside, experiment, tmp_path)
    assert all(row["bbox"] == [0, 0, *sizes[row["image_id"]]] for row in rows) and len(rows) == 17


def test_an_evaluation_that_fails_leaves_the_files_of_the_last_one(experiment, tmp_path):
    evaluated(Oracle(), experiment, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(IndexError):  # There is no such class.
        evaluated(with_outputs(lambda found: {"labels": 99 * tf.sign(found["labels"])}), experiment, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_boxes_alone_are_evaluated_where_the_detector_has_no_masks(experiment, tmp_path, monkeypatch):
    experiment = dataclasses.replace(experiment, detector=DetectorConfig(masks=False))
    numbers, rows = evaluated(Oracle(part=""), experiment, tmp_path / "out")
    assert numbers["box_AP"] == pytest.approx(1) and not any(name.startswith("mask") for name in numbers)
    assert not any("segmentation" in row for row in rows)
    monkeypatch.chdir(tmp_path)
    assert evaluated(Oracle(part=""), experiment)[0] == numbers
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "without a folder nothing is written"


def test_records_with_the_same_source_id_are_different_images(experiment, tmp_path):
    scenes = [dataclasses.replace(record, source_id="0") for record in SCENES]
    experiment = flags.replace(experiment, {"data.records": str(write_records(tmp_path, scenes))})
    numbers, rows = evaluated(Oracle(scenes=scenes), experiment, tmp_path)
    assert numbers["box_AP"] == pytest.approx(1)
    assert len({row["image_id"] for row in rows}) == sum(bool(np.any(~record.crowd)) for record in scenes)


def test_a_model_of_more_classes_is_measured_on_those_of_the_records_by_name(experiment, tmp_path):
    # Knows the records' cat (1) and dog (2) as 3 and 1, and sees an ostrich (2) over everything else.
    wider = with_outputs(
        lambda found: {"labels": tf.gather([2, 3, 1], found["labels"]), "scores": found["scores"] + 0.05}
    )
    wider.info = info.DatasetInfo(
        tuple(info.Category(name, 50 + i) for i, name in enumerate(("dog", "ostrich", "cat"))), {}
    )
    numbers, rows = evaluated(class_mapping.Relabelled(wider, CATEGORIES), experiment, tmp_path)
    assert numbers["box_AP"] == pytest.approx(1)
    assert {row["category_id"] for row in rows} == {17, 3} and len(rows) == 17, "the ids are those of the records"


def test_memory_that_is_too_small_is_an_error_that_names_the_flags(experiment):
    def fail(outputs):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\n\na stack trace")

    with pytest.raises(UserError, match=r"(?s)out of memory: .*\(OOM when allocating\).*--data\.eval_short_side"):
        evaluated(with_outputs(fail), experiment)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """The flags of a Mask R-CNN of few layers, with one checkpoint of its first weights, of step 7."""
    detector = DetectorConfig(
        masks=True, neck="single", backbone=BackboneConfig(name="zf", frozen_stages=0),
        rpn=RpnConfig(anchor_sizes=(16, 32, 64), infer=ProposalConfig(50, 20)), box=BoxConfig(hidden_units=16),
        mask=MaskConfig(channels=8, convs=1), output=OutputConfig(min_score=0.2, max_detections=5),
    )  # fmt: skip
    # One square canvas, so that the model is traced once.
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=96, long_side=96)
    workdir = tmp_path_factory.mktemp("run")
    evaluation = evaluate.Flags(workdir=str(workdir), data=data, detector=detector)
    checkpoints.save(workdir, 7, tasks.build(evaluation, info.load(folder)).build(), None, keep=1)
    return evaluation


def test_a_checkpoint_sees_the_same_on_two_replicas(run, tmp_path, capsys):
    sides = []
    for replicas in (1, 2):
        out = tmp_path / str(replicas)
        evaluate.main(flags.replace(run, {"train.replicas": replicas, "out": str(out)}))
        written, rows = (json.loads((out / name).read_text()) for name in (METRICS, DETECTIONS))
        assert written["step"] == 7 and written["images"] == 7 and written["detections"] == len(rows)
        assert 0 <= written["metrics"]["box_AP"] < 0.5 and written["metrics"]["mask_APl"] == -1
        assert [row["name"] for row in written["classes"]] == ["cat", "dog"]
        sides.append(sorted(rows, key=lambda row: (row["image_id"], -row["score"])))
    assert "cat" in capsys.readouterr().out
    assert sides[0], "the fresh model must see something for this to be a test"
    for a, b in zip(*sides, strict=True):
        assert (a["image_id"], a["category_id"]) == (b["image_id"], b["category_id"])
        np.testing.assert_allclose(a["bbox"], b["bbox"], atol=0.01)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_a_machine_of_fewer_devices_than_the_run_had_evaluates_with_what_it_has(run, capsys):
    *_, strategy, _, _ = trained.restore(flags.replace(run, {"train.replicas": 5}), "latest")  # The tests have two.
    assert strategy.num_replicas_in_sync == 2
    assert "--train.replicas=5: 2 devices here" in capsys.readouterr().out


def test_a_run_without_a_checkpoint_is_a_clear_error(run, tmp_path):
    with pytest.raises(UserError, match=r"no latest checkpoint in .*--workdir"):
        evaluate.main(flags.replace(run, {"workdir": str(tmp_path)}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (
            {"categories": (*CATEGORIES, info.Category("emu", 5))},
            r"1 class that the run was not trained on: emu. It knows 2: cat, dog",
        ),
        (
            {"keypoints": ("b", "a", "c")},
            r"trained on 3 keypoints \(a, b, c\), and the records in .* have 3 \(b, a, c\)",
        ),
        ({"keypoint_sigmas": ()}, "has no keypoint_sigmas"),
    ],
)
def test_records_of_something_else_than_the_run_are_refused_before_the_weights_are_read(run, tmp_path, there, message):
    dataset, workdir = info.load(run.data.records), tmp_path / "run"  # It has no weights.
    info.save(workdir, dataset)
    info.save(tmp_path, dataclasses.replace(dataset, **there))
    changes = {"data.records": str(tmp_path), "workdir": str(workdir), "detector.keypoints": True}
    with pytest.raises(UserError, match=message):
        evaluate.main(flags.replace(run, changes))
