"""Records and detections as annotations of tools, which the pipelines read again: what comes back is what was there."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines import coco, extract, objects
from tests.folders import REPOSITORY
from tests.pipelines.written import write
from tfrecog import predict, tasks
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import DetectorConfig
from tfrecog.data import info, records
from tfrecog.drawing.annotations import MIN_KEYPOINT_SCORE
from tfrecog.inference.annotations import Annotations
from tfrecog.inference.result_files import DETECTIONS, Detections
from tfrecog.ops import coco_format, rle
from tfrecog.runs import checkpoints

JOINTS = ("nose", "left_eye", "right_eye")
DATASET = info.DatasetInfo((info.Category("dog", 3), info.Category("cat", 17)), {})
MASKS, POSE = {"masks": True}, {"keypoints": JOINTS, "flip_pairs": ((1, 2),)}
KINDS = {"boxes": {}, "masks": MASKS, "pose": POSE, "masks and pose": MASKS | POSE}
FORMATS = ("coco", "yolo", "labelme")


def masks_of(height, width):
    """Run lengths of a mask with a hole, one of two parts, and noise."""
    hole, parts = np.zeros((2, height, width), bool)
    hole[2:15, 3:18], hole[5:9, 6:12] = True, False
    parts[0:4, 0:5], parts[height - 6 :, width - 7 :] = True, True
    noise = np.random.default_rng(1).random((height, width)) < 0.4
    noise[:, width - 9 :] = False
    return [rle.encode(mask) for mask in (hole, parts, noise)]


def record_of(name, height, width, facts=(), count=3, **more):
    rng, file = np.random.default_rng(height), io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(file, "PNG")
    starts = rng.uniform(0, (height - 20, width - 20), (count, 2))
    boxes = np.concatenate([starts, starts + rng.uniform(5, 19, (count, 2))], axis=1).astype(np.float32)
    labels = 1 + np.arange(count) % 2
    names, areas = [DATASET.names[label - 1] for label in labels], np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    if "keypoints" in facts:
        places = rng.uniform(1, (height - 1, width - 1), (count, 3, 2))
        points = np.concatenate([places, np.resize([2, 1, 0], (count, 3, 1))], axis=2)
        more["keypoints"] = np.where(points[..., 2:] > 0, points, 0).astype(np.float32)
    if "masks" in facts:
        more["masks"] = masks_of(height, width)[:count]
    more = {"crowd": np.zeros(count, bool), "ids": np.arange(count)} | more
    return records.Record(file.getvalue(), "png", height, width, name, name, boxes, labels, names, areas=areas, **more)


def read_again(form, files, out, split="train"):
    """Builds records of what `extract` wrote; returns the result."""
    flags = {"out": str(out), "split": split, "jobs": 1}
    if form == "coco":
        return coco.build(coco.Coco(images=str(files), annotations=str(files / "instances.json"), **flags))
    if form == "yolo":
        return objects.build(objects.Objects(format="yolo", annotations=str(files / "data.yaml"), **flags))
    joints = JOINTS if any("nose" in path.read_text() for path in files.rglob("*.json")) else ()
    flags |= {"annotations": str(files), "classes": str(files / "classes.txt"), "keypoints": joints}
    return objects.build(objects.Objects(format="labelme", **flags))


def paired(before, after):
    """The rows of `after` whose boxes are nearest to those of `before`."""
    if not len(before.boxes):
        return np.zeros(0, int)
    nearest = np.abs(before.boxes[:, None] - after.boxes).max(axis=2).argmin(axis=1)
    assert sorted(nearest) == [*range(len(after.boxes))]
    return nearest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS)
def test_records_come_back(tmp_path, read_all, capsys, form, kind):
    facts = KINDS[kind]
    made = [record_of("a.png", 40, 60, facts), record_of("b.png", 71, 53, facts), record_of("c.png", 30, 30, facts, 0)]
    folder, files = write(tmp_path / "a", replace(DATASET, **facts), made), tmp_path / "files"
    assert extract.extract(folder, "train", str(files), kind=form) == 3
    assert {one.kind for one in read_again(form, files, tmp_path / "b").problems} <= {"no masks"}
    there = info.load(tmp_path / "b")
    assert there.names == DATASET.names and there.keypoints == facts.get("keypoints", ())
    assert there.flip_pairs == facts.get("flip_pairs", ())
    said, again = capsys.readouterr().err, {one.filename: one for one in read_all(tmp_path / "b", "train")}
    for before in read_all(tmp_path / "a", "train"):
        after = again[before.filename]
        assert after.encoded == before.encoded and len(after.boxes) == len(before.boxes)
        if form == "yolo" and kind == "masks":
            before.boxes = np.array([rle.box(runs, before.height) for runs in before.masks]).reshape(-1, 4)
            assert "boxes that are not those around their masks (6)" in said
        rows = paired(before, after)
        np.testing.assert_allclose(after.boxes[rows], before.boxes, atol=1e-3)
        assert [after.names[row] for row in rows] == before.names
        if form == "yolo" and kind == "masks and pose":
            assert "masks beside keypoints (6)" in said and after.masks is None
        elif "masks" in facts:
            for runs, row in zip(before.masks, rows, strict=True):
                np.testing.assert_array_equal(after.masks[row], runs)
        if "keypoints" in facts:
            np.testing.assert_allclose(after.keypoints[rows], before.keypoints, atol=1e-3)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("yolo", "crowds, left out (1); marks of difficult objects (1); objects without a mask, which get"),
        ("labelme", "crowds, left out (1); marks of difficult objects (1)"),
        ("coco", ""),
    ],
)
def test_what_a_format_cannot_hold_is_said_with_its_count(tmp_path, capsys, form, said):
    marks = {"crowd": np.array([True, False, False]), "difficult": np.array([True, True, False])}
    one = record_of("a.png", 40, 60, MASKS, **marks)
    one.masks[1] = np.array([40 * 60])
    folder = write(tmp_path / "a", replace(DATASET, **MASKS, difficult=True), [one])
    extract.extract(folder, "train", str(tmp_path / "files"), kind=form)
    printed = capsys.readouterr().err
    assert f"--format={form} cannot hold: {said}" in printed if said else "cannot hold" not in printed


@pytest.mark.parametrize("form", ("yolo", "labelme"))
def test_images_keep_their_own_annotations_whatever_they_are_called(tmp_path, read_all, form):
    """YOLO's folders have a classes.txt that is no label file, and a.png and a.jpg would have one annotation file."""
    made = [record_of(name, 40 + k, 60) for k, name in enumerate(("classes.png", "a.png", "A.jpg", "notes.png"))]
    folder = write(tmp_path / "a", DATASET, made)
    extract.extract(folder, "train", str(tmp_path / "files"), kind=form)
    read_again(form, tmp_path / "files", tmp_path / "b")
    again = {one.encoded: one for one in read_all(tmp_path / "b", "train")}
    assert len(again) == 4
    for before in made:
        after = again[before.encoded]
        np.testing.assert_allclose(after.boxes[paired(before, after)], before.boxes, atol=1e-3)


def test_a_keypoint_at_the_border_is_a_fraction_that_yolo_accepts(tmp_path, capsys):
    one = record_of("a.png", 40, 60, POSE)
    one.keypoints[0, 0] = 0.1, 30, 2
    extract.extract(write(tmp_path / "a", replace(DATASET, **POSE), [one]), "train", str(tmp_path), kind="yolo")
    numbers = np.loadtxt(tmp_path / "labels/a.txt", ndmin=2)[:, 1:]
    assert numbers[:, :4].min() >= 0 and numbers[:, 5::3].min() >= 0
    assert "keypoints at the border, moved by half a pixel at most (1)" in capsys.readouterr().err


def test_classes_of_images_and_label_maps_have_no_objects_to_write(tmp_path):
    one = record_of("a.png", 40, 60, count=0, label=1, class_name="dog")
    folder = write(tmp_path / "a", replace(DATASET, image_labels=True), [one])
    with pytest.raises(UserError, match=r"--format=yolo is for objects, and .* has a class for each image"):
        extract.extract(folder, "train", str(tmp_path / "files"), kind="yolo")


def found_in(record):
    """Detections that are the objects of a record; keypoints have a high score where visible, a low one where not."""
    outputs = {"boxes": record.boxes, "labels": record.labels, "scores": np.array([0.9, 0.8, 0.7], np.float32)}
    if record.masks is not None:
        outputs["masks"] = record.masks
    if record.keypoints is not None:
        scores = np.where(record.keypoints[..., 2:] == 2, 1, -1) + MIN_KEYPOINT_SCORE
        outputs["keypoints"] = np.concatenate([record.keypoints[..., :2], scores], axis=2)
    return Detections.of(outputs, (record.height, record.width))


def read_predictions(form, photo, seen, out):
    flags = {"images": str(photo.parent), "out": str(out), "split": "train", "jobs": 1}
    if form == "coco":
        coco.build(coco.Coco(annotations=str(seen / "instances.json"), **flags))
    elif form == "yolo":
        shutil.copytree(photo.parent, seen / "yolo/images")
        flags["images"] = ""
        objects.build(objects.Objects(format=form, annotations=str(seen / "yolo/data.yaml"), **flags))
    else:
        named = json.loads((seen / "labelme/a.json").read_text())["imagePath"]
        assert (seen / "labelme" / named).samefile(photo)
        flags |= {"annotations": str(seen / "labelme"), "keypoints": JOINTS}
        objects.build(objects.Objects(format=form, **flags))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS)
def test_predictions_come_back(tmp_path, read_all, form, kind):
    """Of a detector that may find less than its data set has."""
    record = record_of("a.png", 40, 60, KINDS[kind])
    if record.keypoints is not None:  # Detections have all of them.
        record.keypoints[:, 2] = [20, 30, 1]
    photo = tmp_path / "photos" / "a.png"
    photo.parent.mkdir()
    photo.write_bytes(record.encoded)
    also, images = Annotations(form, [photo], tmp_path / "seen"), [(0, None, found_in(record))]
    detector = DetectorConfig(masks="masks" in KINDS[kind], keypoints="keypoints" in KINDS[kind])
    assert [*also.written(images, replace(DATASET, **MASKS, **POSE), detector)] == images
    if form == "coco":
        tree = json.loads((tmp_path / "seen/instances.json").read_text())
        assert [one["score"] for one in tree["annotations"]] == pytest.approx([0.9, 0.8, 0.7])
    read_predictions(form, photo, tmp_path / "seen", tmp_path / "b")
    (after,) = read_all(tmp_path / "b", "train")
    if form == "yolo" and kind == "masks":
        record.boxes = np.array([rle.box(runs, 40) for runs in record.masks])
    rows = paired(record, after)
    np.testing.assert_allclose(after.boxes[rows], record.boxes, atol=1e-3)
    assert [after.names[row] for row in rows] == record.names
    assert detector.masks or after.masks is None, "only what the detector finds"
    assert detector.keypoints or after.keypoints is None or not after.keypoints.any()
    if detector.masks and not (form == "yolo" and detector.keypoints):
        for runs, row in zip(record.masks, rows, strict=True):
            np.testing.assert_array_equal(after.masks[row], runs)
    if detector.keypoints:
        np.testing.assert_allclose(after.keypoints[rows], record.keypoints, atol=1e-3)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The flags of a run of a small Faster R-CNN, which nobody has trained."""
    workdir, recipe = tmp_path_factory.mktemp("run"), REPOSITORY / "configs/smoke/faster_rcnn.flags"
    given = flags.change(predict.Flags(), [f"--flagfile={recipe}", f"--workdir={workdir}", "--min_score=0.2"])
    checkpoints.save(workdir, 0, tasks.build(given, DATASET).build(), None, keep=1)
    info.save(workdir, DATASET)
    return given


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_writes_what_it_finds_as_annotations_that_are_read_again(
    tmp_path, read_all, capsys, detector, form
):
    photo, seen = tmp_path / "photos/a.png", tmp_path / "seen"
    photo.parent.mkdir()
    photo.write_bytes(record_of("a.png", 80, 120).encoded)
    predict.main(replace(detector, images=(str(photo.parent),), out=str(seen), format=form))
    assert f"in the format {form} are in {seen if form == 'coco' else seen / form}" in capsys.readouterr().out
    read_predictions(form, photo, seen, tmp_path / "b")
    (after,) = read_all(tmp_path / "b", "train")
    found = json.loads((seen / DETECTIONS).read_text())
    names = {category.id: category.name for category in DATASET.categories}
    expected = [(names[one["category_id"]], coco_format.from_xywh(one["bbox"])[0].tolist()) for one in found]
    read = sorted(zip(after.names, after.boxes.tolist(), strict=True))
    assert len(read) > 3 and [name for name, _ in read] == [name for name, _ in sorted(expected)]
    np.testing.assert_allclose([box for _, box in read], [box for _, box in sorted(expected)], atol=1e-2)


def test_photos_that_would_share_an_annotation_file_are_named(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "a.jpg"]
    with pytest.raises(UserError, match=r"--format=yolo: a\.png and a\.jpg would have one annotation file; rename one"):
        Annotations("yolo", paths, tmp_path / "seen")
