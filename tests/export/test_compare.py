"""Two detectors side by side: which detections agree, and how far those are apart."""

import dataclasses

import numpy as np
import pytest

from export.parity import compare
from tfrecog.ops import pasting, rle

TOLERANCE = compare.Tolerance(score=1e-3, box=0.1, mask=0.01, pixel=0.01, unmatched=0.0, ap=0.0)
METADATA = {"mask_threshold": 0.5, "paste": "torchvision"}
PHOTO = (50, 60)


def found(*rows, **more):
    """Detections of rows (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    outputs = {"labels": np.array(labels, int), "scores": np.array(scores, np.float32)}
    return outputs | {"boxes": np.array(boxes, np.float32).reshape(-1, 4)} | more


A, B, FAR = [10, 10, 20, 30], [30, 5, 45, 25], [1, 40, 9, 58]
TWO = found((1, 0.9, A), (2, 0.6, B))


def of(checkpoint, exported, **tolerances):
    tolerance = dataclasses.replace(TOLERANCE, **tolerances)
    return compare.detections(checkpoint, exported, tolerance, METADATA, PHOTO)


def test_the_order_of_detections_does_not_matter_and_the_largest_differences_are_kept():
    got = of(TWO, found((2, 0.6005, B), (1, 0.9, np.add(A, [0, 0.05, 0, 0]))))
    assert (got.detections, got.matched, got.unmatched) == (4, 4, 0)
    assert got.largest == pytest.approx({"score": 0.0005, "box": 0.05}, abs=1e-5)
    assert got.classes == {1, 2}


@pytest.mark.parametrize(
    "other",
    [
        found((1, 0.9, np.add(A, 0.11)), (2, 0.6, B)),
        found((1, 0.898, A), (2, 0.6, B)),
        found((1, np.nan, A), (2, 0.6, B)),
        found((2, 0.9, A), (2, 0.6, B)),
    ],
    ids=["box", "score", "not a number", "class"],
)
def test_a_detection_beyond_a_tolerance_agrees_with_none_on_either_side(other):
    got = of(TWO, other)
    assert (got.detections, got.matched, got.unmatched) == (4, 2, 0.5)
    assert got.largest == {"score": 0, "box": 0}, "of those that agree"


def test_what_only_one_side_has_counts_as_a_fraction_of_both():
    assert of(TWO, found((1, 0.9, A))).unmatched == pytest.approx(1 / 3)
    assert of(TWO, found((1, 0.9, A), (2, 0.6, B), (2, 0.5, FAR))).unmatched == pytest.approx(1 / 5)
    assert of(TWO, found()).unmatched == of(found(), TWO).unmatched == 1
    assert of(found(), found()).unmatched == 0
    # A detection has one partner: its double has none.
    assert of(TWO, found((1, 0.9, A), (1, 0.9, np.add(A, 0.02)), (2, 0.6, B))).matched == 4


def test_the_fraction_that_agrees_with_none_is_judged():
    got = compare.Differences(detections=200, matched=198)
    for limit, fine in ((0.02, True), (0.005, False)):
        rows = compare.table(got, dataclasses.replace(TOLERANCE, unmatched=limit))
        assert [row["value"] for row in rows] == pytest.approx([0.01, 200, 0])
        assert all(row["fine"] for row in rows) == fine
        assert ("TOO FAR" not in compare.text_of(rows)) == fine
    assert all(row["fine"] for row in compare.table(got, None))


def test_pictures_that_are_too_far_are_named_where_all_together_are():
    def rows(*values):
        return [compare.row(what, value, 0.1) for what, value in zip(("scores", "boxes"), values, strict=True)]

    each = {"good": rows(0.05, 0.0), "bad": rows(0.3, 0.2), "far": rows(0.0, 0.2)}
    assert compare.outliers(rows(0.3, 0.1), each) == {"bad": {"scores": 0.3}}


def squares(*values):
    return np.stack([np.broadcast_to(np.asarray(value, np.float32), [28, 28]) for value in values])


HALF = np.where(np.arange(28) < 14, 1, 0)


def pasted(values, box):
    return {"masks": pasting.paste(squares(values), [box], *PHOTO)}


def test_masks_are_compared_as_they_are_pasted_without_pixels_at_the_threshold():
    """Half of the mask's columns: half of the pixels, but for the seam."""
    box = [10, 10, 38, 38]

    def difference(own, masks):
        rows = ((1, 0.9, box),)
        return of(found(*rows, squares=squares(own)), found(*rows, **masks), mask=1.0).largest["mask"]

    assert difference(1, pasted(HALF, box)) == pytest.approx(0.5, abs=0.05)
    # 0.5 and a little more: which pixels are on is chance.
    assert difference(0.5002, pasted(0.4998, box)) == 0
    dense = np.zeros(PHOTO, bool)
    dense[10:38, 10:38] = True
    assert difference(1, {"masks": [rle.encode(dense)]}) < 0.07
    assert difference(1, {"masks": [rle.encode(np.roll(dense, 14, axis=0))]}) > 0.6  # what lies outside of the box too


def test_a_detection_whose_mask_or_keypoints_are_off_or_missing_agrees_with_none():
    rows = ((1, 0.9, A),)
    points = np.array([[[12, 15, 4.0], [18, 20, 4]]])
    own = found(*rows, keypoints=points, squares=squares(1))
    same = found(*rows, keypoints=points, **pasted(1, A))
    assert of(own, same).unmatched == 0
    nan = points.copy()
    nan[0, 1] = np.nan
    for other in (
        found(*rows),
        found(*rows, keypoints=points),
        found(*rows, **pasted(1, A)),
        same | pasted(HALF, A),
        same | {"keypoints": np.add(points, [0, 0.2, 0])},
        same | {"keypoints": np.add(points, [0, 0, 0.1])},  # a fortieth of its score, and ten times 1e-3 are allowed
        same | {"keypoints": nan},
    ):
        assert of(own, other).unmatched == 1
    got = of(own, same | {"keypoints": np.add(points, [0, 0.05, 0.02])})
    assert got.unmatched == 0
    assert got.largest == pytest.approx({"score": 0, "box": 0, "mask": 0, "keypoint": 0.05, "keypoint_score": 0.005})


def test_classifiers_are_compared_where_one_class_is_all_but_certain():
    """Of logits 20, 0 and 2, or 20, 2 and 0, the probabilities are 1, 2e-9 and 2e-8: no difference shows in them."""
    own, other = ({"scores": np.exp(np.array([0, a, b]), dtype=np.float32)} for a, b in ((-20, -18), (-18, -20)))
    got = compare.scores(own, other)
    assert got.largest["probability"] < 1e-7 and got.largest["ratio"] == pytest.approx(2, abs=1e-5)
    assert [row["fine"] for row in compare.table(got, TOLERANCE)] == [True, False, True]
    assert compare.scores(own, {"scores": own["scores"] * np.nan}).largest["ratio"] == np.inf
    # A probability of zero is as good as one of 1e-30.
    own, other = ({"scores": np.array([1, rest], np.float32)} for rest in (0, 1e-30))
    assert compare.scores(own, other).largest["ratio"] == 0


def test_label_maps_are_compared_by_their_pixels():
    labels = np.ones([10, 10], int)
    other = labels.copy()
    other[:2] = 2
    got = compare.label_maps({"labels": labels}, {"labels": other})
    assert got.largest == {"pixel": 0.2} and got.classes == {1}


def test_pictures_are_added_up():
    pictures = [of(TWO, found((1, 0.9, A))), of(TWO, found((1, 0.9, np.add(A, 0.05)), (2, 0.6, B)))]
    total = compare.total(pictures)
    assert (total.detections, total.matched, total.classes) == (7, 6, {1, 2})
    assert total.largest["box"] == pytest.approx(0.05, abs=1e-5)
    assert len(compare.total([compare.scores(s := {"scores": np.ones(3) / 3}, s)] * 2).scores) == 2
