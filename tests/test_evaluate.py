"""Evaluation from records to numbers: a model that knows the truth must get AP 1 through the whole path."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tfrecog import evaluate, tasks
from tfrecog.cli.errors import UserError
from tfrecog.config import (
    BackboneConfig,
    BoxConfig,
    DataConfig,
    DetectorConfig,
    Experiment,
    FpnConfig,
    MaskConfig,
    OutputConfig,
    ProposalConfig,
    RpnConfig,
)
from tfrecog.data import index, info, records
from tfrecog.evaluations import detection
from tfrecog.evaluations.report import METRICS
from tfrecog.inference.result_files import DETECTIONS
from tfrecog.metrics import coco
from tfrecog.ops import rle
from tfrecog.ops.coco_format import to_xywh
from tfrecog.runs import checkpoints, trained
from tfrecog.runtime import distribution
from tfrecog.tasks import class_mapping
from tfrecog.tasks.detection import Detection
from tfrecog.training import optimizer

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
        encoded=file.getvalue(),
        format="png",
        height=height,
        width=width,
        filename=f"{row}.png",
        source_id=str(1000 + 7 * row),
        boxes=boxes.astype(np.float32).reshape(-1, 4),
        labels=labels,
        names=[CATEGORIES[label - 1].name for label in labels],
        crowd=np.array([row == 3 and i == 0 for i in range(n)], bool),
        areas=masks.sum((1, 2)).astype(np.float32),
        ids=np.arange(n),
        masks=[rle.encode(mask) for mask in masks],
        keypoints=keypoints.astype(np.float32),
    )


SCENES = [scene(row, *size) for row, size in enumerate(SIZES)]


def write_records(folder, scenes, split="val"):
    """A folder of records in two shards, as the pipelines make it."""
    shards = (f"{split}-00000-of-00002.tfrecord", f"{split}-00001-of-00002.tfrecord")
    for shard, part in zip(shards, (scenes[:4], scenes[4:]), strict=True):
        with tf.io.TFRecordWriter(str(folder / shard)) as writer:
            for record in part:
                writer.write(records.encode(record))
    crowd = int(sum(record.crowd.sum() for record in scenes))
    instances = sum(len(record.labels) for record in scenes) - crowd
    joints = {"keypoints": ("a", "b", "c"), "keypoint_sigmas": SIGMAS}
    splits = {split: info.SplitInfo(len(scenes), instances, crowd, shards)}
    info.save(folder, info.DatasetInfo(CATEGORIES, splits, masks=True, **joints))
    return folder


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
    """A task whose model sees what is in the records: `scenes[row]`, without crowd, in pixels of the resized image."""

    def __init__(self, scenes=SCENES):
        self.boxes = np.zeros([len(scenes), SLOTS, 4], np.float32)
        self.labels = np.zeros([len(scenes), SLOTS], np.int32)
        for row, record in enumerate(scenes):
            kept = np.flatnonzero(~record.crowd)
            self.boxes[row, : len(kept)], self.labels[row, : len(kept)] = record.boxes[kept], record.labels[kept]

    def predict(self, model, batch):
        rows = batch["record"]
        labels = tf.gather(self.labels, rows)
        return {
            "boxes": tf.gather(self.boxes, rows) * tf.tile(batch["scale"], [1, 2])[:, None],
            "labels": labels,
            "scores": tf.where(labels > 0, 0.9, 0.0),
            "masks": tf.ones([*labels.shape, 28, 28]),
        }


class Posed(Oracle):
    """A task whose model sees boxes and keypoints; those that are not labelled too, in the middle of the box."""

    def __init__(self, scenes=SCENES):
        super().__init__(scenes)
        middle = (self.boxes[..., :2] + self.boxes[..., 2:]) / 2
        self.keypoints = np.repeat(np.pad(middle, [(0, 0), (0, 0), (0, 1)])[:, :, None], 3, axis=2)
        for row, record in enumerate(scenes):
            kept = record.keypoints[~record.crowd]
            self.keypoints[row, : len(kept)] = np.where(kept[..., 2:] > 0, kept, self.keypoints[row, : len(kept)])

    def predict(self, model, batch):
        found = super().predict(model, batch)
        del found["masks"]
        points, scores = tf.split(tf.gather(self.keypoints, batch["record"]), [2, 1], axis=-1)
        return found | {"keypoints": tf.concat([points * batch["scale"][:, None, None], scores], -1)}


class Blind(Oracle):
    """A task whose model finds nothing."""

    def predict(self, model, batch):
        found = super().predict(model, batch)
        return found | {"labels": tf.zeros_like(found["labels"])}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_model_that_knows_the_truth_has_ap_1(experiment, tmp_path, batch_size, count):
    data = dataclasses.replace(experiment.data, eval_batch_size=batch_size)
    experiment = dataclasses.replace(experiment, data=data)
    numbers = detection.evaluate(Oracle(), None, experiment, distribution.strategy(count), tmp_path)
    assert set(numbers) == {f"{kind}_{name}" for kind in ("box", "mask") for name in coco.NUMBERS}
    assert numbers["box_AP"] == pytest.approx(1) and numbers["box_AR100"] == pytest.approx(1)
    # A pasted square of ones may be off by part of a pixel at each edge, of 15 pixels or more: IoU over 0.75.
    assert numbers["mask_AP75"] == pytest.approx(1)
    written = json.loads((tmp_path / METRICS).read_text())
    assert (written["images"], written["instances"], written["crowd"], written["detections"]) == (7, 17, 1, 17)


def test_what_the_model_sees_is_written_once_with_the_ids_and_pixels_of_the_source(experiment, tmp_path, two_replicas):
    detection.evaluate(Oracle(), None, experiment, two_replicas, tmp_path)
    rows = json.loads((tmp_path / DETECTIONS).read_text())
    expected = [
        (int(record.source_id), CATEGORIES[label - 1].id, *box.tolist())
        for record in SCENES
        for box, label, crowd in zip(to_xywh(record.boxes), record.labels, record.crowd, strict=True)
        if not crowd
    ]
    got = [(row["image_id"], row["category_id"], *row["bbox"]) for row in rows]
    np.testing.assert_allclose(sorted(got), sorted(expected), atol=2e-3)


def test_the_written_files_give_plain_pycocotools_the_same_numbers(experiment, tmp_path, two_replicas):
    class Shaken(Oracle):
        def __init__(self):
            super().__init__()
            rng = np.random.default_rng(5)
            self.boxes += np.where(self.labels[..., None] > 0, rng.normal(0, 2, self.boxes.shape), 0)

    numbers = detection.evaluate(Shaken(), None, experiment, two_replicas, tmp_path)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": int(r.source_id), "height": r.height, "width": r.width} for r in SCENES],
        "categories": [{"id": category.id, "name": category.name} for category in CATEGORIES],
        "annotations": [
            {"image_id": int(r.source_id), "category_id": CATEGORIES[r.labels[i] - 1].id, "bbox": box.tolist(),
             "area": float(r.areas[i]), "iscrowd": int(r.crowd[i]),
             "segmentation": {"size": [r.height, r.width], "counts": r.masks[i].tolist()}}
            for r in SCENES for i, box in enumerate(to_xywh(r.boxes))
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth.dataset["annotations"], 1):
        annotation["id"] = number
    rows = json.loads((tmp_path / DETECTIONS).read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        for name, kind, drop in [("box", "bbox", "segmentation"), ("mask", "segm", "bbox")]:
            detections = truth.loadRes([{key: row[key] for key in row if key != drop} for row in rows])
            reference = COCOeval(truth, detections, kind)
            reference.evaluate(), reference.accumulate(), reference.summarize()
            got = [numbers[f"{name}_{number}"] for number in coco.NUMBERS]
            np.testing.assert_allclose(got, reference.stats, atol=1e-12)
            assert 0 < got[0] < 1, "shaken boxes are neither perfect nor useless"


@pytest.mark.parametrize("count", [1, 2])
def test_a_model_that_knows_the_keypoints_has_keypoint_ap_1(posed, tmp_path, count):
    numbers = detection.evaluate(Posed(), None, posed, distribution.strategy(count), tmp_path)
    assert numbers["keypoint_AP"] == numbers["box_AP"] == pytest.approx(1)
    rows = json.loads((tmp_path / DETECTIONS).read_text())
    seen = {tuple(row["bbox"]): np.reshape(row["keypoints"], [3, 3]) for row in rows}
    for record in SCENES:
        boxes = np.round(to_xywh(record.boxes), 3)
        for box, points, crowd in zip(boxes.tolist(), record.keypoints, record.crowd, strict=True):
            if not crowd:
                labelled = points[:, 2] > 0
                expected = points[labelled][:, [1, 0]] - 0.5  # COCO's pixel indices, which are whole numbers here
                near = min(seen, key=lambda other: np.abs(np.subtract(other, box)).sum())
                np.testing.assert_allclose(seen[near][labelled, :2], expected, atol=2e-3)
    assert {score for row in rows for score in row["keypoint_scores"]} == {0, 1, 2}, "scores are not scaled"


def test_the_written_keypoints_give_plain_pycocotools_the_same_numbers(posed, tmp_path, two_replicas):
    class Shaken(Posed):
        def __init__(self):
            super().__init__()
            self.keypoints[..., :2] += np.random.default_rng(5).normal(0, 1.5, [*self.keypoints.shape[:3], 2])

    numbers = detection.evaluate(Shaken(), None, posed, two_replicas, tmp_path)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": int(r.source_id), "height": r.height, "width": r.width} for r in SCENES],
        "categories": [{"id": category.id, "name": category.name} for category in CATEGORIES],
        "annotations": [
            {"image_id": int(r.source_id), "category_id": CATEGORIES[r.labels[i] - 1].id, "bbox": box.tolist(),
             "area": float(r.areas[i]), "iscrowd": int(r.crowd[i]), "num_keypoints": int((points[:, 2] > 0).sum()),
             "keypoints": np.where(points[:, 2:] > 0, points[:, [1, 0, 2]] - [0.5, 0.5, 0], 0).ravel().tolist()}
            for r in SCENES for i, (box, points) in enumerate(zip(to_xywh(r.boxes), r.keypoints, strict=True))
        ],
    }  # fmt: skip
    for number, annotation in enumerate(truth.dataset["annotations"], 1):
        annotation["id"] = number
    rows = json.loads((tmp_path / DETECTIONS).read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        detections = truth.loadRes([{key: row[key] for key in row if key != "bbox"} for row in rows])
        reference = COCOeval(truth, detections, "keypoints")
        reference.params.kpt_oks_sigmas = np.array(SIGMAS)
        reference.evaluate(), reference.accumulate(), reference.summarize()
    got = [numbers[f"keypoint_{number}"] for number in coco.KEYPOINT_NUMBERS]
    np.testing.assert_allclose(got, reference.stats, atol=1e-12)
    assert 0 < got[0] < 1, "shaken keypoints are neither perfect nor useless"


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
    dataset = dataclasses.replace(info.load(write_records(tmp_path, SCENES)), **missing)
    info.save(tmp_path, dataset)
    data = dataclasses.replace(posed.data, records=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        detection.evaluate(None, None, dataclasses.replace(posed, data=data), distribution.strategy(1))


def test_a_model_that_finds_nothing_has_ap_0(experiment, tmp_path):
    numbers = detection.evaluate(Blind(), None, experiment, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == numbers["mask_AP"] == 0
    assert json.loads((tmp_path / DETECTIONS).read_text()) == []


def test_boxes_that_leave_the_image_are_clipped_to_it(experiment, tmp_path):
    class Outside(Oracle):
        def __init__(self):
            super().__init__()
            self.boxes = np.where(self.labels[..., None] > 0, np.float32([-50, -60, 900, 950]), 0)

    detection.evaluate(Outside(), None, experiment, distribution.strategy(1), tmp_path)
    sizes = {int(record.source_id): (record.width, record.height) for record in SCENES}
    for row in json.loads((tmp_path / DETECTIONS).read_text()):
        assert row["bbox"] == [0, 0, *sizes[row["image_id"]]]


def test_an_evaluation_that_fails_leaves_the_files_of_the_last_one(experiment, tmp_path):
    detection.evaluate(Oracle(), None, experiment, distribution.strategy(1), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    class Broken(Oracle):
        def predict(self, model, batch):
            found = super().predict(model, batch)
            return found | {"labels": tf.where(found["labels"] > 0, 99, 0)}  # No such class.

    with pytest.raises(IndexError):
        detection.evaluate(Broken(), None, experiment, distribution.strategy(1), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_boxes_alone_are_evaluated_where_the_detector_has_no_masks(experiment, tmp_path):
    class Boxes(Oracle):
        def predict(self, model, batch):
            return {name: value for name, value in super().predict(model, batch).items() if name != "masks"}

    experiment = dataclasses.replace(experiment, detector=DetectorConfig(masks=False))
    numbers = detection.evaluate(Boxes(), None, experiment, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == pytest.approx(1) and not any(name.startswith("mask") for name in numbers)
    assert "segmentation" not in (tmp_path / DETECTIONS).read_text()


def test_without_a_folder_nothing_is_written(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert detection.evaluate(Oracle(), None, experiment, distribution.strategy(1))["box_AP"] == pytest.approx(1)
    assert not list(tmp_path.iterdir())


def test_records_with_the_same_source_id_are_different_images(experiment, tmp_path):
    scenes = [dataclasses.replace(record, source_id="0") for record in SCENES]
    data = dataclasses.replace(experiment.data, records=str(write_records(tmp_path, scenes)))
    experiment = dataclasses.replace(experiment, data=data)
    numbers = detection.evaluate(Oracle(scenes), None, experiment, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == pytest.approx(1)
    written = {row["image_id"] for row in json.loads((tmp_path / DETECTIONS).read_text())}
    assert len(written) == sum(bool(np.any(~record.crowd)) for record in scenes)


def test_a_run_without_a_checkpoint_is_a_clear_error(experiment, tmp_path):
    run = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)}
    evaluation = evaluate.Flags(**run | {"workdir": str(tmp_path)})
    with pytest.raises(UserError, match=r"no latest checkpoint in .*--workdir"):
        evaluate.main(evaluation)
    assert not list(Path(tmp_path).iterdir())


def test_the_index_of_the_test_data_has_every_size(folder):
    where = index.load(folder, "val")
    np.testing.assert_array_equal(np.stack([where.height, where.width], -1), SIZES)


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """The flags of a tiny Mask R-CNN, with one checkpoint of its first weights, of step 7."""
    workdir = tmp_path_factory.mktemp("run")
    backbone = BackboneConfig(name="resnet18", norm="group", width=8)
    rpn = RpnConfig(anchor_sizes=(8, 16, 32, 64, 128), infer=ProposalConfig(50, 20))
    detector = DetectorConfig(
        masks=True, backbone=backbone, fpn=FpnConfig(channels=16), rpn=rpn, box=BoxConfig(hidden_units=16),
        mask=MaskConfig(channels=8, convs=1), output=OutputConfig(min_score=0.2, max_detections=5),
    )  # fmt: skip
    # One square canvas, so that the model is traced once.
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=96, long_side=96)
    experiment = Experiment(workdir=str(workdir), data=data, detector=detector)
    model = tasks.build(experiment, info.load(folder)).build()
    checkpoints.save(workdir, 7, model, optimizer.Optimizer(model.trainable_variables, experiment.optim), keep=1)
    return {field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)}


@pytest.fixture(scope="module")
def on_one(run, tmp_path_factory):
    """Folder of an evaluation of the run on one replica, and what it printed."""
    out = tmp_path_factory.mktemp("on_one")
    train = dataclasses.replace(run["train"], replicas=1)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        evaluate.main(evaluate.Flags(**run | {"train": train}, out=str(out)))
    return out, printed.getvalue()


def test_a_checkpoint_is_evaluated_from_the_flags_of_its_run(on_one):
    out, printed = on_one
    written = json.loads((out / METRICS).read_text())
    assert written["step"] == 7 and written["images"] == 7
    assert 0 <= written["metrics"]["box_AP"] < 0.5 and written["metrics"]["mask_APl"] == -1
    assert written["detections"] == len(json.loads((out / DETECTIONS).read_text()))
    assert [row["name"] for row in written["classes"]] == ["cat", "dog"]
    assert "cat" in printed


def test_a_checkpoint_sees_the_same_on_two_replicas(run, on_one, tmp_path):
    train = dataclasses.replace(run["train"], replicas=2)
    evaluate.main(evaluate.Flags(**run | {"train": train}, out=str(tmp_path)))
    both = [json.loads((out / DETECTIONS).read_text()) for out in (on_one[0], tmp_path)]
    one, two = (sorted(rows, key=lambda row: (row["image_id"], -row["score"])) for rows in both)
    assert len(one) == len(two) > 0, "the fresh model must see something for this to be a test"
    for a, b in zip(one, two, strict=True):
        assert (a["image_id"], a["category_id"]) == (b["image_id"], b["category_id"])
        np.testing.assert_allclose(a["bbox"], b["bbox"], atol=0.01)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)


def test_records_with_classes_that_the_run_does_not_know_are_refused(run, tmp_path):
    dataset = info.load(run["data"].records)
    info.save(run["workdir"], dataset)
    other = dataclasses.replace(dataset, categories=(*dataset.categories, info.Category("emu", 5)))
    info.save(tmp_path, other)
    data = dataclasses.replace(run["data"], records=str(tmp_path))
    with pytest.raises(UserError, match=r"1 classes that the run was not trained on: emu. It knows 2: cat, dog"):
        evaluate.main(evaluate.Flags(**run | {"data": data}))


def test_a_run_of_more_classes_is_measured_by_the_names_of_its_classes(experiment, tmp_path):
    class Wider(Oracle):
        """Knows the records' cat (1) and dog (2) as 3 and 1, and sees an ostrich (2) over everything else."""

        info = info.DatasetInfo(
            tuple(info.Category(name, 50 + i) for i, name in enumerate(("dog", "ostrich", "cat"))), {}
        )

        def predict(self, model, batch):
            found = super().predict(model, batch)
            return found | {"labels": tf.gather([2, 3, 1], found["labels"]), "scores": found["scores"] + 0.05}

    task = class_mapping.Relabelled(Wider(), CATEGORIES)
    numbers = detection.evaluate(task, None, experiment, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == pytest.approx(1)
    written = json.loads((tmp_path / DETECTIONS).read_text())
    assert {row["category_id"] for row in written} == {17, 3}, "the ids are those of the records"
    assert len(written) == sum(int((~record.crowd).sum()) for record in SCENES)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_tight_canvases_change_no_number_of_a_model_that_knows_the_truth(experiment, tmp_path, batch_size):
    data = dataclasses.replace(experiment.data, pad_to_batch_max=True, eval_batch_size=batch_size)
    padded = dataclasses.replace(experiment, data=data)
    numbers = detection.evaluate(Oracle(), None, padded, distribution.strategy(1), tmp_path)
    assert numbers["box_AP"] == pytest.approx(1)
    assert json.loads((tmp_path / METRICS).read_text())["images"] == len(SCENES)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (
            {"keypoints": ("b", "a", "c")},
            r"trained on 3 keypoints \(a, b, c\), and the records in .* have 3 \(b, a, c\)",
        ),
        ({"keypoint_sigmas": ()}, "has no keypoint_sigmas"),
    ],
)
def test_records_with_other_keypoints_than_the_run_are_refused_before_the_weights_are_read(
    run, tmp_path, there, message, monkeypatch
):
    monkeypatch.setattr(trained, "restore", None)
    dataset = info.load(run["data"].records)
    info.save(run["workdir"], dataset)
    info.save(tmp_path, dataclasses.replace(dataset, **there))
    data, detector = (dataclasses.replace(run["data"], records=str(tmp_path)), DetectorConfig(keypoints=True))
    with pytest.raises(UserError, match=message):
        evaluate.main(evaluate.Flags(**run | {"data": data, "detector": detector}))


def test_memory_that_is_too_small_is_an_error_that_names_the_flags(run, tmp_path, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\n\na stack trace")

    monkeypatch.setattr(Detection, "predict", fail)
    with pytest.raises(UserError, match=r"(?s)out of memory: .*\(OOM when allocating\).*--data\.eval_short_side"):
        evaluate.main(evaluate.Flags(**run | {"workdir": run["workdir"]}, out=str(tmp_path)))


def test_a_machine_of_fewer_devices_than_the_run_had_evaluates_with_what_it_has(run, tmp_path, capsys):
    train = dataclasses.replace(run["train"], replicas=5)  # The tests have two devices.
    *_, strategy, _, _ = trained.restore(evaluate.Flags(**run | {"train": train}, out=str(tmp_path)), "latest")
    assert strategy.num_replicas_in_sync == 2
    assert "--train.replicas=5: 2 devices here" in capsys.readouterr().out
