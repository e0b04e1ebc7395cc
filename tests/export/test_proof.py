"""Every smoke recipe, exported in every way, is as its checkpoint to what `export.verify` allows."""

import json

import pytest

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import saved_model, tflite
from export.parity import verification
from tests.export import random_runs
from tests.export.test_verify import decided_digits, exported, photos, run

__all__ = ["photos"]
# Scores, and pixels of boxes and keypoints.
ALLOWED = {"SavedModel": (1e-5, 0.01), "none": (1e-4, 0.1), "float16": (1e-2, 0.5), "dynamic": (1e-2, 0.5)}
SIZES = {"classifier_digits": "28x28", "classifier": "32x32"}


@pytest.fixture(scope="module")
def flagfiles(tmp_path_factory):
    """Runs by the name of their recipe, each made once."""
    made = {}

    def of(recipe):
        if recipe not in made:
            make = decided_digits if recipe == "classifier_digits" else lambda folder: random_runs.make(recipe, folder)
            made[recipe] = make(tmp_path_factory.mktemp(recipe))
        return made[recipe]

    return of


# What int8 keeps is AP, of trained runs.
CASES = [(recipe, kind) for recipe in random_runs.RECIPES for kind in ALLOWED]
REPRESENTATIVES = ("mask_rcnn", "SavedModel"), ("classifier", "dynamic")


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [pytest.param(*case, marks=() if case in REPRESENTATIVES else pytest.mark.long) for case in CASES],
)
def test_every_recipe_is_within_the_tolerance_of_every_kind(recipe, kind, flagfiles, photos, tmp_path):
    if kind in ("float16", "dynamic"):
        pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
    flagfile = flagfiles(recipe)
    if kind == "SavedModel":
        artefact = exported(saved_model, flagfile, tmp_path / "saved")
    else:
        size = SIZES.get(recipe, "64x96")
        artefact = exported(tflite, flagfile, tmp_path / "model.tflite", size=size, quantize=kind)
    assert run(flagfile, artefact, photos, out=tmp_path) == 0
    report = json.loads((tmp_path / verification.REPORT).read_text())
    assert report["kind"] == kind and len(report["images"]) == 2
    values = {row["what"]: row["value"] for row in report["rows"]}
    if "detections of both" in values:
        assert values["detections of both"] > 0
    assert (report["tolerance"]["score"], report["tolerance"]["box"]) == ALLOWED[kind]
