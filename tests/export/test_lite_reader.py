"""TFLite files in use: what they see, and which files are refused, in a sentence."""

import json
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pycocotools import mask as pycocotools

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export.litert import reader
from tests.export import commands, served_folders, stand_in
from tfrecog import predict
from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError
from tfrecog.inference import result_files
from tfrecog.runtime import cores

BOX = (160, 200, 400, 640)


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    return stand_in.red_finder(tmp_path_factory.mktemp("finder") / "model.tflite", (96, 128))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    return served_folders.save(path, served_folders.picture(720, 960, BOX))


def run(model, images, tmp_path, **options):
    """Runs the command; the rows of its results."""
    out = tmp_path / "seen"
    commands.run(predict, model=model, images=images, out=out, **options)
    (results,) = out.glob("*.json")
    return json.loads(results.read_text())


def test_detections_are_in_the_pixels_of_the_photo_and_masks_fill_their_boxes(finder, photo, tmp_path, capsys):
    """The canvas has 7.5 photo pixels in one of its own, so an edge is within 7.5 pixels of where it is."""
    rows = run(finder, photo, tmp_path, min_score=0.25)
    assert [(row["category_name"], row["category_id"]) for row in rows] == [("dog", 16), ("cat", 17)]
    x, y, width, height = rows[0]["bbox"]
    np.testing.assert_allclose([y, x, y + height, x + width], BOX, atol=7.5)
    assert rows[0]["file_name"] == str(photo) and rows[0]["score"] == pytest.approx(0.8)
    mask = pycocotools.decode(rows[0]["segmentation"])
    assert mask.shape == (720, 960)
    assert mask[int(y) + 8 : int(y + height) - 8, int(x) + 8 : int(x + width) - 8].all()
    assert mask.sum() == pytest.approx(width * height, rel=0.03)
    np.testing.assert_allclose(
        rows[0]["keypoints"], [x - 0.5, y + height - 0.5, 1, x + width - 0.5, y + height - 0.5, 1]
    )
    assert rows[0]["keypoint_scores"] == [5, -5]
    assert "2 detections: 1 dog (80%), 1 cat (30%)" in capsys.readouterr().out
    assert Image.open(tmp_path / "seen" / "a.jpg").size == (960, 720)


def test_detections_with_low_scores_are_left_out(finder, photo, tmp_path):
    assert [row["category_name"] for row in run(finder, photo, tmp_path)] == ["dog"]


def test_a_photo_is_turned_upright_first(finder, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # It is to be turned by a quarter, clockwise.
    path = tmp_path / "turned.jpg"
    served_folders.save(path, served_folders.picture(720, 960, BOX), exif=exif, quality=95)
    x, y, width, height = run(finder, path, tmp_path)[0]["bbox"]
    # Row r becomes column 720 - r, and columns become rows.
    np.testing.assert_allclose([x, y, x + width, y + height], [720 - 400, 200, 720 - 160, 640], atol=10.5)


def test_a_photo_of_12_bits_is_seen_by_the_range_in_the_metadata(tmp_path):
    """By the upper 8 of 16 bits red would be 13 of 255, and nothing would be found."""
    model = stand_in.red_finder(tmp_path / "model.tflite", (96, 128), pixel_ranges={"uint16": [0, 4095]})
    pixels = served_folders.picture(720, 960, BOX).astype(np.uint16) * 16
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    x, y, width, height = run(model, tmp_path / "a.png", tmp_path)[0]["bbox"]
    np.testing.assert_allclose([y, x, y + height, x + width], BOX, atol=7.5)


def test_a_broken_image_is_named_and_does_not_stop_the_rest(finder, photo, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(photo.read_bytes())
    (folder / "b.png").write_bytes(photo.read_bytes()[:1000])
    rows = run(finder, folder, tmp_path)
    assert {row["file_name"] for row in rows} == {str(folder / "a.png")}
    printed = capsys.readouterr()
    assert "1 of 2 images" in printed.out and "not read: " in printed.err and "b.png" in printed.err
    (folder / "a.png").unlink()
    with pytest.raises(UserError, match="not one of 1 files could be read"):
        run(finder, folder, tmp_path)


@pytest.mark.parametrize("resize", ["bilinear", "pillow"])
def test_a_classifier_sees_the_middle_and_names_the_best(tmp_path, resize):
    """Blue sides are cut off: of the middle, which is 40 of 100 pixels wide, three quarters are red."""
    pixels = np.full([40, 100, 3], (0, 0, 255), np.uint8)
    pixels[:30, 30:70], pixels[30:, 30:70] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    model = stand_in.colours(tmp_path / "model.tflite", 32, 32, resize)
    (row,) = run(model, tmp_path / "a.png", tmp_path)
    assert [one["category_name"] for one in row["classes"]] == ["red", "green", "blue"]
    assert row["classes"][0]["probability"] == pytest.approx(0.75, abs=0.02)
    assert row["classes"][2]["probability"] == pytest.approx(0, abs=0.02)
    assert (tmp_path / "seen" / "a.jpg").is_file()


def test_a_segmenters_label_map_is_as_large_as_the_photo(tmp_path):
    pixels = np.zeros([60, 80, 3], np.uint8)
    pixels[:, 40:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    report = run(stand_in.grays(tmp_path / "model.tflite", (20, 40)), tmp_path / "a.png", tmp_path)
    (row,) = report["images"]
    with Image.open(tmp_path / "seen" / row["label_map"]) as saved:
        labels = np.asarray(saved)
    np.testing.assert_array_equal(labels, np.where(pixels[..., 0] > 127, 16, 17))  # ids of the source
    assert {one["category_name"]: one["share"] for one in row["classes"]} == {"cat": 0.5, "dog": 0.5}
    assert row["label_map"] == f"{result_files.LABEL_MAPS}/a.png"


def test_all_cores_work_where_nothing_else_is_given(finder):
    assert reader.LiteModel(finder).threads == cores.usable()


def test_what_runs_files_is_named_where_it_is_missing(finder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match=r"pip install ai-edge-litert \(.*'tfrecog\[tflite\]'\)"):
        reader.LiteModel(finder)


@pytest.mark.parametrize("change, message", [
    (lambda content: b"not a model at all", "is not a TFLite file"),
    (lambda content: content[: content.rindex(b"PK\3\4")], "is a TFLite file without tfrecog.json"),
    (lambda content: content[:-10], "is truncated"),
])  # fmt: skip
def test_files_that_are_no_models_of_ours_are_refused_with_a_sentence(finder, tmp_path, change, message):
    path = tmp_path / "other.tflite"
    path.write_bytes(change(finder.read_bytes()))
    with pytest.raises(UserError, match=message):
        reader.LiteModel(path)
    with pytest.raises(UserError, match="is a folder"):
        reader.LiteModel(tmp_path)


def test_one_flipped_bit_of_a_sealed_file_is_named(finder, tmp_path):
    path, sealed = tmp_path / "a.tflite", checksums.seal(finder.read_bytes())
    path.write_bytes(sealed)
    assert reader.LiteModel(path).size == reader.LiteModel(finder).size
    for place in (8, len(sealed) // 2, len(sealed) - 100, len(sealed) - 66, len(sealed) - 1):
        content = bytearray(sealed)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(UserError, match="is damaged, or was changed: its SHA-256 is not the one"):
            reader.LiteModel(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change, message", [
    ({"classes": [{"id": 1, "name": "cat"}]}, "it found the class 2, and its tfrecog.json has 1"),
    ({"task": "classification"}, "is a model for classification, says its tfrecog.json, and lacks the outputs scores"),
    ({"task": "segmentation"}, "lacks the outputs labels"),
    ({"tflite": {"quantize": "none", "input": {"dtype": "uint8", "size": [9, 9], "fit": "pad"}}}, ".1, 9, 9"),
    ({"tflite": {"quantize": "none", "input": {"dtype": "uint8", "size": "9x9", "fit": "pad"}}}, r"size is \"9x9\""),
    ({"tflite": {"quantize": "none"}}, r"tflite\.input is missing"),
    ({"flags": "--nonsense=1"}, "--nonsense is not a flag"),
])  # fmt: skip
def test_metadata_that_do_not_fit_the_file_are_refused_with_a_sentence(finder, tmp_path, change, message):
    path = tmp_path / "a.tflite"
    path.write_bytes(finder.read_bytes())
    with zipfile.ZipFile(path, "a") as files:
        files.writestr("tfrecog.json", json.dumps(reader.LiteModel.read_metadata(finder) | change))
    picture = np.zeros([40, 60, 3], np.uint8)
    picture[10:20, 10:30, 0] = 220
    with pytest.raises(UserError, match=message):
        reader.LiteModel(path).predict(picture)


def test_an_operation_that_is_no_builtin_is_named(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.call = tf.function(
        lambda image: {"scores": tf.image.crop_and_resize(image, [[0.0, 0, 1, 1]], [0], [2, 2])[..., 0]},
        input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.float32, "image")],
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.call})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    path = tmp_path / "flex.tflite"
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as files:
        files.writestr("tfrecog.json", json.dumps(stand_in.metadata("classification", (8, 8), "middle", "float32", 8)))
    with pytest.raises(UserError, match="not a builtin of TensorFlow Lite"):
        reader.LiteModel(path)
