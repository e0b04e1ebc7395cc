"""An artefact against its checkpoint, by the command: equal ones pass, changed ones fail, and others are refused."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import saved_model, tflite, verify
from pipelines import scenes
from tests.export import random_runs, stand_in
from tfrecog import checkpoints, flagged, tasks
from tfrecog.data import info


def exported(command, flagfile, out, **options):
    given = flagged.load(command.Export(), flagfile)
    command.main(dataclasses.replace(given, out=str(out), **options))
    return str(out)


def run(flagfile, artefact, images, **options):
    """The exit status of the command."""
    given = flagged.load(verify.Verification(), flagfile)
    with pytest.raises(SystemExit) as end:
        verify.main(dataclasses.replace(given, artefact=str(artefact), images=str(images), **options))
    return end.value.code


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


def test_a_classifiers_files_are_as_its_checkpoint(digits, digits_lite, photos, tmp_path, capsys):
    assert run(digits, digits_lite, photos, out=str(tmp_path)) == 0
    report = json.loads((tmp_path / verify.REPORT).read_text())
    assert report["fine"] and report["kind"] == "none" and len(report["images"]) == 2
    (row,) = report["rows"]
    assert 0 <= row["value"] <= row["limit"] == 1e-4
    assert "Accuracy is left out: no --data.records" in capsys.readouterr().out
    saved = exported(saved_model, digits, tmp_path / "saved")
    assert run(digits, saved, photos) == run(digits, tmp_path / "saved" / "1", photos) == 0


def test_a_changed_artefact_fails(digits, photos, tmp_path, capsys):
    """The weights of its last layer are a tenth greater."""
    other = random_runs.make("classifier_digits", tmp_path)
    experiment = flagged.load(verify.Experiment(), other)
    model = tasks.build(experiment, random_runs.INFO).build()
    checkpoints.restore(checkpoints.latest(str(tmp_path)), model)
    kernel = [variable for variable in model.trainable_variables if variable.path.endswith("kernel")][-1]
    kernel.assign(kernel * 1.1)
    checkpoints.save(tmp_path, random_runs.STEP, model, None, keep=1)
    changed = exported(tflite, other, tmp_path / "changed.tflite")
    assert run(digits, changed, photos) == 1
    assert "TOO FAR" in capsys.readouterr().out
    assert run(digits, changed, photos, score_tolerance=0.5) == 0


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A run of a small Mask R-CNN, records with its classes, and a TFLite file of it."""
    folder = tmp_path_factory.mktemp("detector")
    scenes.build(str(folder / "data"), "val", 3, scenes.Scenes(height=96, width=128), jobs=1)
    (folder / "run").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random_runs, "INFO", info.load(folder / "data"))

        def with_records(experiment):
            return dataclasses.replace(
                experiment, data=dataclasses.replace(experiment.data, records=str(folder / "data"))
            )

        flagfile = random_runs.make("mask_rcnn", folder / "run", with_records)
    return flagfile, exported(tflite, flagfile, folder / "model.tflite", size="96x128")


def test_a_detectors_file_is_as_its_checkpoint_and_so_is_its_accuracy(detector, photos, tmp_path):
    assert run(*detector, photos, out=str(tmp_path), count=2) == 0
    report = json.loads((tmp_path / verify.REPORT).read_text())
    rows = {row["what"]: row for row in report["rows"]}
    assert rows["detections of the checkpoint"]["value"] > 0
    assert rows["matched"]["value"] > 0 and rows["only of the artefact"]["value"] == 0
    assert rows["boxes, pixels"]["value"] <= 0.1 and rows["masks, lowest IoU"]["value"] >= 0.99
    own = report["accuracy"]["checkpoint on its pixels"]
    assert report["accuracy"]["artefact"]["box_AP"] == pytest.approx(own["box_AP"], abs=1e-3) and own["images"] == 2


def test_a_detector_that_finds_other_things_fails(detector, photos, tmp_path):
    """A file with the metadata of the run's, which always says the same."""
    from export import lite_model

    about = lite_model.read_metadata(detector[1])
    metadata = {name: value for name, value in about.items() if name != "tflite"}
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **metadata)
    assert run(detector[0], other, photos, count=1) == 1


@pytest.mark.parametrize("options, message", [
    ({"artefact": ""}, "--artefact: name a TFLite file"),
    ({"artefact": "nowhere"}, "nowhere: there is no such file or folder"),
    ({"images": ""}, "--images: name the pictures"),
    ({"score_tolerance": -2.0}, "--score_tolerance=-2: a tolerance is 0 or more"),
    ({"count": -1}, "--count is at least 0"),
    ({"workdir": "elsewhere"}, "dataset.json is missing"),
])  # fmt: skip
def test_wrong_flags_end_with_a_sentence(digits, digits_lite, photos, capsys, options, message):
    given = {"artefact": digits_lite, "images": photos} | options
    assert run(digits, **given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("change, message", [
    ({"flags": "--task=detection"}, "is of --task=detection, and the run of classification"),
    ({"classes": [{"id": 1, "name": "only", "colour": None}]}, "has 1 classes (only, ...), and the run 6"),
    ({"step": 3}, "is of step 7: name the other with --checkpoint"),
    ({"tflite": {"quantize": "int8", "input": {"size": [28, 28]}}}, "is int8, which is judged by its accuracy"),
])  # fmt: skip
def test_an_artefact_of_something_else_is_refused(digits, digits_lite, photos, tmp_path, capsys, change, message):
    from export import lite_model

    about = lite_model.read_metadata(digits_lite) | change
    other = stand_in.colours(tmp_path / "other.tflite", 28, 28, **about)
    assert run(digits, other, photos) == 2
    assert message in capsys.readouterr().err


def test_masks_as_padded_run_lengths_are_read():
    """Zeros behind the runs are padding; a zero before them says that the first pixel is on."""
    from export import saved_reader
    from tfrecog import run_lengths

    for corner in (0, 1):
        mask = np.zeros([6, 5], bool)
        mask[corner:4, corner:] = True
        padded = np.pad(run_lengths.of_mask(mask), (0, 7))
        np.testing.assert_array_equal(run_lengths.to_mask(saved_reader._unpadded(padded, 30), 6, 5), mask)
