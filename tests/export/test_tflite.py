"""TFLite files: their outputs are the model's, of builtins alone; and what cannot be exported is refused."""

import dataclasses
import io
import itertools
import json
import os
import re
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers import number_types

import tfrecog
from export import tflite
from export.artifact import metadata
from export.litert import calibration_images, convert, quantize, report, sizes
from export.litert import graph as lite_graph
from export.litert import metadata as lite_metadata
from pipelines import scenes
from tests.export import commands, flat
from tests.export.exported import RUNS, picture, run
from tests.folders import REPOSITORY
from tests.matrices import representatives
from tfrecog.cli import errors, flags
from tfrecog.cli import files as atomic
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info, records
from tfrecog.ops import nms, target
from tfrecog.runtime import quiet_tensorflow

CASES = list(itertools.product(("tflite", "onnx"), (*RUNS, "segmenter", "classifier_digits")))


@pytest.mark.parametrize(
    ("kind", "recipe"),
    representatives(CASES, *(case for case in CASES if case[1] != "spp_net" and case != ("onnx", "rcnn"))),
)
def test_a_file_has_the_outputs_of_its_model(exported, kind, recipe):
    one = exported(recipe)
    got, expected = run(one.content if kind == "tflite" else one.onnx, one.inputs()), one.expected()
    assert expected.keys() <= got.keys()
    for name, value in expected.items():
        assert got[name].shape == value.shape, name
        if name != "detection_classes":  # Six of one class are six boxes yet.
            assert np.ptp(value) > 0.1, f"{name} is the same everywhere, so a file that never looks would pass"
        if value.dtype.kind == "f":
            np.testing.assert_allclose(got[name], value, atol=1e-4 if "scores" in name else 1e-2, err_msg=name)
        else:
            np.testing.assert_array_equal(got[name], value)
    if one.experiment.task == "detection":
        assert got["num_detections"] == (expected["detection_classes"] > 0).sum() > 0


def test_a_file_has_builtins_only_and_another_is_refused(exported):
    content = exported("classifier_digits").content
    convert.check(content)
    model = convert.parsed(content)
    model.operatorCodes[0].customCode = b"FlexCropAndResize"
    with pytest.raises(UserError, match="no builtin for FlexCropAndResize"):
        convert.check(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))


def test_of_equal_scores_a_file_takes_the_first_as_the_checkpoint_does():
    """TensorFlow Lite's own operation takes any."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, [300, 2])
    boxes = np.concatenate([corners, corners + rng.uniform(20, 40, [300, 2])], axis=1).astype(np.float32)
    scores = rng.choice(np.float32([0.25, 0.5, 0.75, -np.inf]), 300)
    specs = [tf.TensorSpec([300, 4], tf.float32, "boxes"), tf.TensorSpec([300], tf.float32, "scores")]

    def call(boxes, scores):
        with target.to("tflite"):
            index, valid = nms.nms(boxes, scores, 0.5, 120)
        return {"index": index, "valid": valid}

    found = run(convert.convert(lite_graph.Graph(call, specs)), {"boxes": boxes, "scores": scores})
    index, valid = nms.nms(boxes, scores, 0.5, 120)
    assert 10 < np.count_nonzero(valid) < 120
    np.testing.assert_array_equal(found["index"], index)
    np.testing.assert_array_equal(found["valid"], valid)


def test_an_operation_without_a_builtin_is_named_with_its_layer():
    def call(image):
        with tf.name_scope("layer"):
            return {"scores": tf.linalg.det(tf.cast(image[..., 0], tf.float32))[..., None]}

    graph = lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")])
    with pytest.raises(UserError, match="no builtin operation for MatrixDeterminant in layer/"):
        convert.convert(graph)


@pytest.mark.parametrize(
    ("kind", "share", "scores"), [("float16", 0.6, 2e-3), ("dynamic", 0.6, 2e-3), ("int8", 0.5, 0.02)]
)
def test_fewer_bits_make_a_smaller_file_with_nearly_the_same_scores(exported, kind, share, scores):
    """Of a classifier, whose scores are of one picture; those of a random detector hang on the last bit of a tie."""
    one = exported("classifier_digits")
    content, described = one.quantized(kind)
    assert len(content) < share * len(one.content) and described["bytes"] == len(content)
    np.testing.assert_allclose(run(content, one.inputs())["scores"], one.expected()["scores"], atol=scores)
    kinds = {"float16": {"float16"}, "dynamic": {"dynamic", "float16"}, "int8": {"int8"}}[kind]
    assert kinds <= described["types"].keys()
    assert ("costs" in described) == (kind == "int8")


def test_only_the_network_of_a_detector_becomes_int8(exported):
    """Boxes, suppression and the last layers stay as they are, so that an int8 file has the boxes of whole decimals.

    So does the loop that reads where the heat maps of keypoints have their peaks, which 256 values do not say.
    """
    one = exported("mask_rcnn")
    content, described = one.quantized("int8")
    operations = described["operations"]
    assert "int8" in operations["CONV_2D"] and "int8" in operations["TRANSPOSE_CONV"]
    for name in ("NON_MAX_SUPPRESSION_V4", "TOPK_V2", "EXP", "SOFTMAX", "GATHER"):
        assert "int8" not in operations[name], name
    ends = {name.rpartition("/")[2] for name in described["float_fallbacks"]}
    assert {"objectness", "deltas", "logits"} <= ends
    costs = described["costs"]
    assert [cost["sqnr"] for cost in costs] == sorted(cost["sqnr"] for cost in costs)
    assert len({cost["layer"] for cost in costs}) == len(costs), "a row for each layer, of all the maps that it sees"
    assert all(0 < cost["weights"] < 0.1 for cost in costs) and any("/keypoint/" in cost["layer"] for cost in costs)
    main, *loops = convert.parsed(content).subgraphs
    assert loops and not [one.name for loop in loops for one in loop.tensors if one.type == schema.TensorType.INT8]
    assert sum(described["types"].values()) == sum(len(graph.operators) for graph in (main, *loops))
    found = run(content, one.inputs())
    assert np.isfinite(found["detection_boxes"]).all() and np.isfinite(found["detection_keypoints"]).all()
    assert found["num_detections"] > 0
    text = report.text(described)
    assert "CONV_2D" in text and "worst first" in text and "its output is compared or decoded" in text


def test_the_cost_of_a_layer_is_that_of_its_worst_map():
    """10 dB: the squares of both errors add up to a tenth."""
    found = [
        {"layer": "conv", "activation": 0.01, "weights": 0.0},
        {"layer": "conv", "activation": 0.3, "weights": 0.1},
        {"layer": "fc", "activation": 0.1, "weights": 0.0},
    ]
    assert report.worst(found) == [found[1] | {"sqnr": 10.0}, found[2] | {"sqnr": 20.0}]


@pytest.mark.parametrize(("kind", "share"), [("float16", 0.6), ("int8", 0.4)])
def test_the_network_of_an_r_cnn_has_fewer_bits_though_it_is_in_a_loop(exported, kind, share):
    one = exported("rcnn")
    content, described = one.quantized(kind)
    assert described["share_of_float32"] < share
    assert described["operations"]["CONV_2D"].keys() == {kind}
    assert np.isfinite(run(content, one.inputs())["detection_boxes"]).all()
    if kind == "int8":
        model = convert.parsed(one.content)
        layers = {
            report.layer(report.output_name(graph, operation))
            for graph in model.subgraphs
            for name, operation in report.operations(model, graph)
            if name == "CONV_2D"
        }
        assert len(layers) > 10 and layers <= {cost["layer"] for cost in described["costs"]}
        assert all(cost["activation"] > 0 and cost["weights"] > 0 for cost in described["costs"])
        assert set(described["float_fallbacks"]) == {"detector/box/deltas", "detector/box/logits"}


@pytest.mark.parametrize("recipe, layers", [("fast_rcnn", ["/trunk_1/dense1_"]), ("mask_rcnn", [])])
def test_int8_weights_of_a_dynamic_file_are_of_wide_layers_and_not_before_keypoints(exported, recipe, layers):
    """Fast R-CNN's box head has a layer of 3,136 inputs and one of 64; this Mask R-CNN has keypoints."""
    content, described = exported(recipe).quantized("dynamic")
    assert described["types"].get("dynamic", 0) == len(layers)
    eights = [
        tensor.name.decode()
        for graph in convert.parsed(content).subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.INT8
    ]
    assert bool(eights) == bool(layers)
    assert all(any(layer in name for layer in layers) for name in eights)


@pytest.mark.parametrize("name, stays, dynamic", [
    ("detector_1/add_3", "after the network", False),
    ("detector_1/map/while/mul", "after the network", False),
    ("detector_1/map_1/while/body/mul", "after the network", False),
    ("detector_1/map/while/TensorListGetItem_1/Gather", "after the network", False),
    ("detector_1/rpn_1/deltas_5/BiasAdd;detector_1/x", "its output is compared or decoded", False),
    ("detector_1/box_1/logits_1/BiasAdd", "its output is compared or decoded", False),
    ("segmenter_1/head_1/score_1/Conv2D", "its output is compared or decoded", False),
    ("detector_1/backbone_1/stem_1/Relu", "", False),
    ("detector_1/map/while/backbone_1/stem_1/Relu;detector_1/map/while/x", "", False),
    ("detector_1/trunk_1/dense1_1/Relu", "", True),
    ("detector_1/trunk_1/dense1_svd_1/MatMul", "", True),
    ("detector_1/map/while/trunk_1/dense1_1/Relu;detector_1/map/while/trunk_1/dense1_1/BiasAdd", "", True),
    ("detector_1/trunk_1/dense2_1/Relu", "", False),
    ("detector_1/trunk_1/conv1_1/Relu", "", False),
    ("detector_1/trunk_1/res5_1/block1_1/conv2_1/Conv2D", "", False),  # C4: the trunk is the backbone's last stage
    ("classifier_1/hidden_1/MatMul", "", True),
    ("classifier_1/fc6_1/Relu", "", False),
    ("classifier_1/backbone_1/res5_1/block1_1/conv2_1/Conv2D", "", False),
    ("segmenter_1/head_1/fc6_1/Relu", "", True),
])  # fmt: skip
def test_the_name_of_an_operation_decides_its_bits(name, stays, dynamic):
    """Of int8 files what stays in float32, and of dynamic ones which layers may have int8 weights."""
    assert quantize.stays_float(name) == stays
    assert bool(re.search(quantize.HEADS, name)) == dynamic


def test_metadata_is_where_the_format_has_it(exported):
    """A flatbuffer M001 among the buffers, whose strings stock tools show, and the files as a zip behind the model."""
    one = exported("mask_rcnn")
    content = lite_metadata.attach(one.content, one.described(tflite={"quantize": "none", "input": one.given}))
    outputs, before = run(content, one.inputs()), run(one.content, one.inputs())
    np.testing.assert_array_equal(outputs["detection_boxes"], before["detection_boxes"])
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    described = bytearray(model.buffers[entry.buffer].data)
    assert described[4:8] == b"M001"
    for text in (b"labels.txt", b"tfrecog.json", one.task.name.encode()):
        assert text in described
    graph = flat.child(flat.root(described), 3, 0)
    tensors = [*flat.children(graph, 2), *flat.children(graph, 3)]
    properties = {flat.text(one, 0): flat.child(one, 3) for one in tensors}
    image, boxes = properties["image"], properties["detection_boxes"]
    assert (flat.number(image, 0), flat.number(boxes, 0)) == (2, 3)  # ImageProperties, BoundingBoxProperties
    size, boxes = flat.child(flat.child(image, 1), 1), flat.child(boxes, 1)
    assert [flat.number(size, field, number_types.Uint32Flags) for field in (0, 1)] == [96, 64]
    order = flat.numbers(boxes, 0, number_types.Uint32Flags)
    assert (order, flat.number(boxes, 1), flat.number(boxes, 2)) == ([1, 0, 3, 2], 1, 1)  # x1, y1, …; BOUNDARIES, PIXEL
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert files.read("labels.txt").decode().split("\n")[:2] == ["thing 1", "thing 2"]
        read = json.loads(files.read("tfrecog.json"))
    assert read["classes"][0]["name"] == "thing 1" and read["step"] == 7
    assert read["tflite"]["input"] == {"dtype": "uint8", "size": [64, 96], "fit": "pad"}
    assert metadata.names(read) == list(one.task.info.names)


def test_an_onnx_file_sees_what_its_tflite_file_sees_in_a_photo_of_another_size(exported, tmp_path):
    one = exported("mask_rcnn")
    written = one.described(tflite={"quantize": "none", "input": one.given})
    (tmp_path / "model.tflite").write_bytes(lite_metadata.attach(one.content, written))
    (tmp_path / "model.onnx").write_bytes(one.onnx)
    photo = picture((120, 96))[0]
    lite, other = (tfrecog.load(tmp_path / f"model.{kind}").predict(photo) for kind in ("tflite", "onnx"))
    assert len(lite) > 1 and lite.names == other.names
    np.testing.assert_allclose(other.boxes, lite.boxes, atol=0.01)
    np.testing.assert_allclose(other.scores, lite.scores, atol=1e-5)
    np.testing.assert_allclose(other.keypoints, lite.keypoints, atol=0.01)
    assert (other.masks != lite.masks).mean() < 1e-4 and lite.masks.any()


@pytest.fixture(scope="module")
def flagfiles(tmp_path_factory):
    """Flagfiles of runs without a checkpoint, by recipe."""
    folder = tmp_path_factory.mktemp("flags")

    def of(recipe):
        experiment = flags.load(Experiment(), REPOSITORY / f"configs/smoke/{recipe}.flags")
        path = folder / f"{recipe}.flags"
        path.write_text(flags.dumps(dataclasses.replace(experiment, workdir=str(folder))))
        return path

    return of


def refusal(flagfile, out, **options):
    with pytest.raises((UserError, OSError)) as refused:
        commands.run(tflite, flagfile, out=out, **options)
    return str(refused.value)


@pytest.mark.parametrize(("recipe", "options", "message"), [
    ("mask_rcnn", {}, "--size is missing.*--size=128x128"),
    ("mask_rcnn", {"size": "wide"}, "--size=wide is not a height and a width"),
    ("mask_rcnn", {"size": "100x320"}, "multiples of 32 pixels, such as 96x320"),
    ("mask_rcnn", {"size": "32000000x32"}, "a side has at most 4096 pixels, such as 128x128"),
    ("segmenter", {"size": "64x99999"}, "at most 4096 pixels"),
    ("classifier", {"size": "64x96"}, "needs a square, such as 32x32"),
    ("classifier", {"fit": "pad"}, "--fit=pad.*the center crop of a photo"),
    ("classifier", {"size": "31x31", "classifier.name": "vgg16"}, "the poolings of vgg16 need at least 32 pixels"),
    ("classifier_digits", {"size": "32x32"}, "the fully connected layers of lenet_modern fix it: 28x28"),
    ("segmenter", {"size": "16x64"}, "at least 32 pixels on each side"),
    ("segmenter", {"size": "64x96", "segmenter.window": "64,64"}, "does not fit in --segmenter.window=64x64"),
    ("segmenter", {"size": "64x64", "split": "val"}, "--split=val: is not read with --quantize=none"),
    ("segmenter", {"size": "64x64", "quantize": "int8"}, "give --data.records"),
    ("segmenter", {"size": "64x64"}, "there is no latest checkpoint in"),
])  # fmt: skip
def test_what_cannot_be_exported_is_refused_with_what_to_do(flagfiles, tmp_path, recipe, options, message):
    out = tmp_path / "model.tflite"
    assert re.search(message, refused := refusal(flagfiles(recipe), out, **options)), refused
    assert not out.exists()


def test_a_canvas_smaller_than_what_the_run_is_evaluated_on_is_remarked(flagfiles):
    short = (given := flags.load(tflite.Flags(), flagfiles("mask_rcnn"))).data.eval_short_side
    assert sizes.remark(given, (short, 2 * short)) == ""
    assert f"a short side of {short} pixels" in sizes.remark(given, (2 * short, short - 32))


def test_the_photo_of_a_larger_classifier_is_resized_in_proportion(flagfiles):
    """A crop of 24 from photos of 32 pixels becomes one of 48 from photos of 64."""
    given = dataclasses.replace(flags.load(tflite.Flags(), flagfiles("classifier")), size="48x48")
    given = dataclasses.replace(given, classifier=dataclasses.replace(given.classifier, crop=24))
    assert sizes.input_of(given) == {"dtype": "uint8", "size": [48, 48], "fit": "middle", "short_side": 64}


@pytest.mark.parametrize(("recipe", "network", "size"), [
    ("classifier", {"name": "alexnet"}, (63, 63)),
    ("classifier", {"name": "vgg16"}, (32, 32)),
    ("segmenter", {}, (32, 4096)),
])  # fmt: skip
def test_the_smallest_and_the_largest_sizes_can_be(flagfiles, recipe, network, size):
    given = dataclasses.replace(flags.load(tflite.Flags(), flagfiles(recipe)), size=f"{size[0]}x{size[1]}")
    given = dataclasses.replace(given, classifier=dataclasses.replace(given.classifier, **network))
    assert sizes.input_of(given)["size"] == list(size)


def test_a_missing_quantizer_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        quantize.float16(b"")
    line, status = errors.explain(missing.value)
    assert status == errors.Status.USER_ERROR
    assert line == "ai_edge_quantizer is missing: pip install 'tfrecog[tflite]'"


def test_chatter_is_kept_from_the_terminal_and_nothing_else(capfd):
    with quiet_tensorflow.interpreter():
        os.write(2, b"INFO: Created a delegate\nERROR: a node\n")
    assert capfd.readouterr().err == "ERROR: a node\n"


def test_the_models_and_the_reports_files_can_be_written_and_are_two(flagfiles, tmp_path):
    """That is said before anything is converted."""
    flagfile, out = flagfiles("segmenter"), tmp_path / "model.tflite"
    same = tmp_path / "." / "model.tflite"
    assert "is also the model's file" in refusal(flagfile, out, size="64x64", report=str(same))
    message = refusal(flagfile, out, size="64x64", report=str(tmp_path), overwrite=True)
    assert "is a folder; name a file, as in --report=" in message
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    assert f"{file} is no folder that can be written to" in refusal(flagfile, file / "m.tflite", size="64x64")
    assert f"--report={file} exists: choose another" in refusal(flagfile, out, size="64x64", report=str(file))
    assert f"--out={file} exists: choose another" in refusal(flagfile, file, size="64x64")
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and file.read_bytes() == b"mine"


def test_a_model_that_cannot_be_written_leaves_no_report_either(exported, tmp_path):
    """The draft of its file has a few characters more, for which there is no room in a name."""
    long = "model" * 49 + ".tflite"
    with pytest.raises(atomic.CannotWrite, match=r"cannot write .*model.tflite: File name too long"):
        commands.run(tflite, exported("classifier_digits").flagfile, out=tmp_path / long, report=tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_the_report_has_the_size_of_the_file(exported, tmp_path):
    commands.run(tflite, exported("classifier_digits").flagfile, out=tmp_path / "new" / "model.tflite")
    written = json.loads((tmp_path / "new" / "model.tflite.json").read_text())
    assert written["bytes"] == (tmp_path / "new" / "model.tflite").stat().st_size


def test_a_layer_that_the_quantizer_left_in_float32_is_named(exported):
    """Here it left all of them, and nobody had told it to."""
    content = exported("classifier_digits").content
    fallbacks = report.describe(content, content, lambda name: "")["float_fallbacks"]
    layers = {"backbone/conv1", "backbone/conv2", "fc1", "fc2"}
    assert fallbacks == {f"classifier/{name}": "the quantizer left it so" for name in layers}


GIVEN = {"dtype": "uint8", "size": [64, 96], "fit": "pad"}


def mask_rcnn(folder):
    experiment = flags.load(Experiment(), REPOSITORY / "configs/smoke/mask_rcnn.flags")
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, records=str(folder)))


def test_representative_images_are_the_records_own_on_the_canvas(tmp_path):
    scenes.build(str(tmp_path), "train", 4, jobs=1)
    images = calibration_images.images(mask_rcnn(tmp_path), GIVEN, "train", 3)
    assert len(images) == 3
    for one in images:
        assert one["image"].shape == (1, 64, 96, 3) and one["image"].dtype == np.uint8
        height, width = one["size"]
        assert not one["image"][:, height:].any() and not one["image"][:, :, width:].any()
        assert one["image"][:, :height, :width].any()
    with pytest.raises((UserError, OSError)):
        calibration_images.images(mask_rcnn(tmp_path), GIVEN, "absent", 3)


def test_representative_images_are_decoded_as_training_does(tmp_path):
    """The first has 16 bits a pixel, of a middle gray; the second is broken."""
    gray = io.BytesIO()
    Image.fromarray(np.full([64, 96], 128 * 257, np.uint16)).save(gray, "PNG")
    with tf.io.TFRecordWriter(str(tmp_path / "train.tfrecord")) as writer:
        for name, encoded in (("a.png", gray.getvalue()), ("b.png", b"text")):
            writer.write(records.encode(records.Record(encoded, "png", 64, 96, name, name)))
    split = info.SplitInfo(images=2, instances=0, crowd=0, shards=("train.tfrecord",))
    empty = info.SplitInfo(images=0, instances=0, crowd=0, shards=())
    info.save(tmp_path, info.DatasetInfo((info.Category("cat", 1),), {"train": split, "none": empty}))
    (one,) = calibration_images.images(mask_rcnn(tmp_path), GIVEN, "train", 1)
    assert (one["image"] == 128).all()
    for split, count, message in (("train", 2, "'b.png' of .* cannot be read; `python"), ("none", 1, "has none")):
        with pytest.raises(UserError, match=message):
            calibration_images.images(mask_rcnn(tmp_path), GIVEN, split, count)
