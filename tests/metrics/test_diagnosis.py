"""Matched detections and what is made of them: the numbers of COCO again, and small images by reason."""

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from tests.metrics import test_coco_engine as random_images
from tests.metrics.truth import NOTHING, added, truth_of
from tfrecog.metrics import coco, diagnosis
from tfrecog.metrics.coco_matching import Kind
from tfrecog.metrics.matched_detections import Collector

NAMES = ("cat", "dog")
SQUARE, FAR = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0]
HALF = [10.0, 10.0, 50.0, 26.0]  # IoU 0.4 with SQUARE
SCORED = strategies.tuples(
    strategies.sampled_from(["hit", "false", "ignored"]), strategies.sampled_from([0.2, 0.4, 0.6, 0.8])
)


def matched(truth, found):
    return added(Collector(len(NAMES)), truth, found).detections()


def of_one(boxes, labels, *detections):
    """Of one image with these objects, and detections (box, label, score)."""
    found = zip(*detections, strict=True) if detections else NOTHING[:3]
    return matched({1: truth_of(boxes, labels)}, {1: [*found]})


@pytest.mark.parametrize("seed", range(6))
def test_matched_detections_have_the_average_precision_of_coco(seed):
    rng = np.random.default_rng(seed)
    images = [random_images.image(rng, scores=rng.choice([2, 5, 1000])) for _ in range(5)]
    truth, found = ({key: one[side] for key, one in enumerate(images)} for side in (0, 1))
    _, table = added(coco.Evaluator(random_images.CATEGORIES, masks=True, max_detections=400), truth, found).summarize()
    collector = added(Collector(3, masks=True), truth, found)
    for kind in ("box", "mask"):
        some = collector.ranking(kind)
        for row, own, objects in zip(table, some.of_class(), some.objects, strict=True):
            assert (objects > 0) == (row[f"{kind}_AP"] >= 0)
            if objects:
                ap = diagnosis.average_precision(some.hits[own].T, some.false[own].T, objects)
                assert ap.mean() == pytest.approx(row[f"{kind}_AP"], abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_images_that_count_several_times_give_the_precision_of_detections_that_do(seed):
    rng = np.random.default_rng(seed)
    thresholds, count, images = 3, rng.integers(0, 40), 6
    # 0 a hit, 1 false, 2 ignored; a third has no hit, or nothing that is ignored.
    verdicts = rng.choice([[0, 1, 2], [1, 1, 2], [0, 1, 1]][seed % 3], [thresholds, count])
    image, times, objects = rng.integers(0, images, count), rng.integers(0, 4, images), int(rng.integers(1, 90))
    hits, false = verdicts == 0, verdicts == 1
    expected = diagnosis.average_precision(hits * times[image], false * times[image], objects)
    got = diagnosis.Resampled(image, hits, false).average_precision(times, objects)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("detections", "kinds"),
    [
        ([(SQUARE, 1, 0.9), (SQUARE, 1, 0.8)], ["HIT", "DUPLICATE"]),
        ([(SQUARE, 2, 0.9), (SQUARE, 1, 0.8)], ["CLASSIFICATION", "HIT"]),
        ([(HALF, 1, 0.9)], ["LOCALISATION"]),
        ([(HALF, 2, 0.9)], ["BOTH"]),
        ([(FAR, 1, 0.9)], ["BACKGROUND"]),
    ],
)
def test_a_detection_has_the_kind_that_tide_gives_it(detections, kinds):
    assert [Kind(kind).name for kind in of_one([SQUARE], [1], *detections).kinds] == kinds


def test_detections_of_difficult_objects_and_in_crowds_are_no_errors():
    for mark in ("crowd", "difficult"):
        some = matched({1: truth_of([SQUARE], [1], **{mark: [True]})}, {1: ([SQUARE] * 2, [1, 1], [0.9, 0.8])})
        assert some.kinds.tolist() == [Kind.IGNORED, Kind.IGNORED if mark == "crowd" else Kind.BACKGROUND]
        assert some.objects.tolist() == [0, 0]


def test_an_object_to_be_found_comes_before_a_difficult_one_that_is_nearer():
    truth = truth_of([SQUARE, [10.0, 10.0, 50.0, 48.0]], [1, 1], difficult=[True, False])
    assert matched({1: truth}, {1: ([SQUARE], [1], [0.9])}).kinds.tolist() == [Kind.HIT]


@pytest.mark.parametrize(
    ("hits", "scores", "expected"),
    [
        # Two of three objects among the best three: precision 2/3, recall 2/3, and so F1.
        ([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5], (0.7, 2 / 3, 2 / 3, 2 / 3)),
        # Of equal scores all count, or none: one of one, or two of six.
        ([1, 1, 0, 0, 0, 0], [0.9, 0.7, 0.7, 0.7, 0.7, 0.7], (0.9, 1, 1 / 3, 1 / 2)),
        ([0, 0], [0.9, 0.8], None),
        ([], [], None),
    ],
)
def test_the_best_threshold_is_that_of_the_highest_f1(hits, scores, expected):
    hits = np.array(hits, bool)
    best = diagnosis.best_threshold(hits, ~hits, np.array(scores), objects=3)
    assert best == (
        expected and pytest.approx(dict(zip(("threshold", "precision", "recall", "f1"), expected, strict=True)))
    )


@hypothesis.given(strategies.lists(SCORED), strategies.integers(0, 3))
def test_no_threshold_has_a_higher_f1_than_the_best_one(detections, missed):
    """Against all of them, one by one: keep what has at least so high a score, and count."""
    detections = sorted(detections, key=lambda one: -one[1])
    hits, false = (np.array([kind == which for kind, _ in detections], bool) for which in ("hit", "false"))
    scores, objects = np.array([score for _, score in detections]), int(hits.sum()) + missed
    best = diagnosis.best_threshold(hits, false, scores, objects)
    counted = []
    for threshold in sorted({score for _, score in detections}, reverse=True):
        kept = [kind for kind, score in detections if score >= threshold and kind != "ignored"]
        right = kept.count("hit")
        if right:
            counted.append((2 * right / (len(kept) + objects), threshold, right / len(kept), right / objects))
    if not counted:
        assert best is None
        return
    assert best is not None
    highest = max(f1 for f1, *_ in counted)
    assert best["f1"] == pytest.approx(highest)
    same = [row for row in counted if row[1] == best["threshold"]]
    assert [(best["f1"], best["threshold"], best["precision"], best["recall"])] == [pytest.approx(row) for row in same]


def test_the_mistakes_of_each_image_are_its_own():
    truth = {1: truth_of([SQUARE, FAR], [1, 2]), 2: truth_of([], []), 3: truth_of([SQUARE], [1])}
    found = {1: ([SQUARE, SQUARE], [1, 1], [0.9, 0.6]), 2: ([FAR], [2], [0.8]), 3: ([SQUARE], [1], [0.3])}
    some = matched(truth, found)
    assert diagnosis.mistakes(some, some.score > 0.5) == [
        {"right": 1, "false": 1, "missed": 1},
        {"right": 0, "false": 1, "missed": 0},
        {"right": 0, "false": 0, "missed": 1},
    ]


def test_a_confusion_has_each_object_once_hits_first_and_a_background():
    detections = [(SQUARE, 2, 0.9), (SQUARE, 1, 0.8), (FAR, 1, 0.7), (SQUARE, 1, 0.6)]
    some = of_one([SQUARE, [10.0, 10.0, 50.0, 48.0], [0.0, 100.0, 9.0, 110.0]], [1, 2, 2], *detections)
    # The dog takes the dog, though it overlaps the cat more. The last cat has no object left; one dog is not found.
    everything = diagnosis.confusion(some, np.full(4, True))
    assert everything.tolist() == [[0, 2, 0], [0, 1, 0], [1, 0, 1]]
    assert diagnosis.confusion(some, some.score > 0.85).tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 1]]
    # A false dog with a higher score does not take the cat from its hit.
    some = of_one([SQUARE], [1], (SQUARE, 2, 0.9), (SQUARE, 1, 0.8))
    assert diagnosis.confusion(some, np.full(2, True)).tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_classes_that_are_swapped_are_counted_though_nothing_is_a_hit():
    some = of_one([SQUARE, FAR], [1, 2], (SQUARE, 2, 0.9), (FAR, 1, 0.6))
    report = diagnosis.report(some, NAMES)
    assert [row["threshold"] for row in report["classes"]] == [0.5, 0.5]
    assert report["errors"]["classification"]["count"] == 2 and report["errors"]["missed"]["count"] == 0
    assert report["confusion"] == [[1, 2, 1], [2, 1, 1]]


@pytest.mark.parametrize(
    ("detections", "kind", "before", "after"),
    [
        ([(SQUARE, 2, 0.9)], "classification", 0, 1),
        ([(HALF, 1, 0.9)], "localisation", 0, 1),
        # A hit behind one false detection: precision 1/2 at every recall, and 1 without it.
        ([(HALF, 2, 0.9), (SQUARE, 1, 0.8)], "both", 1, 1),  # Of a class without objects it costs nothing.
        ([(FAR, 1, 0.9), (SQUARE, 1, 0.8)], "background", 0.5, 1),
        ([], "missed", 0, 0),
    ],
)
def test_ap50_rises_by_what_one_kind_of_error_costs(detections, kind, before, after):
    lost = diagnosis.lost(of_one([SQUARE], [1], *detections))
    assert lost[kind] == pytest.approx(after - before)
    assert not any(value for name, value in lost.items() if name != kind)


def test_without_missed_objects_the_recall_is_that_of_the_found_ones():
    # One of two objects: precision 1 at the recalls 0..0.50 of 101.
    lost = diagnosis.lost(of_one([SQUARE, FAR], [1, 1], (SQUARE, 1, 0.9)))
    assert lost["missed"] == pytest.approx(1 - 51 / 101)


def test_the_standard_error_is_that_of_a_share():
    # Of 400 images with an object each, half are found, without a false detection: AP is the share that is found.
    truth = {key: truth_of([SQUARE], [1]) for key in range(400)}
    some = matched(truth, {key: ([SQUARE], [1], [0.9]) for key in range(0, 400, 2)})
    errors, by_class = diagnosis.standard_errors(some)
    assert [*errors.values()] == pytest.approx([(0.5 * 0.5 / 400) ** 0.5] * 2, rel=0.3)
    assert by_class[0] == pytest.approx(errors["AP"]) and np.isnan(by_class[1])


@pytest.mark.parametrize("found", [{}, {1: ([SQUARE, HALF, FAR], [1, 2, 2], [0.9, 0.8, 0.7])}])
def test_a_report_is_json_and_counts_what_has_the_best_threshold(found):
    truth = {1: truth_of([SQUARE, FAR], [1, 1]), 2: truth_of([], [])}
    some = matched(truth, found)
    report = json.loads(json.dumps(diagnosis.report(some, NAMES)))
    cat, dog = report["classes"]
    assert (cat["objects"], dog["objects"], dog["best"]) == (2, 0, None)
    assert len(cat["precision"]) == len(cat["score"]) == 101 and "precision" not in dog
    hits = len(found)
    assert cat["errors"]["hit"] == hits and cat["errors"]["missed"] == 2 - hits
    assert [1, 0, 2 - hits] in report["confusion"] and ([1, 1, 1] in report["confusion"]) == bool(hits)
    # Of dogs none is found: the threshold is that of the cats.
    assert dog["threshold"] == (0.9 if found else 0.5) and report["errors"]["background"]["count"] == 0


def test_what_is_in_one_image_alone_has_no_standard_error():
    truth = {1: truth_of([SQUARE], [1]), 2: truth_of([SQUARE, FAR], [1, 2])}
    some = matched(truth, {key: ([SQUARE, FAR], [1, 2], [0.9, 0.8]) for key in truth})
    errors, by_class = diagnosis.standard_errors(some)
    assert set(errors) == {"AP", "AP50"} and np.isnan(by_class).tolist() == [False, True]
    assert diagnosis.standard_errors(of_one([SQUARE], [1]))[0] == {}


def test_the_difference_of_two_detectors_has_the_error_of_the_images_in_which_they_differ():
    """Of 400 images with an object each one finds 200 and the other 180 of these: a twentieth of the images."""
    truth = {key: truth_of([SQUARE], [1]) for key in range(400)}
    one, other = (
        matched(truth, {key: ([SQUARE], [1], [0.9]) for key in range(0, 400, 2) if not few or key % 20})
        for few in (False, True)
    )
    assert len(one.label) == 200 and len(other.label) == 180
    assert diagnosis.difference_error(one, other) == pytest.approx((0.05 * 0.95 / 400) ** 0.5, rel=0.3)
    assert diagnosis.difference_error(one, one) == 0
    alone = of_one([SQUARE], [1])
    assert np.isnan(diagnosis.difference_error(alone, alone))


def test_without_objects_there_are_no_standard_errors():
    some = matched({1: truth_of([], []), 2: truth_of([], [])}, {1: ([SQUARE], [1], [0.9])})
    errors, by_class = diagnosis.standard_errors(some)
    assert errors == {} and np.isnan(by_class).all()
