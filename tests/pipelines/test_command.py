import subprocess
import sys

import pytest

from tests.folders import REPOSITORY


def _run(module, *arguments):
    command = [sys.executable, "-m", f"pipelines.{module}", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_a_misspelt_flag_is_answered_with_the_right_one():
    run = _run("scenes", "--cuont=3", "--split=train", "--out=x")
    assert run.returncode == 2 and "did you mean --count" in run.stderr


def test_a_missing_flag_is_named():
    run = _run("coco", "--images=x", "--split=train", "--out=x")
    assert run.returncode == 2 and "--annotations" in run.stderr


def test_a_word_that_is_no_flag_is_refused():
    run = _run("check", "--data=x", "stray")
    assert run.returncode == 2 and "'stray' is not a flag" in run.stderr


def test_a_mistake_is_one_line_without_a_traceback(tmp_path):
    run = _run("check", f"--data={tmp_path}")
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and "dataset.json is missing" in run.stderr
    assert "Traceback" not in run.stderr and run.stdout == ""


@pytest.mark.parametrize("module", ["coco", "scenes", "check", "adopt"])
def test_help_shows_an_example_and_every_flag(module):
    run = _run(module, "--help")
    assert f"python -m pipelines.{module}" in run.stdout and "--jobs" in run.stdout


def test_the_commands_leave_tensorflow_alone():
    code = "import sys; from pipelines import adopt, check, coco, scenes; print('tensorflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("False\n", "")


def test_the_coco_command_sums_up_its_problems(small_coco, tmp_path):
    small_coco.tree["annotations"] += [small_coco.square(number, 1, bbox=[9, 9, 0, 5]) for number in range(50, 55)]
    arguments = [*(f"--{name}={path}" for name, path in small_coco.write().items()), "--split=train", "--jobs=1"]
    run = _run("coco", *arguments, f"--out={tmp_path / 'out'}")
    assert run.returncode == 0, run.stderr
    assert "5 problems" in run.stdout and "5  box without area" in run.stdout and "... and 2 more" in run.stdout
    assert "1.png, image 1, annotation 50: bbox (x, y, width, height) is [9, 9, 0, 5]" in run.stdout
    assert "2 images, 2 instances and 0 crowds" in run.stdout
    assert len((tmp_path / "out" / "train.report.jsonl").read_text().splitlines()) == 5
    run = _run("coco", *arguments, "--strict", f"--out={tmp_path / 'strict'}")
    assert run.returncode == 2 and "5  box without area" in run.stderr and not (tmp_path / "strict").exists()
