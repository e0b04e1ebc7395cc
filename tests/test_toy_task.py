"""A task is added to a copy of the tree as CONTRIBUTING says, and trained, evaluated and shown pictures."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines import scenes
from tests.folders import REPOSITORY
from tests.processes import Process

TOY = REPOSITORY / "tests" / "toy_task"  # the files of the task, at their places in the tree

# What changes in the files of the tree: its section of config, and one line.
CHANGES = {
    "tfrecog/config/experiment.py": [
        (
            "from tfrecog.config.data import",
            "from tfrecog.config.counting import CountingConfig\nfrom tfrecog.config.data import",
        ),
        ('"classification", "segmentation"]', '"classification", "segmentation", "counting"]'),
        (
            "    optim: OptimConfig",
            '    counting: Annotated[CountingConfig, For("counting"), Exported()] = '
            "field(default_factory=CountingConfig)\n"
            "    optim: OptimConfig",
        ),
    ],
    "tfrecog/tasks/__init__.py": [
        ('    "detection": ', '    "counting": "Counting",\n    "detection": '),
    ],
}

# Commands of the copy, one after the other in one process.
COMMANDS = """
import pathlib, runpy, sys
sys.path.insert(0, str(pathlib.Path(__file__).parent))
for line in sys.argv[1:]:
    name, *sys.argv[1:] = line.split()
    try:
        runpy.run_module(f"tfrecog.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree with the task."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("tfrecog", "configs"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(TOY, folder, dirs_exist_ok=True)
    for name, changes in CHANGES.items():
        text = (folder / name).read_text()
        for old, new in changes:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        (folder / name).write_text(text)
    (folder / "commands.py").write_text(COMMANDS)
    return folder


def run(tree, *lines):
    """Exit status and output of commands."""
    return Process(tree / "commands.py", *lines, cwd=tree).finish(timeout=300)


def test_a_new_task_is_trained_evaluated_and_shown_pictures(tree, tmp_path):
    for split, count in (("train", 8), ("val", 3)):
        scenes.build(str(tmp_path / "data"), split, count, scenes.Scenes(height=64, width=80), jobs=1)
    Image.fromarray(np.full([40, 50, 3], 90, np.uint8)).save(tmp_path / "photo.png")
    workdir = tmp_path / "run"
    status, output = run(
        tree,
        f"train --flagfile=configs/smoke/counting.flags --data.records={tmp_path}/data --workdir={workdir}",
        f"evaluate --flagfile={workdir}/experiment.flags --checkpoint=best",
        f"predict --flagfile={workdir}/experiment.flags --images={tmp_path}/photo.png --out={tmp_path}/seen",
    )
    assert status == 0, output
    assert "finished 2 steps" in output  # of 4 images each, of 8
    assert "% exact" in output
    report = json.loads((workdir / "metrics.json").read_text())
    assert report["images"] == 3 and report["step"] == 2 and 0 <= report["metrics"]["exact"] <= 1
    assert "--counting.side=32\n" in (workdir / "experiment.flags").read_text()
    (row,) = json.loads((tmp_path / "seen" / "predictions.json").read_text())
    assert row["file_name"] == f"{tmp_path}/photo.png" and np.isfinite(row["count"])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--task=counting --detector.masks=true", "--detector.masks=true: is not read with --task=counting"),
        ("--counting.side=9", "--counting.side=9: is not read with --task=detection, only with counting"),
        ("--task=counting --counting.side=0", "--counting.side=0: must be more than 0 pixels"),
    ],
)
def test_its_settings_are_checked_as_all_are(tree, flags, sentence):
    status, output = run(tree, f"train {flags} --data.records=data --workdir=run")
    assert status == 2 and output.startswith(f"error: {sentence}")
