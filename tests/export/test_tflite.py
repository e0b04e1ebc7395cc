"""TFLite files: what they say is what the model says, of builtins alone; and what cannot be exported is refused."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import sys
import zipfile
from types import SimpleNamespace

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import export
from export import tflite
from export.artifact import metadata as metadata_of_runs
from export.litert import build, calibration_images, convert, metadata, quantize, sizes
from export.litert import graph as lite_graph
from export.litert import report as lite_report
from pipelines import scenes
from tests.export import commands, random_runs
from tfrecog.cli import errors, flags
from tfrecog.cli import files as atomic
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import records
from tfrecog.ops import nms, target
from tfrecog.runtime import quiet_tensorflow

LAYER = lite_report.layer
CANVAS, SIZE = (64, 96), (60, 80)
OUTPUTS = {
    "detection_boxes": "boxes",
    "detection_classes": "labels",
    "detection_scores": "scores",
    "detection_masks": "masks",
    "detection_keypoints": "keypoints",
    "scores": "probabilities",
    "labels": "label_map",
}


def picture(size=CANVAS):
    """Pixels uint8 [1, H, W, 3] with edges everywhere."""
    cells = np.random.default_rng(0).integers(0, 256, [1, size[0] // 4, size[1] // 4, 3])
    return cells.astype(np.uint8).repeat(4, 1).repeat(4, 2)


def proposals(count=12):
    """Boxes [P, 4] in the canvas; the last are empty slots."""
    corners = np.sort(np.random.default_rng(1).uniform(0, 60, [count, 2, 2]), axis=1).reshape(count, 4)
    corners[-3:] = 0
    return corners.astype(np.float32)


def branches(experiment):
    """Masks and keypoints at once, and few rois."""
    detector = experiment.detector
    rpn = dataclasses.replace(detector.rpn, infer=dataclasses.replace(detector.rpn.infer, total=20))
    output = dataclasses.replace(detector.output, max_detections=6)
    keypoint = dataclasses.replace(detector.keypoint, convs=1, channels=8)
    detector = dataclasses.replace(detector, keypoints=True, masks=True, rpn=rpn, output=output, keypoint=keypoint)
    return dataclasses.replace(experiment, detector=detector)


def on_proposals(experiment):
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, max_proposals=12))


RUNS = {
    "mask_rcnn": (branches, CANVAS),
    "spp_net": (on_proposals, CANVAS),
    "fast_rcnn": (on_proposals, CANVAS),
    "rcnn": (on_proposals, CANVAS),
    "segmenter": (lambda experiment: experiment, CANVAS),
    "classifier_digits": (lambda experiment: experiment, (28, 28)),
}


class Exported:
    """A run, its model, and the float32 file that it became, without metadata."""

    def __init__(self, recipe, folder):
        change, size = RUNS[recipe]
        self.flagfile, self.task, self.model = random_runs.made(recipe, folder, change)
        self.experiment = lite_graph.still(flags.load(tflite.Flags(), self.flagfile))
        self.task.experiment = self.experiment
        self.size = size
        self.fewer = {}
        self.content = build.float32(
            self.task, self.model, self.experiment, {"dtype": "uint8", "size": size, "fit": "pad"}
        )

    def quantized(self, kind):
        """A file in fewer bits, and the report, each made once."""
        pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
        if kind not in self.fewer:
            self.fewer[kind] = build.quantized(self.content, kind, [self.inputs()])
        return self.fewer[kind]

    def inputs(self):
        inputs = {"image": picture(self.size)}
        if self.experiment.task == "detection":
            inputs["size"] = np.array(SIZE, np.int32)
            if self.experiment.detector.proposals == "record":
                inputs["proposals"] = proposals()
        return inputs

    def said(self):
        """What the model says, under the file's names."""
        batch = {name: tf.constant(value) for name, value in self.inputs().items()}
        batch["image"] = tf.cast(batch["image"], tf.float32)
        if self.experiment.task == "detection":
            given = batch["proposals"][None] if "proposals" in batch else None
            found = self.model(batch["image"], batch["size"][None], given)
        else:
            found = self.task.predict(self.model, batch)
        return {name: found[ours].numpy() for name, ours in OUTPUTS.items() if ours in found}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Runs by the name of their recipe, each exported once."""
    made = {}

    def of(recipe):
        if recipe not in made:
            made[recipe] = Exported(recipe, tmp_path_factory.mktemp(recipe))
        return made[recipe]

    return of


def run(content, inputs):
    return Interpreter(model_content=content).get_signature_runner("serving_default")(**inputs)


def names_of(content, kind):
    """Names of what the operations of a kind compute, in loops too."""
    model = convert.parsed(content)
    return [
        graph.tensors[operation.outputs[0]].name.decode()
        for graph in model.subgraphs
        for operation in graph.operators
        if lite_report.builtin(model, operation) == kind
    ]


@pytest.mark.parametrize(
    "recipe", [pytest.param("spp_net", marks=pytest.mark.long), *[name for name in RUNS if name != "spp_net"]]
)
def test_a_file_says_what_its_model_says(exported, recipe):
    one = exported(recipe)
    got, expected = run(one.content, one.inputs()), one.said()
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
    content = exported("mask_rcnn").content
    convert.check(content)
    model = convert.parsed(content)
    model.operatorCodes[0].customCode = b"FlexCropAndResize"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ValueError, match="no builtin for FlexCropAndResize"):
        convert.check(bytes(builder.Output()))


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


def test_what_has_no_builtin_is_named_with_its_layer():
    def call(image):
        with tf.name_scope("layer"):
            return {"scores": tf.linalg.det(tf.cast(image[..., 0], tf.float32))[..., None]}

    graph = lite_graph.Graph(call, [tf.TensorSpec([1, 4, 4, 3], tf.uint8, "image")])
    with pytest.raises(ValueError, match="no builtin operation for MatrixDeterminant in layer/"):
        convert.convert(graph)


@pytest.mark.parametrize(
    ("kind", "share", "scores"), [("float16", 0.6, 2e-3), ("dynamic", 0.6, 2e-3), ("int8", 0.5, 0.02)]
)
def test_fewer_bits_make_a_smaller_file_that_sees_the_same(exported, kind, share, scores):
    """Of a classifier, whose scores are of one picture; those of a random detector hang on the last bit of a tie."""
    one = exported("classifier_digits")
    content, report = one.quantized(kind)
    assert len(content) < share * len(one.content) and report["bytes"] == len(content)
    np.testing.assert_allclose(run(content, one.inputs())["scores"], one.said()["scores"], atol=scores)
    kinds = {"float16": {"float16"}, "dynamic": {"dynamic", "float16"}, "int8": {"int8"}}[kind]
    assert kinds <= report["types"].keys()
    assert ("costs" in report) == (kind == "int8")


def test_only_the_network_of_a_detector_becomes_int8(exported):
    """Boxes, suppression and the last layers stay as they are, so that an int8 file has the boxes of whole decimals."""
    one = exported("mask_rcnn")
    content, report = one.quantized("int8")
    operations = report["operations"]
    assert "int8" in operations["CONV_2D"] and "int8" in operations["TRANSPOSE_CONV"]
    for name in ("NON_MAX_SUPPRESSION_V4", "TOPK_V2", "EXP", "SOFTMAX", "GATHER"):
        assert "int8" not in operations[name], name
    ends = {name.rpartition("/")[2] for name in report["float_fallbacks"]}
    assert {"objectness", "deltas", "logits"} <= ends
    costs = report["costs"]
    assert [cost["sqnr"] for cost in costs] == sorted(cost["sqnr"] for cost in costs)
    assert all(0 < cost["weights"] < 0.1 for cost in costs)
    with pytest.MonkeyPatch.context() as patch:  # One for each map that a layer sees.
        patch.setattr(lite_report, "layer", lambda output: output)
        separate = lite_report.costs(content, one.content, [one.inputs()], "serving_default")
    assert len(separate) > len(costs)
    for cost in costs:
        mine = [each["sqnr"] for each in separate if LAYER(each["layer"]) == cost["layer"]]
        assert cost["sqnr"] == min(mine), cost["layer"]
    together = sum(len(graph.operators) for graph in convert.parsed(content).subgraphs)
    assert sum(report["types"].values()) == together  # Those of loops are among them.
    found = run(content, one.inputs())
    assert np.isfinite(found["detection_boxes"]).all()
    text = lite_report.text(report)
    assert "CONV_2D" in text and "worst first" in text and "its output is compared or decoded" in text


def test_heat_maps_that_a_loop_reads_do_not_hinder_int8(exported):
    """The loop reads where peaks are, which 256 values do not say."""
    one = exported("mask_rcnn")
    assert len(convert.parsed(one.content).subgraphs) > 1
    content, report = one.quantized("int8")
    found = run(content, one.inputs())
    assert np.isfinite(found["detection_keypoints"]).all() and found["num_detections"] > 0
    for loop in convert.parsed(content).subgraphs[1:]:
        assert not [tensor.name for tensor in loop.tensors if tensor.type == schema.TensorType.INT8]
    assert any("/keypoint/" in cost["layer"] for cost in report["costs"])


@pytest.mark.parametrize(("kind", "share"), [("float16", 0.6), ("int8", 0.4)])
def test_the_network_of_an_r_cnn_has_fewer_bits_though_it_is_in_a_loop(exported, kind, share):
    one = exported("rcnn")
    content, report = one.quantized(kind)
    assert report["share_of_float32"] < share
    assert report["operations"]["CONV_2D"].keys() == {kind}
    assert np.isfinite(run(content, one.inputs())["detection_boxes"]).all()
    if kind == "int8":
        layers = {LAYER(name) for name in names_of(one.content, "CONV_2D")}
        assert len(layers) > 10 and layers <= {cost["layer"] for cost in report["costs"]}
        assert all(cost["activation"] > 0 and cost["weights"] > 0 for cost in report["costs"])
        assert set(report["float_fallbacks"]) == {"detector/box/deltas", "detector/box/logits"}


@pytest.mark.parametrize(
    ("name", "eight"),
    [
        ("detector_1/trunk_1/dense1_1/Relu", True),
        ("detector_1/trunk_1/dense1_svd_1/MatMul", True),
        ("detector_1/map/while/trunk_1/dense1_1/Relu;detector_1/map/while/trunk_1/dense1_1/BiasAdd", True),
        ("detector_1/trunk_1/dense2_1/Relu", False),
        ("detector_1/trunk_1/conv1_1/Relu", False),
        ("detector_1/trunk_1/res5_1/block1_1/conv2_1/Conv2D", False),  # C4: the trunk is the backbone's last stage
        ("detector_1/box_1/logits_1/BiasAdd", False),
        ("classifier_1/hidden_1/MatMul", True),
        ("classifier_1/fc6_1/Relu", False),
        ("classifier_1/backbone_1/res5_1/block1_1/conv2_1/Conv2D", False),
        ("segmenter_1/head_1/fc6_1/Relu", True),
        ("segmenter_1/head_1/score_1/Conv2D", False),
    ],
)
def test_eight_bits_of_a_dynamic_file_are_in_fully_connected_layers(name, eight):
    assert bool(re.search(quantize._HEADS, name)) == eight
    assert re.search(quantize._LAYERS, name)


@pytest.mark.parametrize("recipe, layers", [("fast_rcnn", ["/trunk_1/dense1_"]), ("mask_rcnn", [])])
def test_int8_weights_of_a_dynamic_file_are_of_wide_layers_and_not_before_keypoints(exported, recipe, layers):
    """Fast R-CNN's box head has a layer of 3,136 inputs and one of 64; this Mask R-CNN has keypoints."""
    one = exported(recipe)
    content, report = one.quantized("dynamic")
    assert report["types"].get("dynamic", 0) == len(layers)
    eights = [
        tensor.name.decode()
        for graph in convert.parsed(content).subgraphs
        for tensor in graph.tensors
        if tensor.type == schema.TensorType.INT8
    ]
    assert bool(eights) == bool(layers)
    assert all(any(layer in name for layer in layers) for name in eights)


def test_a_names_place_says_whether_it_stays_float():
    for name in ("add_3", "map/while/mul", "map_1/while/body/mul", "map/while/TensorListGetItem_1/Gather"):
        assert quantize.stays_float(f"detector_1/{name}") == "after the network"
    assert quantize.stays_float("detector_1/rpn_1/deltas_5/BiasAdd;detector_1/x") != ""
    for name in ("backbone_1/stem_1/Relu", "map/while/backbone_1/stem_1/Relu;detector_1/map/while/x"):
        assert quantize.stays_float(f"detector_1/{name}") == ""
    assert lite_report.layer("detector_1/backbone_1/res2_1/block1_1/conv1_1/Conv2D") == (
        "detector/backbone/res2/block1/conv1"
    )


def test_metadata_is_where_the_format_has_it(exported):
    """A flatbuffer M001 among the buffers, whose strings stock tools show, and the files as a zip behind the model."""
    one = exported("segmenter")
    given = dataclasses.replace(flags.load(tflite.Flags(), one.flagfile), size="64x96")
    about = metadata_of_runs.from_run(one.task, given, one.flagfile, 7)
    about["tflite"] = {"quantize": "none", "input": sizes.input_of(given), "proposals": "grid"}
    content = metadata.attach(one.content, about)
    np.testing.assert_array_equal(run(content, one.inputs())["labels"], one.said()["labels"])
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    described = bytes(bytearray(model.buffers[entry.buffer].data))
    assert described[4:8] == b"M001"
    for text in (b"labels.txt", b"tfrecog.json", b"image", one.task.name.encode()):
        assert text in described
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert files.read("labels.txt").decode().split("\n")[:2] == ["thing 1", "thing 2"]
        read = json.loads(files.read("tfrecog.json"))
    assert read["classes"][0]["name"] == "thing 1" and read["step"] == 7
    assert read["tflite"] == {
        "quantize": "none",
        "input": {"dtype": "uint8", "size": [64, 96], "fit": "stretch"},
        "proposals": "grid",
    }
    assert metadata_of_runs.names(read) == list(one.task.info.names)


@pytest.fixture(scope="module")
def flagfiles(tmp_path_factory):
    """Flagfiles of runs without a checkpoint, by recipe."""
    folder = tmp_path_factory.mktemp("flags")

    def of(recipe, change=lambda experiment: experiment):
        experiment = flags.load(Experiment(), random_runs.REPOSITORY / f"configs/smoke/{recipe}.flags")
        path = folder / f"{recipe}.flags"
        path.write_text(flags.dumps(change(dataclasses.replace(experiment, workdir=str(folder)))))
        return path

    return of


def refusal(flagfile, out, **options):
    with pytest.raises((UserError, OSError)) as refused:
        commands.run(tflite, flagfile, out=out, **options)
    return str(refused.value)


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ("mask_rcnn", {}, "--size is missing.*--size=128x128"),
        ("mask_rcnn", {"size": "wide"}, "--size=wide is not a height and a width"),
        ("mask_rcnn", {"size": "100x320"}, "multiples of 32 pixels, such as 96x320"),
        ("mask_rcnn", {"size": "32000000x32"}, "a side has at most 4096 pixels, such as 128x128"),
        ("segmenter", {"size": "64x99999"}, "at most 4096 pixels"),
        ("classifier", {"size": "64x96"}, "needs a square, such as 32x32"),
        ("classifier", {"fit": "pad"}, "--fit=pad.*the middle of a photo"),
        ("segmenter", {"size": "16x64"}, "at least 32 pixels on each side"),
        ("segmenter", {"size": "64x64", "split": "val"}, "--split=val: is not read with --quantize=none"),
        ("segmenter", {"size": "64x64", "quantize": "int8"}, "give --data.records"),
        ("segmenter", {"size": "64x64"}, "there is no latest checkpoint in"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(flagfiles, tmp_path, recipe, options, said):
    out = tmp_path / "model.tflite"
    message = refusal(flagfiles(recipe), out, **options)
    assert re.search(said, message), message
    assert not out.exists()


def test_a_canvas_smaller_than_what_the_run_is_evaluated_on_is_remarked(flagfiles):
    short = (given := flags.load(tflite.Flags(), flagfiles("mask_rcnn"))).data.eval_short_side
    assert sizes.remark(given, (short, 2 * short)) == ""
    assert f"a short side of {short} pixels" in sizes.remark(given, (2 * short, short - 32))


def test_fully_connected_layers_fix_the_size(flagfiles, tmp_path):
    message = refusal(flagfiles("classifier_digits"), tmp_path / "m.tflite", size="32x32")
    assert "the fully connected layers of lenet_modern fix it: 28x28" in message


def test_what_is_not_installed_is_named(flagfiles, tmp_path, monkeypatch):
    """The command ends with a sentence, not with a traceback."""
    for name in ("build", "convert", "metadata", "report"):
        monkeypatch.delitem(sys.modules, f"export.litert.{name}")
        monkeypatch.delattr(export.litert, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ModuleNotFoundError) as missing:
        commands.run(tflite, flagfiles("segmenter"), out=tmp_path / "model.tflite", size="64x64")
    line, status = errors.explain(missing.value)
    assert status == errors.Status.USER_ERROR
    assert line == "ai_edge_litert is missing: pip install 'tfrecog[tflite]'"


def test_the_quantizer_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(ValueError, match=r"ai_edge_quantizer is missing: pip install 'tfrecog\[tflite\]'"):
        quantize.float16(b"")


def test_chatter_is_kept_from_the_terminal_and_nothing_else(capfd):
    with quiet_tensorflow.interpreter():
        os.write(2, b"INFO: Created a delegate\nERROR: a node\n")
    assert capfd.readouterr().err == "ERROR: a node\n"


def test_a_file_that_is_there_stays(flagfiles, tmp_path):
    out = tmp_path / "model.tflite"
    out.write_bytes(b"mine")
    assert "is there already" in refusal(flagfiles("segmenter"), out, size="64x64")
    assert out.read_bytes() == b"mine"


def test_the_models_and_the_reports_files_can_be_written_and_are_two(flagfiles, tmp_path):
    """That is said before anything is converted."""
    flagfile, out = flagfiles("segmenter"), tmp_path / "model.tflite"
    same = tmp_path / "." / "model.tflite"
    assert "is the model's file: name another" in refusal(flagfile, out, size="64x64", report=str(same))
    message = refusal(flagfile, out, size="64x64", report=str(tmp_path), overwrite=True)
    assert "is a folder; name a file, as in --report=" in message
    file = tmp_path / "file"
    file.write_bytes(b"mine")
    assert f"{file} is no folder that can be written to" in refusal(flagfile, file / "m.tflite", size="64x64")
    assert "choose another --report" in refusal(flagfile, out, size="64x64", report=str(file))
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and file.read_bytes() == b"mine"


def test_without_room_for_the_model_there_is_no_report_either(exported, tmp_path, monkeypatch):
    write = atomic.write

    @contextlib.contextmanager
    def full(path, mode="w"):
        with write(path, mode) as file:
            if mode == "wb":
                raise OSError(errno.ENOSPC, "No space left on device")
            yield file

    monkeypatch.setattr(tflite.files, "write", full)
    with pytest.raises(atomic.CannotWrite, match=r"cannot write .*model.tflite: No space left on device"):
        commands.run(tflite, exported("classifier_digits").flagfile, out=tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_the_report_has_the_size_of_the_file(exported, tmp_path):
    commands.run(tflite, exported("classifier_digits").flagfile, out=tmp_path / "new" / "model.tflite")
    report = json.loads((tmp_path / "new" / "model.tflite.json").read_text())
    assert report["bytes"] == (tmp_path / "new" / "model.tflite").stat().st_size


def test_a_layer_that_the_quantizer_left_in_float32_is_named(exported):
    """Here it left all of them, and nobody had told it to."""
    content = exported("classifier_digits").content
    fallbacks = lite_report.describe(content, content, lambda name: "")["float_fallbacks"]
    layers = {"backbone/conv1", "backbone/conv2", "fc1", "fc2"}
    assert fallbacks == {f"classifier/{name}": "the quantizer left it so" for name in layers}


def test_representative_images_are_the_records_own_on_the_canvas(tmp_path, monkeypatch):
    scenes.build(str(tmp_path), "train", 4, jobs=1)
    given = {"dtype": "uint8", "size": [64, 96], "fit": "pad"}
    experiment = flags.load(Experiment(), random_runs.REPOSITORY / "configs/smoke/mask_rcnn.flags")
    experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, records=str(tmp_path)))
    images = calibration_images.images(experiment, given, "train", 3)
    assert len(images) == 3
    for one in images:
        assert one["image"].shape == (1, 64, 96, 3) and one["image"].dtype == np.uint8
        height, width = one["size"]
        assert not one["image"][:, height:].any() and not one["image"][:, :, width:].any()
        assert one["image"][:, :height, :width].any()
    with pytest.raises(ValueError, match="are none"):
        calibration_images.images(experiment, given, "train", 0)
    with pytest.raises((ValueError, OSError)):
        calibration_images.images(experiment, given, "absent", 3)
    sixteen = io.BytesIO()  # bits a pixel, of a middle gray
    Image.fromarray(np.full([64, 96], 128 * 257, np.uint16)).save(sixteen, "PNG")
    for encoded, said in ((sixteen.getvalue(), None), (b"text", "cannot be read; `python -m pipelines.check`")):
        monkeypatch.setattr(records, "decode", lambda _, e=encoded: SimpleNamespace(encoded=e, filename="a.png"))
        with pytest.raises(ValueError, match=said) if said else contextlib.nullcontext():
            (one,) = calibration_images.images(experiment, given, "train", 1)
            assert (one["image"] == 128).all()
