"""Two detectors side by side: what is as far apart as it looks, and what is a tie."""

import numpy as np
import pytest

from export.parity import compare

TOLERANCE = compare.Tolerance(score=1e-3, box=0.1, mask=0.99, pixels=0.01, noise=0.0)
ABOUT = {"min_score": 0.05, "mask_threshold": 0.5, "paste": "torchvision", "photo": (50, 60)}
SLOTS = 10


def found(*rows, **more):
    """Detections of rows (label, score, box)."""
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    said = {"labels": np.array(labels, int), "scores": np.array(scores, np.float32)}
    return said | {"boxes": np.array(boxes, np.float32).reshape(-1, 4)} | more


A, B, FAR = [10, 10, 20, 30], [30, 5, 45, 25], [1, 40, 9, 58]
TWO = found((1, 0.9, A), (2, 0.6, B))


def of(checkpoint, artefact, again=None, slots=SLOTS, **about):
    said = again or (lambda: checkpoint)
    return compare.of_detections(checkpoint, artefact, said, TOLERANCE, ABOUT | about, slots)


def counts(result):
    return result.matched, result.only_checkpoint, result.only_artefact, len(result.ties)


def test_the_order_of_detections_does_not_matter_and_the_largest_differences_are_told():
    got = of(TWO, found((2, 0.6005, B), (1, 0.9, np.add(A, [0, 0.05, 0, 0]))))
    assert counts(got) == (2, 0, 0, 0)
    assert got.score == pytest.approx(0.0005, abs=1e-6) and got.box == pytest.approx(0.05, abs=1e-5)


def test_a_box_that_is_off_is_a_difference_and_no_tie():
    """Its score is the same to the last bit: that excuses nothing."""
    got = of(TWO, found((1, 0.9, np.add(A, 1)), (2, 0.6, B)))
    assert counts(got) == (2, 0, 0, 0) and got.box == 1


def test_a_double_of_a_detection_is_no_tie():
    """That the checkpoint's box is nearer to the double than to its partner, once its pixels are off, makes it none."""
    double = found((1, 0.9, A), (1, 0.9, np.add(A, 0.02)), (2, 0.6, B))
    again = found((1, 0.9, np.add(A, 0.03)), (2, 0.6, B))
    assert counts(of(TWO, double)) == counts(of(TWO, double, again=lambda: again)) == (2, 0, 1, 0)


def test_what_only_one_side_has_is_counted():
    assert counts(of(TWO, found((1, 0.9, A)))) == (1, 1, 0, 0)
    assert counts(of(TWO, found((1, 0.9, A), (2, 0.6, B), (2, 0.5, FAR)))) == (2, 0, 1, 0)
    assert counts(of(TWO, found((1, 0.9, A), (1, 0.6, B)))) == (1, 1, 1, 0)  # Another class is another thing.
    assert counts(of(TWO, found())) == (0, 2, 0, 0)


def test_a_score_that_is_not_a_number_matches_nothing():
    got = of(TWO, found((1, np.nan, A), (2, 0.6, B)))
    assert got.only_checkpoint + got.only_artefact > 0 or got.score == float("inf")


@pytest.mark.parametrize("side", ["checkpoint", "artefact"])
def test_scores_at_the_threshold_are_ties(side):
    more, fewer = found((1, 0.9, A), (2, 0.0505, FAR)), found((1, 0.9, A))
    got = of(more, fewer) if side == "checkpoint" else of(fewer, more)
    assert counts(got) == (1, 0, 0, 1)
    assert got.ties[0] | {"side": side, "label": 2, "why": "its score is at the threshold"} == got.ties[0]
    # Twice as far from it as the tolerance.
    more = found((1, 0.9, A), (2, 0.052, FAR))
    got = of(more, fewer) if side == "checkpoint" else of(fewer, more)
    assert sum(counts(got)[1:3]) == 1 and not got.ties


def test_two_that_compete_for_the_last_slot_are_ties():
    one, other = found((1, 0.9, A), (2, 0.6, B)), found((1, 0.9, A), (2, 0.6004, FAR))
    assert counts(of(one, other, slots=2)) == (1, 0, 0, 2)
    assert counts(of(one, other, slots=3)) == (1, 1, 1, 0)  # There was room for both.
    other = found((1, 0.9, A), (2, 0.65, FAR))  # It wins by more than the tolerance.
    assert counts(of(one, other, slots=2))[1:3] != (0, 0)


def test_what_the_checkpoint_says_too_once_its_pixels_are_off_by_a_hair_is_a_tie():
    """Two boxes of one object of which either may suppress the other."""
    near = np.add(A, [0, 0, 3, 3])
    other = found((1, 0.9, near), (2, 0.6, B))
    assert counts(of(TWO, other)) == (2, 0, 0, 0) and of(TWO, other).box == 3
    assert counts(of(TWO, other, again=lambda: other)) == (1, 0, 0, 2)
    # The second time only: chance decides.
    turns = iter([TWO, other] + 9 * [TWO])
    assert counts(of(TWO, other, again=lambda: next(turns))) == (1, 0, 0, 2)


def test_that_the_checkpoint_is_undecided_excuses_not_every_answer():
    """It says A or a box 3 pixels off; the artefact says one 1.5 pixels off, which it never says."""
    again = found((1, 0.9, np.add(A, [0, 0, 3, 3])), (2, 0.6, B))
    got = of(TWO, found((1, 0.9, np.add(A, [0, 0, 1.5, 1.5])), (2, 0.6, B)), again=lambda: again)
    assert got.only_artefact == 1


def masks(*values):
    return np.stack([np.broadcast_to(np.asarray(value, np.float32), [28, 28]) for value in values])


def test_masks_are_compared_as_they_are_pasted_without_pixels_at_the_threshold():
    """Half of the mask's columns: half of the pixels, but for the seam."""
    half = np.where(np.arange(28) < 14, 1, 0)
    rows = ((1, 0.9, [10, 10, 38, 38]),)
    got = of(found(*rows, masks=masks(1)), found(*rows, masks=masks(half)))
    assert got.mask_iou == pytest.approx(0.5, abs=0.05) and got.mask_probability == 1
    # 0.5 and a little more: which pixels are on is chance.
    got = of(found(*rows, masks=masks(0.5002)), found(*rows, masks=masks(0.4998)))
    assert got.mask_iou == 1
    pasted = np.zeros([1, 50, 60], bool)
    pasted[:, 10:38, 10:38] = True
    assert of(found(*rows, masks=masks(1)), found(*rows, pasted=pasted)).mask_iou > 0.93
    assert of(found(*rows, masks=masks(1)), found(*rows, pasted=np.roll(pasted, 14, axis=1))).mask_iou < 0.4


def test_keypoints_count_where_the_checkpoint_is_decided():
    rows = ((1, 0.9, A),)
    own, other = (found(*rows, keypoints=np.array([[[12, x, 4.0], [18, 20, 4]]])) for x in (15.0, 25.0))
    assert of(own, other).keypoint == 10
    got = of(own, other, again=lambda: other)
    assert got.keypoint == 0 and [tie["joint"] for tie in got.ties] == [0]


def test_branches_that_the_artefact_lacks_are_infinitely_far_away():
    rows = ((1, 0.9, A),)
    points = np.array([[[12, 15, 4.0], [18, 20, 4]]])
    both = found(*rows, keypoints=points, masks=masks(1))
    got = of(both, found(*rows))
    assert got.mask_iou == 0 and got.keypoint == got.keypoint_score == np.inf
    missing = points.copy()
    missing[0, 1] = np.nan
    got = of(both, both | {"keypoints": missing})
    assert got.keypoint == np.inf and got.mask_iou == 1


def test_scores_of_keypoints_are_compared():
    rows = ((1, 0.9, A),)
    own, other = (found(*rows, keypoints=np.array([[[12, 15, 4.0], [18, 20, score]]])) for score in (4.0, 5.0))
    got = of(own, other)
    assert got.keypoint == 0 and got.keypoint_score == 0.25


def test_classifiers_are_compared_where_one_class_is_all_but_certain():
    """Of logits 20, 0 and 2, or 20, 2 and 0, the probabilities are 1, 2e-9 and 2e-8: no difference shows in them."""
    own, other = ({"scores": np.exp(np.array([0, a, b]), dtype=np.float32)} for a, b in ((-20, -18), (-18, -20)))
    got = compare.of_scores(own, other)
    assert got.score < 1e-7 and got.ratio == pytest.approx(2, abs=1e-5)
    assert compare.of_scores(own, {"scores": own["scores"] * np.nan}).ratio == np.inf
    # A probability of zero is as good as one of 1e-30.
    own, other = ({"scores": np.array([1, rest], np.float32)} for rest in (0, 1e-30))
    assert compare.of_scores(own, other).ratio == 0


def test_label_maps_count_where_the_checkpoint_is_decided():
    labels = np.ones([10, 10], int)
    other, again = labels.copy(), labels.copy()
    other[:2], again[0] = 2, 2  # 20 pixels differ, and of 10 the checkpoint changes its mind.
    got = compare.of_label_maps({"labels": labels}, {"labels": other}, lambda: {"labels": again}, TOLERANCE)
    assert got.pixels == 0.1 and got.ties[0]["count"] == 10


def test_pictures_are_added_up():
    total = of(TWO, found((1, 0.9, A)))
    total.add(of(TWO, found((1, 0.9, np.add(A, 1)), (2, 0.6, B))))
    assert (total.detections, total.matched, total.only_checkpoint, total.box) == (4, 3, 1, 1)
    assert total.classes == {1, 2}
