"""Files of --quantize=full: integers alone, the answers of float32, and what cannot be in integers is refused."""

import dataclasses
import io
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

import tfrecog
from export import tflite, verify
from export.litert import convert, graph, quantize, report
from export.litert.reader import LiteModel
from export.server import engines
from tests import datasets
from tests.export import commands, random_runs
from tests.export.exported import picture
from tests.folders import REPOSITORY
from tfrecog.cli.errors import UserError
from tfrecog.data import records

RECIPES = ("classifier_digits", "segmenter")
INTEGERS = {schema.TensorType.UINT8, schema.TensorType.INT8, schema.TensorType.INT32}
# Scores in steps of 1/256 of a network that is as sure as a trained one; pixels on borders between classes.
FAR, OTHER_LABELS = 0.03, 0.04


def names_of(content):
    """The names of the operations of a file, and the types of all tensors that they see or make."""
    model = convert.parsed(content)
    (subgraph,) = model.subgraphs
    found = [*report.operations(model, subgraph)]
    used = {i for _, operation in found for i in (*operation.inputs, *operation.outputs) if i >= 0}
    return [name for name, _ in found], {subgraph.tensors[i].type for i in used}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_full_file_has_integers_alone_from_the_pixels_to_its_outputs(exported, recipe):
    content, described = exported(recipe).quantized("full")
    names, types = names_of(content)
    assert types <= INTEGERS and "float32" not in described["types"] and not described["float_fallbacks"]
    # One rounds pixels to int8, and one normalises them.
    assert names[:2] == ["QUANTIZE", "CONV_2D"] and names.count("QUANTIZE") == 1
    assert not {"DEQUANTIZE", "SUB", "MUL"} & {*names} and "CAST" not in names[:-1]
    interpreter = Interpreter(model_content=content)
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["dtype"] == np.uint8 and image["quantization"] == (1.0, 0)  # n is the gray level n
    expected = (np.uint8, (0.0, 0)) if recipe == "segmenter" else (np.int8, (1 / 256, -128))
    assert (output["dtype"], output["quantization"]) == expected


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_full_file_answers_nearly_as_float32(exported, recipe):
    one = exported(recipe)
    interpreter = Interpreter(model_content=one.quantized("full")[0])
    (name, found), *_ = interpreter.get_signature_runner("serving_default")(**one.inputs()).items()
    expected = one.expected()[name]
    if recipe == "segmenter":
        assert len(np.unique(expected)) > 2 and np.mean(found != expected) < OTHER_LABELS
    else:
        assert np.ptp(expected) > 0.2 and np.abs((found + 128.0) / 256 - expected).max() < FAR


def test_dark_calibration_images_do_not_cut_off_bright_pixels(exported):
    one = exported("classifier_digits")
    plain = convert.convert(graph.build(one.task, one.model, one.experiment, one.given, integers=True))
    content = quantize.full(plain, [{"image": picture(one.size).astype(np.float32) / 8}])
    assert Interpreter(model_content=content).get_input_details()[0]["quantization"] == (1.0, 0)


def test_ranges_are_those_of_all_calibration_images_in_any_order(exported):
    one = exported("classifier_digits")
    plain = convert.convert(graph.build(one.task, one.model, one.experiment, one.given, integers=True))
    bright = {"image": picture(one.size).astype(np.float32)}
    dull = {"image": 112 + bright["image"] / 8}

    def scales(images):
        details = Interpreter(model_content=quantize.full(plain, images)).get_tensor_details()
        return {each["name"]: each["quantization"][0] for each in details}

    both, each = scales([dull] * 5 + [bright]), [scales([bright]), scales([dull])]
    assert both == scales([bright] + [dull] * 5)
    assert all(both[name] >= max(one[name] for one in each) * (1 - 1e-6) for name in both)
    assert any(each[0][name] > 1.5 * each[1][name] for name in both), "a picture of another range"


def labelled(folder, model, count=24):
    """Records of pictures that a file is sure of, labelled by it."""
    rng, made = np.random.default_rng(0), []
    while len(made) < count:
        pixels = rng.integers(0, 256, [7, 7, 3]).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        scores = model.predict(pixels)["scores"]
        best, second = np.argsort(-scores)[:2]
        if scores[best] - scores[second] > 4 * FAR:
            file, label = io.BytesIO(), int(best) + 1
            Image.fromarray(pixels).save(file, "PNG")
            facts = {"filename": f"{len(made)}.png", "source_id": str(len(made)), "label": label}
            names = {"class_name": random_runs.INFO.categories[label - 1].name}
            made.append(dataclasses.replace(records.blank(28, 28), encoded=file.getvalue(), **facts, **names))
    folder.mkdir()
    datasets.write(folder, [made], random_runs.INFO.categories, image_labels=True)


def test_the_command_writes_a_file_that_verify_the_api_and_the_server_read(tmp_path, capsys):
    flagfile = random_runs.make("classifier_digits", tmp_path / "run")
    commands.run(tflite, flagfile, out=tmp_path / "float.tflite")
    plain, photos, data = LiteModel(tmp_path / "float.tflite"), tmp_path / "photos", tmp_path / "data"
    labelled(data, plain)
    path, of_records = tmp_path / "full.tflite", {"data.records": data}
    commands.run(tflite, flagfile, out=path, quantize="full", split="val", **of_records)
    photos.mkdir()
    for number in range(2):
        Image.fromarray(picture((28, 28))[0] // (number + 1)).save(photos / f"{number}.png")
    assert commands.run(verify, flagfile, artefact=path, images=photos, **of_records) == 0
    assert "as accurate as the checkpoint (full is not judged" in capsys.readouterr().out
    other, *_ = random_runs.made("classifier_digits", tmp_path / "other", last_gain=-1.0)
    commands.run(tflite, other, out=tmp_path / "other.tflite", quantize="full", split="val", **of_records)
    assert commands.run(verify, flagfile, artefact=tmp_path / "other.tflite", images=photos, **of_records) == 1
    result, expected = (tfrecog.load(one).predict(photos / "0.png") for one in (path, tmp_path / "float.tflite"))
    assert result.names == expected.names and {*result.names} == {one.name for one in random_runs.INFO.categories}
    assert result.scores.dtype == np.float32
    np.testing.assert_allclose(result.scores, expected.scores, atol=FAR)
    assert engines.load(path).outputs["scores"][0] == np.float32


def test_group_norm_has_no_integers_and_the_error_names_its_layer(tmp_path):
    def grouped(experiment):
        classifier = dataclasses.replace(experiment.classifier, norm="group")
        return dataclasses.replace(experiment, classifier=classifier)

    _, task, model = random_runs.made("classifier_digits", tmp_path, grouped)
    task.experiment = graph.still(task.experiment)
    given = {"dtype": "uint8", "size": (28, 28), "fit": "middle"}
    plain = convert.convert(graph.build(task, model, task.experiment, given, integers=True))
    with pytest.raises(UserError, match=r"full: TILE in classifier/backbone/conv2/norm cannot .*=int8 leaves"):
        quantize.quantized(plain, "full", [{"image": picture((28, 28))}])


@pytest.mark.parametrize("recipe, options, message", [
    ("mask_rcnn", {"size": "64x96"}, "boxes of a detector would be off by pixels .* --quantize=int8 has its network"),
    ("segmenter", {"size": "64x96", "input": "float32"}, "its picture is uint8, and not --input=float32"),
    ("classifier", {"for": "mediapipe"}, "Tasks of --for=mediapipe read scores in float32, and these are int8"),
    ("segmenter", {"size": "64x96"}, "give --data.records"),
])  # fmt: skip
def test_what_cannot_be_in_integers_is_refused_before_the_run_is_read(tmp_path, recipe, options, message):
    """None of the runs has a checkpoint, which would be missing first."""
    flagfile = REPOSITORY / f"configs/smoke/{recipe}.flags"
    with pytest.raises(UserError, match=message):
        commands.run(tflite, flagfile, workdir=tmp_path, out=tmp_path / "model.tflite", quantize="full", **options)


@pytest.mark.parametrize("recipe, on_cpu", [("classifier_digits", []), ("segmenter", ["CAST"])])
def test_vela_puts_a_full_file_on_an_npu(exported, tmp_path, recipe, on_cpu):
    """All of a classifier; the NPU has no CAST of an FCN's labels to uint8, its last operation."""
    if not shutil.which("vela"):
        pytest.skip("vela, Arm's compiler for Ethos-U, is not on the PATH (pip install ethos-u-vela)")
    path = tmp_path / "model.tflite"
    path.write_bytes(exported(recipe).quantized("full")[0])
    command = ["vela", "--accelerator-config=ethos-u65-256", f"--output-dir={tmp_path}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert re.findall(r"CPU operators = (\d+)", done.stdout) == [str(len(on_cpu))]
    assert re.findall(r"\(supported operators\) operator: (\w+)", done.stdout + done.stderr) == on_cpu
