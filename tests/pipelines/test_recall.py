import dataclasses

import numpy as np
import pytest
from PIL import Image

from pipelines import proposals, scenes
from pipelines.check import check
from pipelines.inspect import recall
from tests.metrics.truth import truth_of


def record(boxes, proposals, **changes):
    """Of boxes whose classes are 1, 2, 1, ..."""
    return truth_of(boxes, np.arange(len(boxes)) % 2 + 1, proposals=np.float32(proposals).reshape(-1, 4), **changes)


def test_recall_grows_with_the_number_of_proposals():
    """A 40 x 40 object overlaps with its half by 0.5, which comes first; with itself, which is the 11th, by 1."""
    far = [[80, 80, 90, 90]] * 9
    coverage = recall.Coverage()
    coverage.add(record([[0, 0, 40, 40]], [[0, 0, 20, 40], *far, [0, 0, 40, 40]]))
    assert coverage.numbers() == [(10, [1.0, 0.0], 0.5, 0.5), (11, [1.0, 1.0], 1.0, 1.0)]


def test_the_mean_of_the_classes_weighs_them_alike():
    """Classes 1, 2, 1: overlaps 1, 0, 1, so 2/3 over the objects and 1/2 over the classes; the second is small."""
    boxes = [[0, 0, 40, 40], [50, 50, 60, 60], [0, 50, 40, 90]]
    coverage = recall.Coverage() + recall.Coverage()
    coverage.add(record(boxes, [boxes[0], boxes[2]]))
    (_, of_all, abo, mabo), (_, of_large, abo_large, _) = coverage.numbers()[0], coverage.numbers(recall.LARGE)[0]
    assert of_all == [2 / 3, 2 / 3] and abo == pytest.approx(2 / 3) and mabo == 0.5
    assert of_large == [1.0, 1.0] and abo_large == 1


def test_crowds_difficult_objects_and_empty_boxes_do_not_count_and_images_without_proposals_miss_all():
    boxes = [[0, 0, 40, 40], [50, 50, 90, 90], [5, 5, 5, 9]]
    one = record(boxes, [[0, 0, 40, 40]], difficult=np.array([False, True, False]))
    one.crowd[0] = True
    coverage = recall.Coverage()
    coverage.add(one)
    assert coverage.best == [] and coverage.counts == [1]
    coverage.add(record(boxes[:2], []))
    coverage.add(dataclasses.replace(one, proposals=None))
    assert coverage.numbers() == [(1, [0.0, 0.0], 0.0, 0.0)] and coverage.counts == [1, 0]
    assert "1 images have none" in coverage.lines()[0]


def test_check_reports_and_draws_the_recall_of_a_split(tmp_path):
    scenes.build(str(tmp_path / "data"), "val", 3, scenes.Scenes(height=64, width=80, max_objects=2), jobs=1)
    out = str(tmp_path / "grid")
    proposals.build(
        proposals.Proposals(data=str(tmp_path / "data"), split="val", out=out, method="grid", max=500, jobs=1)
    )
    facts = check(out, "val", jobs=1)
    assert facts.coverage.counts == [500] * 3 and len(facts.coverage.best) == facts.instances
    assert f"{facts.instances} objects: recall" in facts.table(("a", "b", "c")) and not facts.damage
    recall.draw({"val": facts.coverage}, str(tmp_path / "recall.png"))
    with Image.open(tmp_path / "recall.png") as picture:
        assert picture.size == (1040, 400)
