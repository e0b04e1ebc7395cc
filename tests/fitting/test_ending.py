import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from tfrecog.fitting.plan import Choice, Plan
from tfrecog.fitting.session import ending
from tfrecog.runs import checkpoints

MEASURED = {"batch": 4, "most": 3000}
FACTS = {"images": 40, "short": (96, 300, 480), "ratio": (1.0, 1.33, 1.5), "wide": 1.0}
PLAN = Plan((Choice("task", {"task": "detection"}, ""),), FACTS, {}, 20.0, 1000, MEASURED)


def test_every_command_of_what_to_type_next_is_one_of_ours(tmp_path):
    from tests.commands import COMMANDS

    lines = ending.next_steps(PLAN, tmp_path, "photos", best=True)
    called = [line.split()[2] for line in lines if line.startswith("  python -m ")]
    assert {"tfrecog.predict", "tfrecog.evaluate", "export.tflite", "tfrecog.fit", "tfrecog.train"} == set(called)
    assert set(called) <= set(COMMANDS)
    assert sum("--checkpoint=best" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("task", "side", "wide", "size"),
    [
        ("detection", 320, 1.0, "320x448"),
        ("detection", 320, 0.0, "448x320"),
        ("detection", 320, 0.5, "448x448"),
        ("segmentation", 0, 1.0, "320x416"),
        ("classification", 320, 1.0, ""),
    ],
)
def test_the_export_that_is_named_holds_the_pictures_as_they_are_evaluated(task, side, wide, size):
    from export import tflite
    from export.litert import sizes
    from tfrecog.cli import flags

    chosen = Choice("task", {"task": task, "data.eval_short_side": side}, "")
    plan = dataclasses.replace(PLAN, choices=(chosen,), facts=FACTS | {"wide": wide})
    (line,) = (one for one in ending.next_steps(plan, Path("run"), "photos") if "export.tflite" in one)
    assert line.endswith(f" --size={size}" if size else "--out=run.tflite")
    asked = dataclasses.replace(flags.change(tflite.Flags(), [f"--task={task}"]), size=size)
    assert sizes.input_of(asked)["size"] == ([*map(int, size.split("x"))] if size else [224, 224])


def test_names_with_spaces_can_be_pasted():
    lines = ending.next_steps(PLAN, Path("my runs/cells"), "'my photos'")
    words = [word for line in lines if line.startswith("  python -m ") for word in shlex.split(line)]
    expected = {"--flagfile=my runs/cells", "--out=my runs/cells-longer", "--workdir=my runs/cells-again", "my photos"}
    assert expected <= {*words}


@pytest.mark.parametrize(("last", "objects", "better"), [(0.49, 400, True), (0.496, 400, False), (0.3, 99, False)])
def test_an_earlier_checkpoint_is_the_one_to_use_where_it_is_better_by_more_than_luck(tmp_path, last, objects, better):
    # A quarter of the standard error of 0.49 of 400 objects is 0.00624.
    for step in (100, 200):
        (tmp_path / "checkpoints" / f"step-{step:08d}").mkdir(parents=True)
    checkpoints.mark_if_best(tmp_path, 100, {"box_AP": 0.5}, ["mask_AP", "box_AP"])
    found = ending._best(tmp_path, {"box_AP": last}, objects)
    assert found == (tmp_path / "checkpoints/step-00000100" if better else None)


def test_more_minutes_are_offered_with_what_they_buy_where_they_buy_something():
    # 1,000 steps of 4 are 100 passes over 40 pictures; three times that is 300, and 3,000 steps are of use at most.
    assert ending.gain_of(PLAN, 1000) == "300 passes over the pictures instead of 100"
    full = Plan(PLAN.choices, PLAN.facts, {}, 20.0, 3000, MEASURED)
    assert ending.gain_of(full, 3000) == ""
    assert not any("tfrecog.fit" in line for line in ending.next_steps(full, Path("runs/mine"), "photos"))


@pytest.mark.parametrize(
    ("thresholds", "flag"),
    [([0.31, 0.38, 0.9], " --min_score=0.35"), ([0.01, None], " --min_score=0.05"), ([0.52], ""), ([None], "")],
)
def test_scores_that_are_still_low_are_looked_at_from_where_they_are_best(tmp_path, thresholds, flag):
    classes = [{"best": None if one is None else {"threshold": one}} for one in thresholds]
    (tmp_path / "diagnosis.json").write_text(json.dumps({"classes": classes}))
    (predict,) = (one for one in ending.next_steps(PLAN, tmp_path, "photos") if "tfrecog.predict" in one)
    assert predict.endswith(f"--model={tmp_path}{flag}")
