"""A photo that a camera wrote turned is one picture everywhere: in records, in prediction and at the server."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf

from export.server import pictures
from pipelines import coco, imagenet, objects, voc
from tests import photos
from tests.pipelines import small_voc
from tfrecog.data import image
from tfrecog.data.split import Split
from tfrecog.inference import image_files

CASES = [f"{kind.lower()}_{orientation}" for kind, orientation in itertools.product(photos.KINDS, range(1, 9))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """cat/KIND_ORIENTATION.EXTENSION of each kind of file and orientation, and an ox; upright they are one picture."""
    root = tmp_path_factory.mktemp("photos")
    for name in ("cat", "ox"):
        (root / name).mkdir()
    for case in CASES:
        kind, orientation = case.split("_")
        pixels = photos.stored(photos.upright(), int(orientation))
        content = photos.file(pixels, kind.upper(), int(orientation))
        (root / "cat" / f"{case}.{kind}").write_bytes(content)
    (root / "ox" / "1.png").write_bytes(photos.file(photos.upright()))
    return root


def _coco(folder, out, box, **flags):
    """A build from COCO JSON without sizes; `box` is that of the object in the file of an orientation."""
    tree = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    for number, path in enumerate(sorted((folder / "cat").iterdir()), 1):
        y1, x1, y2, x2 = map(int, box(int(path.stem.split("_")[1])))
        tree["images"].append({"id": number, "file_name": path.name})
        sides = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": 96, "iscrowd": 0}
        tree["annotations"].append({"id": number, "image_id": number, "category_id": 1, **sides})
    out.mkdir()
    (out / "a.json").write_text(json.dumps(tree))
    named = {"images": str(folder / "cat"), "annotations": str(out / "a.json"), "masks": False}
    coco.build(coco.Coco(out=str(out), split="train", jobs=1, **named, **flags))


def _voc(folder, out):
    out.mkdir()
    y1, x1, y2, x2 = photos.BOX
    for path in (folder / "cat").iterdir():
        body = small_voc.an_object(box=(y1 + 1, x1 + 1, y2, x2))
        (out / f"{path.stem}.xml").write_text(small_voc.element("annotation", body))
    named = {"images": str(folder / "cat"), "annotations": str(out)}
    voc.build(voc.Voc(out=str(out), split="train", jobs=1, **named))


def _yolo(folder, out):
    (out / "labels").mkdir(parents=True)
    (out / "classes.txt").write_text("cat\n")
    y1, x1, y2, x2 = photos.BOX
    centre = (x1 + x2) / 2 / photos.WIDTH, (y1 + y2) / 2 / photos.HEIGHT
    line = " ".join(map(str, (0, *centre, (x2 - x1) / photos.WIDTH, (y2 - y1) / photos.HEIGHT)))
    for path in (folder / "cat").iterdir():
        (out / "labels" / f"{path.stem}.txt").write_text(line)
    named = {"images": str(folder / "cat"), "annotations": str(out / "labels"), "classes": str(out / "classes.txt")}
    objects.build(objects.Objects(format="yolo", out=str(out), split="train", jobs=1, **named))


def _classes(folder, out):
    imagenet.build(imagenet.Imagenet(images=str(folder), out=str(out), split="train", jobs=1))


def _records(out):
    split = Split.open(out, "train")
    return [split.truth(row) for row in range(len(split))]


BUILD = {"COCO": lambda *paths: _coco(*paths, lambda _: photos.BOX), "VOC": _voc, "YOLO": _yolo, "folders": _classes}


@pytest.mark.parametrize("source", BUILD)
def test_the_pixels_of_records_are_those_that_prediction_sees_and_the_boxes_lie_on_the_objects(
    source, folder, tmp_path
):
    out = tmp_path / "out"
    BUILD[source](folder, out)
    records = {record.filename.split("/")[-1]: record for record in _records(out)}
    for path in sorted((folder / "cat").iterdir()):
        record, seen = records[path.name], image_files.load(path)
        np.testing.assert_array_equal(image.decode(record.encoded), seen, path.name)
        assert np.abs(seen.astype(int) - photos.upright()).max() <= 12, path.name  # what a JPEG loses
        if source != "folders":
            np.testing.assert_allclose(record.boxes, [photos.BOX], atol=1e-5, err_msg=path.name)


def test_a_file_annotated_as_it_is_stored_keeps_its_pixels_and_its_boxes(folder, tmp_path):
    _coco(folder, tmp_path / "out", photos.box_in_file, orientation="file")
    for record in _records(tmp_path / "out"):
        y1, x1, y2, x2 = record.boxes[0].astype(int)
        red = photos.is_red(image.decode(record.encoded).numpy())
        assert red[y1:y2, x1:x2].all() and red.sum() == (y2 - y1) * (x2 - x1), record.filename


@pytest.mark.parametrize("case", CASES)
def test_a_server_sees_what_prediction_sees(case, folder):
    path = folder / "cat" / f"{case}.{case.split('_')[0]}"
    seen = pictures.of("the body", path.read_bytes(), 1).decode()
    np.testing.assert_array_equal(seen, image_files.load(path))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_decoder_of_an_exported_graph_leaves_a_photo_as_the_file_stores_it(kind, orientation):
    """TensorFlow knows no EXIF; docs/serving.md says so."""
    pixels = photos.stored(photos.upright(), orientation)
    decoded = tf.function(image.decode)(photos.file(pixels, kind, orientation)).numpy()
    assert decoded.shape == pixels.shape
    assert np.abs(decoded.astype(int) - pixels).max() <= 12
