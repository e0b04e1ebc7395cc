"""TFLite files for MediaPipe's Tasks: what their metadata say, and what the stock Tasks see by them.

The Tasks run where mediapipe is installed, or where MEDIAPIPE_PYTHON names an interpreter that has it: it asks for
another OpenCV than this library, so that it is best in an environment of its own.
"""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import number_types
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

import tfrecog
from export import tflite, verify
from export.artifact import mediapipe, preprocess
from export.litert import convert, reader
from tests import photos as photos_of_cameras
from tests.export import commands, exported, flat, random_runs
from tfrecog.cli.errors import UserError

RECIPES = {"mask_rcnn": "64x96", "segmenter": "64x96", "classifier": ""}
SIZES = [(64, 96), (150, 90), (47, 201), (300, 410)]  # of photos; the first is the canvas of two of the models


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files by recipe, for MediaPipe or not, each made once."""
    made = {}

    def of(recipe, **flags):
        key = (recipe, *sorted(flags.items()))
        if key not in made:
            folder, printed = tmp_path_factory.mktemp(recipe), io.StringIO()
            change = exported.branches if recipe == "mask_rcnn" else lambda experiment: experiment
            flagfile = random_runs.make(recipe, folder, change)
            with contextlib.redirect_stdout(printed):
                commands.run(tflite, flagfile, out=folder / "model.tflite", size=RECIPES.get(recipe, "64x96"), **flags)
            made[key] = flagfile, folder / "model.tflite", printed.getvalue()
        return made[key]

    return of


def described(path):
    """The metadata of the one subgraph of a file."""
    model = convert.parsed(path.read_bytes())
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    return flat.child(flat.root(bytes(model.buffers[entry.buffer].data)), 3, 0)


def labels_of(path, tensor, kind):
    """The names of classes in the file that a tensor's metadata have for labels of a kind."""
    (name,) = [flat.text(one, 0) for one in flat.children(tensor, 6) if flat.number(one, 2) == kind]
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as files:
        return files.read(name).decode().splitlines()


def test_a_detector_has_one_input_and_four_outputs_by_the_names_that_the_task_looks_for(files):
    _, path, _ = files("mask_rcnn", **{"for": "mediapipe"})
    graph = described(path)
    assert [flat.text(one, 0) for one in flat.children(graph, 2)] == ["image"]
    tensors = {flat.text(one, 0): one for one in flat.children(graph, 3)}
    assert tensors.keys() == {"location", "category", "score", "number of detections"}
    content = flat.child(tensors["location"], 3)
    boxes = flat.child(content, 1)
    assert flat.number(content, 0) == 3  # BoundingBoxProperties
    assert (flat.number(boxes, 1), flat.number(boxes, 2)) == (1, 0)  # BOUNDARIES, RATIO
    assert flat.numbers(boxes, 0, number_types.Uint32Flags) == [1, 0, 3, 2]  # left, top, right, bottom
    assert labels_of(path, tensors["category"], 3) == list(random_runs.INFO.names)  # TENSOR_VALUE_LABELS
    outputs = reader.LiteModel(path).tensors[1]
    assert {np.dtype(one["dtype"]) for one in outputs.values()} == {np.dtype(np.float32)}


def test_a_segmenter_has_probabilities_of_four_dimensions_and_no_activation(files):
    _, path, _ = files("segmenter", **{"for": "mediapipe"})
    graph = described(path)
    (tensor,) = flat.children(graph, 3)
    assert labels_of(path, tensor, 2) == list(random_runs.INFO.names)  # TENSOR_AXIS_LABELS
    (own,) = flat.children(graph, 9)
    assert flat.text(own, 0) == "SEGMENTER_METADATA"
    data = bytes(flat.numbers(own, 1, number_types.Uint8Flags))
    assert data[4:8] == b"V001" and flat.number(flat.root(data), 0) == 0  # NONE
    ((name, output),) = reader.LiteModel(path).tensors[1].items()
    assert name == "probabilities" and output["shape"].tolist() == [1, 64, 96, 6]
    found = exported.run(path.read_bytes(), {"image": photo((64, 96))[None]})["probabilities"]
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert np.ptp(found) > 0.1


def test_a_label_map_is_marked_as_none_of_an_image_segmenters(files):
    """It would read rows as pixels and columns as classes; one with an unknown activation it refuses."""
    (own,) = flat.children(described(files("segmenter", fit="auto")[1]), 9)
    data = bytes(flat.numbers(own, 1, number_types.Uint8Flags))
    assert flat.text(own, 0) == "SEGMENTER_METADATA"
    assert data[4:8] == b"V001" and flat.number(flat.root(data), 0) not in (0, 1, 2)  # NONE, SIGMOID, SOFTMAX


def test_a_classifier_that_cuts_out_the_middle_names_a_file_that_is_not_there(files):
    """By which an ImageClassifier would calibrate the scores (ScoreCalibrationOptions and its file's type)."""
    marks = []
    for reader_of in ("", "mediapipe"):
        path = files("classifier", **{"for": reader_of})[1]
        (scores,) = flat.children(described(path), 3)
        (missing,) = [flat.text(one, 0) for one in flat.children(scores, 6) if flat.number(one, 2) == 4] or [""]
        with zipfile.ZipFile(path) as members:
            assert missing not in members.namelist() and "labels.txt" in members.namelist()
        marks.append(([flat.number(one, 0) for one in flat.children(scores, 4)], "--for=mediapipe" in missing))
    assert marks == [([2], True), ([], False)]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_file_is_as_its_checkpoint(files, recipe, tmp_path, capsys):
    """Of Mask R-CNN, that has keypoints too, in its boxes."""
    flagfile, path, _ = files(recipe, **{"for": "mediapipe"})
    for number, size in enumerate(SIZES):
        Image.fromarray(photo(size)).save(tmp_path / f"{number}.png")
    assert commands.run(verify, flagfile, artefact=path, images=tmp_path) == 0, capsys.readouterr().out
    result = tfrecog.load(path).predict(photo((90, 150)))
    if recipe == "mask_rcnn":
        assert len(result) > 1 and result.masks is None and result.keypoints is None
        assert set(result.names) <= set(random_runs.INFO.names)


def test_a_server_has_the_outputs_of_other_files(files):
    pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")
    from export.server import engines

    segmenter, detector = (engines.load(files(one, **{"for": "mediapipe"})[1]) for one in ("segmenter", "mask_rcnn"))
    assert segmenter.outputs.keys() == {"labels"} == segmenter.see(photo((90, 150))[None])["predicted"][0].keys()
    types = {name: kind.name for name, (kind, _) in detector.outputs.items()}
    assert types["detection_classes"] == types["num_detections"] == "int32" and "detection_masks" not in types


def test_what_no_task_reads_is_refused(tmp_path):
    flagfile = random_runs.make("fast_rcnn", tmp_path, exported.on_proposals)
    options = {"out": tmp_path / "model.tflite", "size": "64x96", "for": "mediapipe"}
    with pytest.raises(UserError, match="--for=mediapipe: this detector reads proposals"):
        commands.run(tflite, flagfile, **options)
    with pytest.raises(UserError, match=r"^for=mediapipe: this detector reads proposals"):
        tfrecog.load(tmp_path).export("tflite", tmp_path / "model.tflite", size="64x96", for_="mediapipe")
    with pytest.raises(UserError, match="--fit=pad: the Tasks of --for=mediapipe stretch"):
        commands.run(tflite, flagfile, fit="pad", **options)
    with pytest.raises(UserError, match="--max_images=5: is not read without --for=mediapipe"):
        commands.run(tflite, flagfile, **options | {"for": "", "max_images": 5})


def test_what_of_a_detector_is_left_out_is_said(files):
    *_, printed = files("mask_rcnn", **{"for": "mediapipe"})
    assert "An ObjectDetector reads boxes: the file has no masks and no keypoints" in printed
    assert "What stretching costs is not measured: no --data.records" in printed


def outputs(**changed):
    made = {
        "detection_boxes": np.float32([[[0.25, 0.5, 0.75, 1], [0, 0, 0, 0]]]),
        "detection_classes": np.float32([[2, 0]]),
        "detection_scores": np.float32([[0.9, 0]]),
        "num_detections": np.float32([1]),
    }
    return made | changed


def test_the_outputs_of_a_detector_as_those_of_other_files():
    found = mediapipe.as_ours(outputs(), (64, 96))
    np.testing.assert_array_equal(found["detection_boxes"][0, 0], [16, 48, 48, 96])
    np.testing.assert_array_equal(found["detection_classes"], [[3, 0]])
    assert found["detection_classes"].dtype == found["num_detections"].dtype == np.int32


@pytest.mark.parametrize("changed", [
    {"detection_classes": np.float32([[np.nan, 0]])}, {"detection_classes": np.float32([[0.5, 0]])},
    {"detection_classes": np.float32([[-1, 0]])}, {"num_detections": np.float32([np.inf])},
])  # fmt: skip
def test_classes_that_are_no_numbers_are_refused(changed):
    with pytest.raises(ValueError, match="has values that are no whole numbers from 0 on"):
        mediapipe.as_ours(outputs(**changed), (64, 96))


def test_a_pixel_without_probabilities_has_no_label():
    probabilities = np.float32([[[[0.2, 0.8], [0.5, 0.5], [np.nan, 1]]]])
    np.testing.assert_array_equal(mediapipe.as_ours({"probabilities": probabilities}, (1, 3))["labels"], [[[2, 1, 0]]])


def photo(size, seed=0):
    """Pixels uint8 [H, W, 3] of a size, with edges everywhere, of blocks that do not end at the same pixels."""
    blocks = np.random.default_rng(seed).integers(0, 256, [8, 12, 3]).astype(np.uint8)
    return np.array(Image.fromarray(blocks).resize(size[::-1], Image.Resampling.NEAREST))


# With the stock Tasks.


@pytest.fixture(scope="module")
def python():
    found = os.environ.get("MEDIAPIPE_PYTHON") or (importlib.util.find_spec("mediapipe") and sys.executable)
    if not found:
        pytest.skip("mediapipe is not installed here, nor does MEDIAPIPE_PYTHON name an interpreter that has it")
    return found


@pytest.fixture(scope="module")
def seen(python, tmp_path_factory):
    """A function of a Task, a file and pictures by name: what the Task finds, by the picture's name."""
    program, folder = Path(__file__).with_name("mediapipe_tasks.py"), tmp_path_factory.mktemp("tasks")

    def see(task, path, pictures, rotation=0):
        np.savez(folder / "in.npz", rotation=rotation, **pictures)
        command = [python, str(program), task, str(path), str(folder / "in.npz"), str(folder / "out.npz")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr
        return dict(np.load(folder / "out.npz"))

    return see


@pytest.fixture(scope="module")
def canvases(seen, tmp_path_factory):
    """A function of pictures by name: the very pixels [H, W, 3] that a Task sees of each, on a canvas of a size."""

    def of(size, pictures, rotation=0):
        spec = tf.TensorSpec([1, *size, 3], tf.uint8, "image")

        def given_back(image):
            return {"values": tf.reshape(tf.cast(image, tf.float32), [1, -1])}

        path = tmp_path_factory.mktemp("canvas") / "same.tflite"
        path.write_bytes(convert.convert(convert.Graph(given_back, [spec])))
        found = seen("embedder", path, pictures, rotation)
        return {name: found[f"{name}/values"].reshape(*size, 3).astype(np.uint8) for name in pictures}

    return of


def photos():
    return {f"photo{number}": photo(size, number) for number, size in enumerate(SIZES)}


def on_canvas(model, canvas, size):
    """What a file's `CanvasModel` finds on a canvas, of a photo of a size that lies on all of it."""
    placed = preprocess.Placed(canvas.astype(model.given["dtype"]), model.size, size)
    return model.run(model.inputs(placed)), placed


def check_detections(found, name, model, canvas, size):
    """The Task's boxes are ours in whole pixels, toward 0; where ours is all but whole, either may be."""
    outputs, placed = on_canvas(model, canvas, size)
    own = preprocess.detections(outputs, placed)
    names = np.array([model.metadata["classes"][label - 1]["name"] for label in own["labels"]])
    order, theirs = np.argsort(-own["scores"]), np.argsort(-found[f"{name}/scores"])
    assert found[f"{name}/names"][theirs].tolist() == names[order].tolist()
    np.testing.assert_allclose(found[f"{name}/scores"][theirs], own["scores"][order], atol=1e-4)
    boxes = own["boxes"][order].astype(float)
    expected = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    got = found[f"{name}/boxes"][theirs]
    got = np.concatenate([got[:, :2], got[:, 2:] - got[:, :2]], axis=1)
    clear = np.abs(expected - np.rint(expected)) > 1e-3
    np.testing.assert_array_equal(got[clear], np.floor(expected)[clear])
    assert np.abs(got - expected).max(initial=0) < 1 + 1e-3
    return len(names)


def test_the_stock_object_detector_has_our_detections(files, seen, canvases):
    _, path, _ = files("mask_rcnn", **{"for": "mediapipe"})
    found, seen_by_task = seen("detector", path, photos()), canvases((64, 96), photos())
    assert "error" not in found, found
    np.testing.assert_array_equal(seen_by_task["photo0"], photos()["photo0"])  # which has the size of the canvas
    model = reader.LiteModel(path)
    count = [check_detections(found, name, model, seen_by_task[name], one.shape[:2]) for name, one in photos().items()]
    assert min(count) > 0 and sum(count) > 8


def between(values, size):
    """Values [H, W, K] at so many rows and columns, bilinearly, corners on corners, as an ImageSegmenter reads them."""
    for axis, side in enumerate(size):
        places = np.linspace(0, values.shape[axis] - 1, side)
        low = np.minimum(places.astype(int), values.shape[axis] - 2)
        share = (places - low).reshape(-1, *[1] * (2 - axis))
        values = np.take(values, low, axis) * (1 - share) + np.take(values, low + 1, axis) * share
    return values


def test_the_stock_image_segmenter_has_our_label_map(files, seen, canvases):
    """On a photo of the canvas's size, and of another at its size, between the canvas's pixels."""
    _, path, _ = files("segmenter", **{"for": "mediapipe"})
    found, names = seen("segmenter", path, photos()), list(random_runs.INFO.names)
    assert "error" not in found, found
    assert found["labels"].tolist() == names
    own = tfrecog.load(path).predict(photos()["photo0"]).label_map
    assert len(np.unique(own)) > 1
    assert np.mean(found["photo0/category"] + 1 == own) >= 0.999
    assert found["photo0/confidence"].shape == (6, 64, 96)
    np.testing.assert_allclose(found["photo0/confidence"].sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found["photo0/confidence"].argmax(axis=0) + 1, own)
    for name, canvas in canvases((64, 96), photos()).items():
        (probabilities,) = exported.run(path.read_bytes(), {"image": canvas[None]})["probabilities"]
        category = found[f"{name}/category"]
        assert category.shape == photos()[name].shape[:2]
        assert np.mean(category == between(probabilities, category.shape).argmax(-1)) >= 0.999


def test_the_stock_image_classifier_names_our_best(files, seen, canvases):
    _, path, _ = files("classifier", **{"for": "mediapipe"})
    found, model = seen("classifier", path, photos()), reader.LiteModel(path)
    assert "error" not in found, found
    for name, canvas in canvases(model.size, photos()).items():
        outputs, _ = on_canvas(model, canvas, photos()[name].shape[:2])
        order = np.argsort(-outputs["scores"], kind="stable")
        np.testing.assert_array_equal(found[f"{name}/indices"], order)
        assert found[f"{name}/names"].tolist() == [random_runs.INFO.names[i] for i in order]
        np.testing.assert_allclose(found[f"{name}/scores"], outputs["scores"][order], atol=1e-4)


@pytest.mark.parametrize(("task", "recipe", "fit", "message"), [
    ("segmenter", "segmenter", "auto", "Invalid activation type found in CustomMetadata"),
    ("classifier", "classifier", "auto", "No associated file with name: a Task needs a file by export.tflite --for="),
    ("detector", "faster_rcnn", "stretch", "have type UINT8 or FLOAT32, found INT32"),
    pytest.param("detector", "faster_rcnn", "pad", "assumed to have a single input", marks=pytest.mark.long),
    pytest.param("detector", "mask_rcnn", "stretch", "single subgraph", marks=pytest.mark.long),
])  # fmt: skip
def test_a_file_that_a_task_would_misread_is_refused_by_it(files, seen, task, recipe, fit, message):
    assert message in str(seen(task, files(recipe, fit=fit)[1], photos()).get("error"))


def test_a_photo_that_exif_turns_is_upright_in_a_jpeg_file_and_otherwise_if_the_task_is_told(canvases, tmp_path):
    ramps, exif = np.mgrid[:120, :80], Image.Exif()
    exif[photos_of_cameras.ORIENTATION] = 6
    upright = np.stack([2 * ramps[0], 3 * ramps[1], 0 * ramps[0]], axis=-1).astype(np.uint8)
    stored = np.ascontiguousarray(photos_of_cameras.stored(upright, 6))
    files = {kind: tmp_path / f"a.{kind}" for kind in ("jpeg", "png")}
    for path in files.values():
        Image.fromarray(stored).save(path, exif=exif, **photos_of_cameras.KINDS["JPEG"])
    given = {kind: np.array(str(path)) for kind, path in files.items()}
    seen = canvases((64, 96), given | {"upright": upright, "stored": stored})
    seen = {name: canvas.astype(int) for name, canvas in seen.items()}
    assert np.ptp(seen["upright"]) > 200 and np.abs(seen["upright"] - seen["stored"]).max() > 100
    np.testing.assert_allclose(seen["jpeg"], seen["upright"], atol=3)
    np.testing.assert_array_equal(seen["png"], seen["stored"])
    # A Task reads pixels at the places of their corners, so that a turn moves them by one: by 3 levels at most.
    turned = canvases((64, 96), {"stored": stored}, rotation=90)["stored"].astype(int)
    np.testing.assert_allclose(turned, seen["upright"], atol=4)
