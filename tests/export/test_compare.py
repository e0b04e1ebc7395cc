"""Two detectors side by side: which detections agree, and how far those are apart."""

import numpy as np
import pytest

from export.parity import compare, tolerances

TOLERANCE = compare.Tolerance(score=1e-3, box=0.1, mask=0.99, pixels=0.01, unmatched=0.0, accuracy=0.0)
METADATA = {"mask_threshold": 0.5, "paste": "torchvision"}
PHOTO = (50, 60)


def found(*rows, **more):
    """Detections of rows (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    outputs = {"labels": np.array(labels, int), "scores": np.array(scores, np.float32)}
    return outputs | {"boxes": np.array(boxes, np.float32).reshape(-1, 4)} | more


A, B, FAR = [10, 10, 20, 30], [30, 5, 45, 25], [1, 40, 9, 58]
TWO = found((1, 0.9, A), (2, 0.6, B))


def of(checkpoint, artefact):
    return compare.detections(checkpoint, artefact, TOLERANCE, METADATA, PHOTO)


def test_the_order_of_detections_does_not_matter_and_the_largest_differences_are_kept():
    got = of(TWO, found((2, 0.6005, B), (1, 0.9, np.add(A, [0, 0.05, 0, 0]))))
    assert (got.detections, got.matched, got.unmatched) == (4, 4, 0)
    assert got.score == pytest.approx(0.0005, abs=1e-6) and got.box == pytest.approx(0.05, abs=1e-5)
    assert got.classes == {1, 2}


@pytest.mark.parametrize(
    "other",
    [
        found((1, 0.9, np.add(A, 0.11)), (2, 0.6, B)),
        found((1, 0.898, A), (2, 0.6, B)),
        found((1, np.nan, A), (2, 0.6, B)),
        found((2, 0.9, A), (2, 0.6, B)),
    ],
    ids=["box", "score", "no number", "class"],
)
def test_a_detection_beyond_a_tolerance_agrees_with_none_on_either_side(other):
    got = of(TWO, other)
    assert (got.detections, got.matched, got.unmatched) == (4, 2, 0.5)
    assert got.box == got.score == 0, "of those that agree"


def test_what_only_one_side_has_counts_as_a_share_of_both():
    assert of(TWO, found((1, 0.9, A))).unmatched == pytest.approx(1 / 3)
    assert of(TWO, found((1, 0.9, A), (2, 0.6, B), (2, 0.5, FAR))).unmatched == pytest.approx(1 / 5)
    assert of(TWO, found()).unmatched == of(found(), TWO).unmatched == 1
    assert of(found(), found()).unmatched == 0
    # A detection has one partner: its double has none.
    assert of(TWO, found((1, 0.9, A), (1, 0.9, np.add(A, 0.02)), (2, 0.6, B))).matched == 4


def test_the_share_that_agrees_with_none_is_judged():
    got = compare.Differences(detections=200, matched=198)
    for limit, fine in ((0.02, True), (0.005, False)):
        tolerance = compare.Tolerance(1e-3, 0.1, 0.99, 0.01, limit, 0.0)
        rows = tolerances.judged(got, "detection", {"masks"}, tolerance, True)
        assert all(row["fine"] for row in rows) == fine
        assert ("TOO FAR" not in tolerances.text_of(rows)) == fine
        assert all(row["fine"] for row in tolerances.judged(got, "detection", {"masks"}, tolerance, False))


def masks(*values):
    return np.stack([np.broadcast_to(np.asarray(value, np.float32), [28, 28]) for value in values])


def mask_iou(own, other):
    """Of a detection that has one mask in one model and another in the other, whatever is allowed."""
    rows = ((1, 0.9, [10, 10, 38, 38]),)
    any_mask = compare.Tolerance(score=1e-3, box=0.1, mask=0.0, pixels=0.0, unmatched=0.0, accuracy=0.0)
    return compare.detections(found(*rows, **own), found(*rows, **other), any_mask, METADATA, PHOTO).mask_iou


def test_masks_are_compared_as_they_are_pasted_without_pixels_at_the_threshold():
    """Half of the mask's columns: half of the pixels, but for the seam."""
    full, half = {"masks": masks(1)}, {"masks": masks(np.where(np.arange(28) < 14, 1, 0))}
    assert mask_iou(full, half) == pytest.approx(0.5, abs=0.05)
    # 0.5 and a little more: which pixels are on is chance.
    assert mask_iou({"masks": masks(0.5002)}, {"masks": masks(0.4998)}) == 1
    pasted = np.zeros([1, 50, 60], bool)
    pasted[:, 10:38, 10:38] = True
    assert mask_iou(full, {"pasted": pasted}) > 0.93
    assert mask_iou(full, {"pasted": np.roll(pasted, 14, axis=1)}) < 0.4


def test_a_detection_whose_mask_or_keypoints_are_off_or_missing_agrees_with_none():
    rows = ((1, 0.9, A),)
    points = np.array([[[12, 15, 4.0], [18, 20, 4]]])
    both = found(*rows, keypoints=points, masks=masks(1))
    assert of(both, both).unmatched == 0
    nan = points.copy()
    nan[0, 1] = np.nan
    for other in (
        found(*rows),
        found(*rows, keypoints=points),
        found(*rows, masks=masks(1)),
        both | {"masks": masks(np.where(np.arange(28) < 14, 1, 0))},
        both | {"keypoints": np.add(points, [0, 0.2, 0])},
        both | {"keypoints": np.add(points, [0, 0, 0.1])},  # a fortieth of its score, and ten times 1e-3 are allowed
        both | {"keypoints": nan},
    ):
        assert of(both, other).unmatched == 1
    got = of(both, both | {"keypoints": np.add(points, [0, 0.05, 0.02])})
    assert got.unmatched == 0 and got.keypoint == pytest.approx(0.05) and got.keypoint_score == pytest.approx(0.005)


def test_classifiers_are_compared_where_one_class_is_all_but_certain():
    """Of logits 20, 0 and 2, or 20, 2 and 0, the probabilities are 1, 2e-9 and 2e-8: no difference shows in them."""
    own, other = ({"scores": np.exp(np.array([0, a, b]), dtype=np.float32)} for a, b in ((-20, -18), (-18, -20)))
    got = compare.scores(own, other)
    assert got.score < 1e-7 and got.ratio == pytest.approx(2, abs=1e-5)
    assert compare.scores(own, {"scores": own["scores"] * np.nan}).ratio == np.inf
    # A probability of zero is as good as one of 1e-30.
    own, other = ({"scores": np.array([1, rest], np.float32)} for rest in (0, 1e-30))
    assert compare.scores(own, other).ratio == 0


def test_label_maps_are_compared_by_their_pixels():
    labels = np.ones([10, 10], int)
    other = labels.copy()
    other[:2] = 2
    got = compare.label_maps({"labels": labels}, {"labels": other})
    assert got.pixels == 0.2 and got.classes == {1}


def test_pictures_are_added_up():
    total = of(TWO, found((1, 0.9, A)))
    total.add(of(TWO, found((1, 0.9, np.add(A, 0.05)), (2, 0.6, B))))
    assert (total.detections, total.matched) == (7, 6) and total.box == pytest.approx(0.05, abs=1e-5)
    assert total.classes == {1, 2}
