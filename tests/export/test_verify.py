"""An artefact against its checkpoint, by the command: equal ones pass, changed ones fail, and others are refused."""

import dataclasses
import json
import shutil
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import saved_model, tflite, verify
from export.parity import verification
from pipelines import scenes
from tests.export import commands, random_runs, stand_in
from tfrecog.cli import errors
from tfrecog.data import info
from tfrecog.runs import checkpoints


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
    return decided_digits(tmp_path_factory.mktemp("digits"))


def decided_digits(folder, gain=1.5):
    """A run whose last layer is far from zero, where it would start, so that pictures have scores of their own."""
    flagfile, _, model = random_runs.made("classifier_digits", folder)
    kernel = [variable for variable in model.trainable_variables if variable.path.endswith("kernel")][-1]
    kernel.assign(gain * np.random.default_rng(0).normal(size=kernel.shape))
    checkpoints.save(folder, random_runs.STEP, model, None, keep=1)
    return flagfile


@pytest.fixture(scope="module")
def digits_lite(digits):
    return exported(tflite, digits, digits.parent / "model.tflite")


def test_a_classifiers_files_are_as_its_checkpoint(digits, digits_lite, photos, tmp_path, capsys):
    assert run(digits, digits_lite, photos, out=tmp_path) == 0
    report = json.loads((tmp_path / verification.REPORT).read_text())
    assert report["fine"] and report["kind"] == "none" and len(report["images"]) == 2
    score, ratio, classes = report["rows"]
    assert 0 <= score["value"] <= score["limit"] == 1e-4 and 0 < ratio["value"] <= ratio["limit"] == 1e-3
    assert classes["value"] >= 1 and classes["limit"] is None
    assert "Accuracy is left out: no --data.records" in capsys.readouterr().out
    saved = exported(saved_model, digits, tmp_path / "saved")
    assert run(digits, saved, photos) == run(digits, tmp_path / "saved" / "1", photos) == 0


def test_a_changed_artefact_fails(digits, photos, tmp_path, capsys):
    """The weights of its last layer are a tenth greater."""
    changed = exported(tflite, decided_digits(tmp_path, 1.65), tmp_path / "changed.tflite")
    assert run(digits, changed, photos, out=tmp_path) == 1
    said, report = capsys.readouterr().out, json.loads((tmp_path / verification.REPORT).read_text())
    assert "TOO FAR" in said
    (what, limit, worst), *_ = [(row["what"], row["limit"], row["value"]) for row in report["rows"] if not row["fine"]]
    assert set(report["far"]) <= set(report["images"])
    assert all(f"too far in {path}: " in said for path in report["far"])
    values = [values[what] for values in report["far"].values() if what in values]
    assert max(values) == worst and min(values) > limit
    assert run(digits, changed, photos, score_tolerance=0.5, out=tmp_path) == 0
    assert not json.loads((tmp_path / verification.REPORT).read_text())["far"]


def test_a_checkpoint_that_says_the_same_of_every_picture_proves_nothing(photos, tmp_path, capsys):
    flagfile = decided_digits(tmp_path, 0.0)
    assert run(flagfile, exported(tflite, flagfile, tmp_path / "model.tflite"), photos) == 2
    assert "in 2 images the checkpoint has the same scores for every picture" in capsys.readouterr().err


def test_a_saved_model_that_contradicts_its_metadata_fails(digits, photos, tmp_path, capsys):
    """Two classes have changed places in it, in the folder's texts and in the run, and not in the network's answers."""
    from export.artifact import metadata
    from export.served_graph import versions

    exported(saved_model, digits, tmp_path)
    version = versions.latest(tmp_path)
    about = metadata.load(version)
    about["classes"][0:2] = about["classes"][1::-1]
    metadata.write(version / metadata.EXTRA, about)
    order = (1, 0, *range(2, 6))
    given = dataclasses.replace(random_runs.INFO, categories=tuple(random_runs.INFO.categories[i] for i in order))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification.trained, "get_dataset", lambda _: given)
        assert run(digits, tmp_path, photos) == 1
    assert "classes says" in capsys.readouterr().err


def test_a_file_that_cuts_out_another_part_of_the_photo_fails(digits, digits_lite, photos, tmp_path, capsys):
    """A checkpoint that saw the same wrong part would agree with it."""
    from export.litert import reader

    about = reader.read_metadata(digits_lite)
    given = about["tflite"]["input"]
    about["tflite"]["input"] = given | {"short_side": given["short_side"] + 4}
    other = stand_in.colours(tmp_path / "other.tflite", 28, 28, **about)
    assert run(digits, other, photos) == 1
    assert "gray levels off what the checkpoint is evaluated on" in capsys.readouterr().err


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
    assert run(*detector, photos, out=tmp_path, max_images=2) == 0
    report = json.loads((tmp_path / verification.REPORT).read_text())
    rows = {row["what"]: row for row in report["rows"]}
    assert rows["detections of both"]["value"] > 10
    assert rows["detections that agree with none, share"]["value"] <= 0.01
    assert 0 < rows["boxes, pixels"]["value"] <= 0.1 and 0.99 <= rows["masks, lowest IoU"]["value"] <= 1
    own = report["accuracy"]["checkpoint on its pixels"]
    assert report["accuracy"]["artefact"]["box_AP"] == pytest.approx(own["box_AP"], abs=1e-3) and own["images"] == 2


def test_a_detector_that_finds_other_things_fails(detector, photos, tmp_path):
    """A file with the metadata of the run's, which always says the same."""
    from export.litert import reader

    about = reader.read_metadata(detector[1])
    metadata = {name: value for name, value in about.items() if name != "tflite"}
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **metadata)
    assert run(detector[0], other, photos, max_images=1) == 1


def test_a_file_that_is_no_picture_is_named_and_the_others_are_compared(digits, digits_lite, photos, tmp_path, capsys):
    (tmp_path / "torn.png").write_bytes((photos / "0.png").read_bytes()[:100])
    assert run(digits, digits_lite, f"{photos},{tmp_path / 'torn.png'}") == 0
    said = capsys.readouterr()
    assert "2 of 3 images:" in said.out and f"not read: {tmp_path / 'torn.png'}" in said.err
    assert run(digits, digits_lite, tmp_path / "torn.png") == 2
    assert "not one of the files could be read" in capsys.readouterr().err


def test_int8_with_a_checkpoint_that_finds_nothing_proves_nothing(detector, photos, tmp_path, capsys):
    """An AP of 0 is as the checkpoint's AP of 0."""
    from export.litert import reader

    about = reader.read_metadata(detector[1])
    metadata = about | {"tflite": about["tflite"] | {"quantize": "int8"}}
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **metadata)
    assert run(detector[0], other, photos, max_images=1) == 2
    assert "which is too low to judge an int8 artefact" in capsys.readouterr().err


def test_metadata_that_say_otherwise_than_the_flags_are_refused(detector, photos, tmp_path, capsys):
    from export.litert import reader

    about = reader.read_metadata(detector[1]) | {"min_score": 1.0}
    other = stand_in.red_finder(tmp_path / "other.tflite", (96, 128), **about)
    assert run(detector[0], other, photos, max_images=1) == 2
    assert "its metadata has the min_score 1.0, and its flags 0.05" in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    ({"artefact": "nowhere"}, "nowhere: there is no such file or folder"),
    ({"score_tolerance": -2.0}, "--score_tolerance=-2.0: must be at least 0, or -1"),
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
    from export.litert import reader

    about = reader.read_metadata(digits_lite) | change
    other = stand_in.colours(tmp_path / "other.tflite", 28, 28, **about)
    assert run(digits, other, photos) == 2
    assert message in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_int8_file_without_records_is_judged_by_a_limit_that_is_given(digits, digits_lite, photos, tmp_path):
    from export.litert import reader

    metadata = reader.read_metadata(digits_lite)
    metadata["tflite"]["quantize"] = "int8"  # What it is not: its scores are nearly the checkpoint's.
    path = tmp_path / "model.tflite"
    shutil.copy(digits_lite, path)
    with zipfile.ZipFile(path, "a") as files:
        files.writestr(reader.FILE, json.dumps(metadata))
    assert run(digits, path, photos) == 2
    assert run(digits, path, photos, score_tolerance=1e-4) == 0
    assert run(digits, path, photos, score_tolerance=1e-12) == 1


def test_a_file_that_takes_other_pixels_than_its_metadata_says_is_refused(
    digits, digits_lite, photos, tmp_path, capsys
):
    from export.litert import reader

    other = stand_in.colours(tmp_path / "other.tflite", 28, 28, **reader.read_metadata(digits_lite))
    assert run(digits, other, photos) == 2
    assert "does not run as its tfrecog.json says" in capsys.readouterr().err


def test_an_artefact_of_a_run_with_another_network_is_refused(digits_lite, photos, tmp_path, capsys):
    assert run(random_runs.make("classifier", tmp_path), digits_lite, photos) == 2
    said = capsys.readouterr().err
    assert "seems to be of another run" in said and "--classifier.name=lenet_modern (run: resnet18)" in said
