"""From a file of weights to a detector of other classes: the commands that a person gives, and nothing between.

The weights are seeded, in the names of torchvision's file; the images are synthetic scenes.
"""

import json

import numpy as np
import pytest
import safetensors.numpy

from pipelines import scenes
from tests import sides
from tests.processes import run
from tests.runs import section

NAME = "fasterrcnn_mobilenet_v3_large_320_fpn"
SMALL = ("--data.eval_short_side=96", "--data.long_side=128", "--data.eval_batch_size=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with data, the imported run and one that continued from it for two steps, and what training printed."""
    folder = tmp_path_factory.mktemp("finetune")
    for split, count in (("train", 4), ("val", 2)):
        scenes.build(str(folder / "data"), split, count, jobs=1)
    shapes = json.loads(str(sides.reference_of(NAME)["shapes"]))
    safetensors.numpy.save_file(sides.seeded("seeded_weights").state(shapes), folder / "weights.safetensors")
    run(
        "tfrecog.import_weights", f"--model={NAME}", f"--weights={folder / 'weights.safetensors'}",
        f"--out={folder / 'imported'}",
    )  # fmt: skip
    printed = run(
        "tfrecog.train", "--flagfile=configs/finetune/faster_rcnn_mobilenet_v3_320_fpn.flags",
        f"--train.start_from={folder / 'imported'}", f"--data.records={folder / 'data'}",
        f"--workdir={folder / 'run'}", "--data.short_side=96", *SMALL, "--data.batch_size=2", "--schedule.epochs=1",
        "--schedule.warmup_epochs=0", "--schedule.drop_epochs=", "--train.evaluate_epochs=1", "--train.log_steps=1",
        "--train.summary_images=0",
    )  # fmt: skip
    return folder, printed


def test_all_but_the_last_layers_start_from_the_file_and_the_first_stages_stay(trained):
    folder, printed = trained
    before, after = section(folder / "imported"), section(folder / "run")
    others = {name for name in before if before[name].shape != after[name].shape}
    assert others == {f"box/{layer}/{leaf}" for layer in ("logits", "deltas") for leaf in ("kernel", "bias")}
    assert f"{len(before) - 4} of {len(before)} variables start from" in printed
    same = {name for name in before.keys() - others if np.array_equal(before[name], after[name])}
    assert "backbone/stem/kernel" in same and "trunk/dense1/kernel" not in same
    assert after["box/logits/bias"].shape == (len(scenes.CLASSES) + 1,)


def test_what_was_trained_is_evaluated_by_its_own_classes(trained):
    report = json.loads((trained[0] / "run" / "metrics.json").read_text())
    assert report["step"] == 2 and 0 <= report["metrics"]["box_AP"] <= 1
    assert [row["name"] for row in report["classes"]] == list(scenes.CLASSES)


def test_what_was_trained_predicts_its_own_classes(trained):
    folder, _ = trained
    flags = f"--flagfile={folder / 'run' / 'experiment.flags'}"
    run("pipelines.extract", f"--data={folder / 'data'}", "--split=val", "--count=2", f"--out={folder / 'photos'}")
    run("tfrecog.predict", flags, f"--images={folder / 'photos'}/*.jpg", f"--out={folder / 'seen'}", "--min_score=0.01")
    rows = json.loads((folder / "seen" / "detections.json").read_text())
    assert rows and {row["category_id"] for row in rows} <= set(range(1, len(scenes.CLASSES) + 1))
