import subprocess
import sys

import pytest

from pipelines import coco
from tests.folders import REPOSITORY
from tfrecog.cli import command
from tfrecog.cli.errors import UserError


def test_a_missing_flag_is_named():
    with pytest.raises(UserError, match="--annotations is missing"):
        command.parse(coco.Coco(), ["--images=x", "--split=train", "--out=x"], required=("images", "annotations"))


def test_the_commands_leave_tensorflow_alone():
    code = "import sys; from pipelines import adopt, check, coco, scenes; print('tensorflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_the_coco_command_sums_up_its_problems(small_coco, tmp_path, capsys):
    small_coco.tree["annotations"] += [small_coco.square(number, 1, bbox=[9, 9, 0, 5]) for number in range(50, 55)]
    small_coco.tree["annotations"] += [small_coco.square(number, 2) for number in range(60, 63)]
    flags = {**small_coco.write(), "split": "train", "jobs": 1}
    coco.main(coco.Coco(**flags, out=str(tmp_path / "out")))
    shown = capsys.readouterr().out
    assert "5 problems" in shown and "5  box without area" in shown and "... and 2 more" in shown
    assert "1.png, image 1, annotation 50: bbox (x, y, width, height) is [9, 9, 0, 5]" in shown
    assert "train has 2 images of 2 classes in 1 shard\n5 objects and 0 crowds" in shown
    assert len((tmp_path / "out" / "train.report.jsonl").read_text().splitlines()) == 5
    with pytest.raises(UserError, match="5  box without area"):
        coco.main(coco.Coco(**flags, strict=True, out=str(tmp_path / "strict")))
    assert not (tmp_path / "strict").exists()
