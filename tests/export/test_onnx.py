"""ONNX files: what is in them, what ONNX Runtime makes of them, and which files are refused, in a sentence."""

import json
import re
import sys

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")

import onnx

import tfrecog
from export import onnx as command
from export.litert import convert as lite_convert
from export.litert import graph as lite_graph
from export.onnx_files import convert, reader
from tests.export import commands, random_runs, served_folders, stand_in
from tests.folders import REPOSITORY
from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError

BOX = (160, 200, 400, 640)


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """The ONNX file of a detector of what is red."""
    return stand_in.onnx(stand_in.red_finder(tmp_path_factory.mktemp("finder") / "model.tflite", (96, 128)))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The flagfile of a classifier's run, and its ONNX file."""
    folder = tmp_path_factory.mktemp("digits")
    flagfile = random_runs.make("classifier_digits", folder)
    assert commands.run(command, flagfile, out=folder / "model.onnx") == 0
    return flagfile, folder / "model.onnx"


def test_the_end_of_a_name_may_be_in_capitals(finder, tmp_path):
    path = tmp_path / "MODEL.ONNX"
    path.write_bytes(finder.read_bytes())
    assert tfrecog.load(path).names == ("cat", "dog")


def test_detections_are_in_the_pixels_of_the_photo(finder):
    """The canvas has 7.5 photo pixels in one of its own, so an edge is within 7.5 pixels of where it is."""
    model = tfrecog.load(finder, min_score=0.1, threads=1)
    found = model.predict(served_folders.picture(720, 960, BOX))
    assert found.names == ["dog", "cat"] and found.masks.shape == (2, 720, 960)
    np.testing.assert_allclose(found.boxes[0], BOX, atol=7.5)
    np.testing.assert_allclose(found.scores, [0.8, 0.3], atol=1e-6)
    _, x1, y2, x2 = found.boxes[0]
    np.testing.assert_allclose(found.keypoints[0], [[y2, x1, 5], [y2, x2, -5]])


def test_the_page_of_onnx_shows_how_to_do_without_this_library(finder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(finder.read_bytes())
    served_folders.save(tmp_path / "photo.jpg", served_folders.picture(720, 960, BOX), quality=95)
    _, code = re.findall(r"^```py\n(.*?)^```$", (REPOSITORY / "docs/onnx.md").read_text(), re.MULTILINE | re.DOTALL)
    exec(code, {})
    (ours,) = tfrecog.load("model.onnx").predict("photo.jpg").boxes
    name, score, box = capsys.readouterr().out.split(maxsplit=2)
    assert (name, float(score)) == ("dog", pytest.approx(0.8))
    np.testing.assert_allclose(np.fromstring(box.strip("[]\n"), sep=" "), ours, atol=1e-3)


def test_a_file_has_our_names_standard_operations_and_the_metadata(digits):
    _, path = digits
    model = onnx.load(path)
    assert [tensor.name for tensor in (*model.graph.input, *model.graph.output)] == ["image", "scores"]
    assert [(one.domain, one.version) for one in model.opset_import] == [("", convert.OPSET)]
    assert {node.domain for node in model.graph.node} == {""} and not model.functions
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert [*entries] == ["tfrecog.json", "labels.txt", "sha256"]
    assert entries["labels.txt"].splitlines()[0] == "thing 1"
    given = json.loads(entries["tfrecog.json"])["onnx"]["input"]
    assert given == {"dtype": "uint8", "size": [28, 28], "fit": "middle", "short_side": 28}


def test_another_runtime_has_the_same_scores(digits):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    image = np.random.default_rng(0).integers(0, 256, [1, 28, 28, 3]).astype(np.uint8)
    other = openvino.Core().compile_model(digits[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"image": image})[
        "scores"
    ]
    np.testing.assert_allclose(other, reader.OnnxModel(digits[1]).run({"image": image})["scores"][None], atol=1e-5)


@pytest.mark.parametrize(("options", "message"), [
    ({}, "exists: choose another file, or give --overwrite"),
    ({"out": "{folder}", "overwrite": True}, "is a folder; name a file"),
    ({"out": "{folder}/a.tflite"}, r"does not end in \.onnx; give --out=.*/a\.tflite\.onnx$"),
    ({"out": "{folder}/a.onnx", "size": "32x32"}, "the fully connected layers of lenet_modern fix it"),
])  # fmt: skip
def test_what_cannot_be_exported_is_refused_with_what_to_do(digits, options, message):
    flagfile, path = digits
    before = path.read_bytes()
    options = {name: value.format(folder=path.parent) if name == "out" else value for name, value in options.items()}
    with pytest.raises(UserError, match=message):
        commands.run(command, flagfile, **{"out": path} | options)
    assert path.read_bytes() == before and not (path.parent / "a.onnx").exists()


def test_what_onnx_has_no_operation_for_is_named():
    def call(image):
        return {"scores": tf.bitcast(tf.cast(image[..., 0], tf.float32), tf.int32)}

    lite = lite_convert.convert(lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")]))
    with pytest.raises(UserError, match="No Op registered for TFL_BITCAST"):
        convert.convert(lite, stand_in.metadata("classification", (4, 4)))


def test_what_runs_files_is_named_where_it_is_missing(finder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install onnxruntime \(to export them, too: 'tfrecog\[onnx\]'\)"):
        tfrecog.load(finder)


def test_one_flipped_bit_is_named(finder, tmp_path):
    path, sealed = tmp_path / "a.onnx", finder.read_bytes()
    for place in (8, len(sealed) // 2, len(sealed) - 100, len(sealed) - 66, len(sealed) - 1):
        content = bytearray(sealed)
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(UserError, match="is damaged, or was changed: its SHA-256 is not the one"):
            tfrecog.load(path)


def elsewhere(model):
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")


def located(model):
    (next(node for node in model.graph.node if node.attribute).attribute.add(name="x").t).data_location = 1


def strange(model):
    """In a branch of a branch."""
    inner = model.graph.node.add(op_type="If").attribute.add(name="then_branch").g
    inner.node.add(op_type="If").attribute.add(name="a").graphs.add().node.add(op_type="PyOp", domain="ai.contrib")


def mapped(model):
    """An input of a type that is no tensor."""
    one = model.graph.input.add(name="more").type.map_type
    one.key_type = onnx.TensorProto.INT64
    one.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def summed(name):
    """An output is the sum of what it was."""

    def change(model):
        for node in model.graph.node:
            node.output[:] = [f"{name}_before" if own == name else own for own in node.output]
        model.graph.node.add(op_type="ReduceSum", input=[f"{name}_before"], output=[name]).attribute.add(
            name="keepdims", type=onnx.AttributeProto.INT, i=0
        )
        (output,) = (one for one in model.graph.output if one.name == name)
        output.type.tensor_type.ClearField("shape")

    return change


def described(**changes):
    def change(model):
        (entry,) = (entry for entry in model.metadata_props if entry.key == "tfrecog.json")
        entry.value = json.dumps(json.loads(entry.value) | changes)

    return change


GIVEN = {"dtype": "uint8", "size": [96, 128], "fit": "pad"}


@pytest.mark.parametrize(("change", "message"), [
    (elsewhere, "keeps tensors in other files"),
    (located, "keeps tensors in other files"),
    (strange, "has PyOp of the domain ai.contrib, which is not ONNX's own"),
    (lambda model: model.opset_import.add(domain="com.microsoft", version=1), "operations of the domain com.microsoft"),
    (lambda model: model.functions.add(name="f"), "has functions of its own"),
    (lambda model: model.ClearField("graph"), "it has no graph"),
    (lambda model: model.ClearField("metadata_props"), "is an ONNX file without tfrecog.json"),
    (lambda model: model.graph.node[0].ClearField("input"), "cannot be loaded by ONNX Runtime"),
    (lambda model: model.graph.initializer[0].dims.append(2**40), "cannot be loaded by ONNX Runtime"),
    (lambda model: model.graph.input[1].type.tensor_type.shape.dim[0].Clear(), "its input size is int32 "),
    (lambda model: [model.graph.node.add() for _ in range(300_001)], "has more than 300,000 nodes"),
    (mapped, "its input more is object"),
    (summed("detection_scores"), r"its output detection_scores is float32 \[\], not \[1, D\]"),
    (described(classes={}), r"classes is {...} \(an object\), not a list"),
    (described(format=2), "has format 2, and this version reads 1"),
    (described(onnx={}), "onnx.input is missing"),
    (described(onnx={"input": GIVEN | {"size": [96, 160]}}), r"image is uint8 \[1, 96, 128, 3\], and .* 160, 3"),
    (described(onnx={"input": GIVEN | {"size": [2**20, 160]}}), "between 1 and 16384"),
    (described(classes=[{"id": 1, "name": "cat"}]), "it found the class 2, and its tfrecog.json has 1"),
    (described(task="segmentation"), "lacks the outputs labels"),
    (described(flags="--flagfile=/etc/passwd"), "its flags name a flagfile"),
    (described(note="a" * 2**24), "is too large to be one"),
])  # fmt: skip
def test_a_file_that_could_do_harm_or_contradicts_itself_is_refused(finder, tmp_path, change, message):
    model = onnx.load(finder)
    del model.metadata_props[-1]  # the SHA-256
    change(model)
    path = tmp_path / "a.onnx"
    path.write_bytes(checksums.seal_onnx(model.SerializeToString()))
    with pytest.raises(UserError, match=f"{re.escape(str(path))}.*{message}"):
        tfrecog.load(path).predict(served_folders.picture(72, 96, (16, 20, 40, 64)))


@pytest.mark.parametrize(("content", "message"), [
    (b"a text", "is not an ONNX file, or is damaged"),
    (b"", "is not an ONNX file: it has no graph"),
    (None, "is not an ONNX file, or is damaged"),
])  # fmt: skip
def test_what_is_no_onnx_file_is_refused(finder, tmp_path, content, message):
    (tmp_path / "a.onnx").write_bytes(finder.read_bytes()[:5000] if content is None else content)
    with pytest.raises(UserError, match=message):
        tfrecog.load(tmp_path / "a.onnx")
