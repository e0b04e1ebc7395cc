"""Exported models against their checkpoints, by the command: equal ones pass, changed ones fail, others are refused."""

import dataclasses
import json
import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import onnx, saved_model, tflite, verify
from export.artifact import metadata
from export.litert import reader
from export.parity import verification
from pipelines import scenes
from tests.export import commands, random_runs, stand_in
from tfrecog.cli import checksums, errors
from tfrecog.data import info


def exported(command, flagfile, out, **options):
    commands.run(command, flagfile, out=out, **options)
    return str(out)


def run(flagfile, artefact, images, **options):
    """The exit status of the command."""
    try:
        return commands.run(verify, flagfile, artefact=artefact, images=images, **options)
    except (errors.UserError, OSError) as error:
        line, status = errors.explain(error)
        print(line, file=sys.stderr)
        return status


def report_of(folder):
    return json.loads((folder / verification.REPORT).read_text())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(60, 80), (90, 50)]):
        blocks = rng.integers(0, 256, [height // 10, width // 10, 3]).astype(np.uint8)
        Image.fromarray(blocks.repeat(10, 0).repeat(10, 1)).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run of a small classifier without records."""
    return random_runs.make("classifier_digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def digits_lite(digits):
    return exported(tflite, digits, digits.parent / "model.tflite")


@pytest.fixture(scope="module")
def digits_saved(digits):
    return exported(saved_model, digits, digits.parent / "saved")


def test_a_classifiers_files_are_as_its_checkpoint(digits, digits_lite, digits_saved, photos, tmp_path, capsys):
    assert run(digits, digits_lite, photos, out=tmp_path) == 0
    report = report_of(tmp_path)
    assert report["fine"] and report["kind"] == "none" and len(report["images"]) == 2
    score, ratio, classes = report["rows"]
    assert 0 <= score["value"] <= score["limit"] == 1e-4 and 0 < ratio["value"] <= ratio["limit"] == 1e-3
    assert classes["value"] >= 1 and classes["limit"] is None
    assert "Accuracy is left out: no --data.records" in capsys.readouterr().out
    assert run(digits, digits_saved, photos) == run(digits, digits_saved + "/1", photos) == 0


def test_a_file_of_other_weights_fails(digits_lite, photos, tmp_path, capsys):
    """The weights of the run's last layer are a tenth greater."""
    flagfile, *_ = random_runs.made("classifier_digits", tmp_path / "run", last_gain=1.1)
    assert run(flagfile, digits_lite, photos, out=tmp_path) == 1
    printed, report = capsys.readouterr().out, report_of(tmp_path)
    assert "TOO FAR" in printed
    (what, limit, worst), *_ = [(row["what"], row["limit"], row["value"]) for row in report["rows"] if not row["fine"]]
    assert set(report["far"]) <= set(report["images"])
    assert all(f"too far in {path}: " in printed for path in report["far"])
    values = [values[what] for values in report["far"].values() if what in values]
    assert max(values) == worst and min(values) > limit
    assert run(flagfile, digits_lite, photos, score_tolerance=0.5, out=tmp_path) == 0
    assert not report_of(tmp_path)["far"] and report_of(tmp_path)["tolerance"]["score"] == 0.5


def test_a_checkpoint_with_the_same_scores_for_every_picture_proves_nothing(digits_lite, photos, tmp_path, capsys):
    flagfile, *_ = random_runs.made("classifier_digits", tmp_path, last_gain=0.0)
    assert run(flagfile, digits_lite, photos, score_tolerance=1) == 2
    assert "in 2 images the checkpoint has the same scores for every picture" in capsys.readouterr().err


def test_a_saved_model_that_contradicts_its_metadata_fails(digits, digits_saved, photos, tmp_path, capsys):
    """Two classes have changed places in its metadata and in the run, and not in the network's outputs."""
    version = shutil.copytree(digits_saved + "/1", tmp_path / "saved/1")
    changed = metadata.load(version)
    changed["classes"][0:2] = changed["classes"][1::-1]
    metadata.write(version, changed)
    categories = random_runs.INFO.categories
    folder = shutil.copytree(digits.parent, tmp_path / "run", ignore=shutil.ignore_patterns("saved"))
    info.save(folder, dataclasses.replace(random_runs.INFO, categories=(*categories[1::-1], *categories[2:])))
    assert run(digits, version.parent, photos, workdir=folder) == 1
    assert "classes has" in capsys.readouterr().err


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A run of a small Mask R-CNN, records with its classes, and a TFLite file of it."""
    folder = tmp_path_factory.mktemp("detector")
    scenes.build(str(folder / "data"), "val", 3, scenes.Scenes(height=96, width=128), jobs=1)

    def with_records(experiment):
        return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, records=str(folder / "data")))

    flagfile, *_ = random_runs.made("mask_rcnn", folder / "run", with_records, info.load(folder / "data"))
    return flagfile, exported(tflite, flagfile, folder / "model.tflite", size="96x128")


def test_a_detectors_file_is_as_its_checkpoint_and_so_is_its_accuracy(detector, photos, tmp_path):
    assert run(*detector, photos, out=tmp_path, max_images=2) == 0
    report = report_of(tmp_path)
    rows = {row["what"]: row for row in report["rows"]}
    assert rows["detections of both"]["value"] > 10
    assert rows["detections that agree with none, fraction"]["value"] <= 0.01
    assert 0 < rows["boxes, pixels"]["value"] <= 0.1 and 0 <= rows["masks, 1 - IoU"]["value"] <= 0.01
    own = report["accuracy"]["checkpoint on its pixels"]
    assert report["accuracy"]["artefact"]["box_AP"] == pytest.approx(own["box_AP"], abs=1e-3) and own["images"] == 2


def test_a_detector_that_finds_other_things_fails(detector, photos, capsys, tmp_path):
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **reader.LiteModel.read_metadata(detector[1]))
    assert run(detector[0], other, photos, max_images=1) == 1
    assert "detections that agree with none" in capsys.readouterr().out


def test_int8_with_a_checkpoint_that_finds_nothing_proves_nothing(detector, photos, capsys, tmp_path):
    """A file with the run's metadata and other outputs would pass, by an AP of 0 as the checkpoint's."""
    about = reader.LiteModel.read_metadata(detector[1])
    int8 = about | {"tflite": about["tflite"] | {"quantize": "int8"}}
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **int8)
    assert run(detector[0], other, photos, max_images=1) == 2
    printed = capsys.readouterr()
    assert "which is too low to judge a file of int8" in printed.err
    agree = next(line for line in printed.out.splitlines() if "detections that agree with none" in line)
    assert float(agree.split()[-1]) > 0.9, "shown, and not judged"


def test_a_file_that_is_no_picture_is_named_and_the_others_are_compared(digits, digits_lite, photos, tmp_path, capsys):
    (tmp_path / "torn.png").write_bytes((photos / "0.png").read_bytes()[:100])
    assert run(digits, digits_lite, f"{photos},{tmp_path / 'torn.png'}") == 0
    printed = capsys.readouterr()
    assert "2 of 3 images:" in printed.out and f"not read: {tmp_path / 'torn.png'}" in printed.err
    assert run(digits, digits_lite, tmp_path / "torn.png") == 2
    assert "not one of 1 files could be read" in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    ({"artefact": "nowhere"}, "nowhere: there is no such file or folder"),
    ({"score_tolerance": -2.0}, "--score_tolerance=-2.0: must be at least 0, or -1"),
    ({"workdir": "elsewhere"}, "dataset.json is missing"),
])  # fmt: skip
def test_wrong_flags_end_with_a_sentence(digits, digits_lite, photos, capsys, options, message):
    assert run(digits, **{"artefact": digits_lite, "images": photos} | options) == 2
    assert message in capsys.readouterr().err


def with_metadata(path, copy, change):
    """A copy of a TFLite file with other metadata."""
    shutil.copy(path, copy)
    with zipfile.ZipFile(copy, "a") as files:
        files.writestr(metadata.FILE, json.dumps(reader.LiteModel.read_metadata(path) | change))
    copy.write_bytes(checksums.seal(copy.read_bytes()))
    return copy


GIVEN = {"dtype": "uint8", "size": [28, 28], "fit": "middle", "short_side": 28}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("change, status, message", [
    ({"flags": "--task=detection"}, 2, "is of --task=detection, and the run of classification"),
    ({"classes": [{"id": 1, "name": "only", "colour": None}]}, 2, "has 1 classes (only, ...), and the run 6"),
    ({"step": 3}, 2, "is of step 7: name the other checkpoint with --checkpoint"),
    ({"tflite": {"quantize": "int8", "input": GIVEN}}, 2, "is int8, which is judged by its accuracy"),
    ({"tflite": {"quantize": "none", "input": GIVEN | {"dtype": "float32"}}}, 2, "image is uint8 [1, 28, 28, 3]"),
    # A checkpoint that saw the same wrong part would agree with it.
    ({"tflite": {"quantize": "none", "input": GIVEN | {"short_side": 32}}}, 1,
     "gray levels from that of the checkpoint's evaluation"),
])  # fmt: skip
def test_a_file_of_something_else_is_refused(digits, digits_lite, photos, tmp_path, capsys, change, status, message):
    other = with_metadata(digits_lite, tmp_path / "other.tflite", change)
    assert run(digits, other, photos) == status
    assert message in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_metadata_that_differ_from_the_flags_are_refused(detector, photos, tmp_path, capsys):
    other = with_metadata(detector[1], tmp_path / "other.tflite", {"min_score": 1.0})
    assert run(detector[0], other, photos, max_images=1) == 2
    assert "its metadata has the min_score 1.0, and its flags 0.05" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("tolerance, status", [(1e-4, 0), (1e-12, 1)])
def test_an_int8_file_without_records_is_judged_by_a_limit_that_is_given(
    digits, digits_lite, photos, tmp_path, tolerance, status
):
    """Its scores are nearly the checkpoint's, for it is not int8."""
    int8 = with_metadata(digits_lite, tmp_path / "model.tflite", {"tflite": {"quantize": "int8", "input": GIVEN}})
    assert run(digits, int8, photos, score_tolerance=tolerance) == status


def test_a_file_of_a_run_with_another_network_is_refused(digits_lite, photos, tmp_path, capsys):
    assert run(random_runs.make("classifier", tmp_path), digits_lite, photos) == 2
    printed = capsys.readouterr().err
    assert "seems to be of another run" in printed and "--classifier.name=lenet_modern (run: resnet18)" in printed


# Scores, and pixels of boxes and keypoints, of every kind; what int8 keeps is AP, of trained runs.
ALLOWED = {
    "SavedModel": (1e-5, 0.01),
    "ONNX": (1e-4, 0.1),
    "none": (1e-4, 0.1),
    "float16": (1e-2, 0.5),
    "dynamic": (1e-2, 0.5),
}
COMMANDS = {"SavedModel": (saved_model, {}), "ONNX": (onnx, {})}  # The others are kinds of TFLite files.
SIZES = {"classifier_digits": "28x28", "classifier": "32x32"}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, marks=() if recipe == "classifier_digits" else pytest.mark.long)
        for recipe in random_runs.RECIPES
    ],
)
def test_every_recipe_is_within_the_tolerance_of_every_kind(recipe, photos, tmp_path):
    pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    flagfile = random_runs.make(recipe, tmp_path / "run")
    for kind, allowed in ALLOWED.items():
        command, own = COMMANDS.get(kind, (tflite, {"quantize": kind}))
        options = own if kind == "SavedModel" else {"size": SIZES.get(recipe, "64x96")} | own
        model = exported(command, flagfile, tmp_path / f"{kind}.{command.__name__.partition('.')[2]}", **options)
        assert run(flagfile, model, photos, out=tmp_path) == 0, kind
        report = report_of(tmp_path)
        assert report["kind"] == kind and len(report["images"]) == 2
        values = {row["what"]: row["value"] for row in report["rows"]}
        assert values.get("detections of both", 1) > 0
        assert (report["tolerance"]["score"], report["tolerance"]["box"]) == allowed
