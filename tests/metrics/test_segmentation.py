"""IoU and accuracy of label maps, against a count of their own, pixel by pixel."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfrecog.metrics import tables
from tfrecog.metrics.segmentation import Evaluator

NAMES = tuple("abcdefgh")


def evaluated(num_classes, *pairs):
    evaluator = Evaluator(num_classes)
    for pair in pairs:
        evaluator.add(*map(np.array, pair))
    return evaluator


def slowly(num_classes, pairs):
    """The four numbers from sets of the pixels (image, y, x) of each class: no matrix, no arrays of counts."""
    true, said = ({c: set() for c in range(num_classes + 1)} for _ in range(2))
    for i, (truth, guess) in enumerate(pairs):
        for y, x in np.ndindex(truth.shape):
            if truth[y, x] > 0:
                true[truth[y, x]].add((i, y, x))
                said[guess[y, x]].add((i, y, x))
    classes = range(1, num_classes + 1)
    pixels = sum(len(true[c]) for c in classes)
    iou = {c: len(true[c] & said[c]) / len(true[c] | said[c]) for c in classes if true[c] | said[c]}
    accuracy = {c: len(true[c] & said[c]) / len(true[c]) for c in classes if true[c]}
    if not pixels:
        return {}
    return {
        "mean_iou": sum(iou.values()) / len(iou),
        "mean_accuracy": sum(accuracy.values()) / len(accuracy),
        "pixel_accuracy": sum(len(true[c] & said[c]) for c in classes) / pixels,
        "frequency_weighted_iou": sum(len(true[c]) * iou[c] for c in classes if true[c]) / pixels,
    }


@st.composite
def label_maps(draw):
    """K, and pairs of true and said label maps of several sizes: few classes, so that some are nowhere."""
    num_classes = draw(st.integers(1, 6))
    pairs = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
        labels = st.sampled_from(sorted(draw(st.sets(st.integers(0, num_classes), min_size=1))))
        pairs.append([draw(arrays.arrays(np.uint8, shape, elements=labels)) for _ in range(2)])
    return num_classes, pairs


@given(label_maps())
@settings(max_examples=150, deadline=None)
def test_the_numbers_equal_an_independent_count(made):
    num_classes, pairs = made
    assert evaluated(num_classes, *pairs).summarize() == pytest.approx(slowly(num_classes, pairs), rel=1e-12)


def test_of_all_of_the_labels_that_a_byte_holds_none_runs_over():
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 256, [2, 40, 50]).astype(np.uint8) for _ in range(3)]
    assert evaluated(255, *pairs).summarize() == pytest.approx(slowly(255, pairs), rel=1e-12)


def test_the_numbers_of_a_case_by_hand():
    # Of class 1 three pixels, two of them right; of class 2 one, right; class 3 is only said, once, and 4 nowhere.
    evaluator = evaluated(4, ([[1, 1, 1, 2, 0, 0]], [[1, 1, 3, 2, 2, 4]]))
    assert evaluator.summarize() == {
        "mean_iou": pytest.approx((2 / 3 + 1 + 0) / 3),
        "mean_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "pixel_accuracy": 3 / 4,
        "frequency_weighted_iou": pytest.approx((3 * 2 / 3 + 1 * 1) / 4),
    }
    np.testing.assert_array_equal(evaluator.confusion, [[2, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("whatever", range(4))
def test_what_is_said_of_a_pixel_that_does_not_count_changes_nothing(whatever):
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 4, [2, 30, 40])
    want = evaluated(3, (truth, said)).summarize()
    assert evaluated(3, (truth, np.where(truth == 0, whatever, said))).summarize() == want


def test_memory_does_not_grow_with_the_images():
    evaluator, rng = Evaluator(20), np.random.default_rng(0)
    pair = rng.integers(1, 21, [2, 200, 200]).astype(np.uint8)
    tracemalloc.start()
    try:
        evaluator.add(*pair)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            evaluator.add(*pair)
        # Twenty images are 1.6 MB as they come; the matrix is 3.4 KB, and has been there before.
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


def test_each_class_has_a_row_of_its_own():
    first, second, third = evaluated(3, ([[1, 1, 1, 1, 2, 0]], [[1, 2, 2, 3, 2, 2]])).table(NAMES[:3])
    assert first == {
        "name": "a", "pixels": 4, "share": 0.8, "iou": 0.25, "accuracy": 0.25, "precision": 1.0, "taken_for": "b",
        "taken": 0.5,
    }  # fmt: skip
    assert second["precision"] == second["iou"] == pytest.approx(1 / 3) and second["taken_for"] is None
    assert (third["accuracy"], third["iou"], third["precision"]) == (None, 0, 0)


def test_what_is_said_to_be_none_of_the_classes_is_wrong():
    # The pixel of no class is in the union of class 1, so its IoU is 1 / 2; it is in no column of the matrix.
    evaluator = evaluated(2, ([[1, 1]], [[1, 0]]))
    assert evaluator.summarize()["pixel_accuracy"] == evaluator.summarize()["mean_iou"] == 0.5
    assert evaluator.confusion.tolist() == [[1, 0], [0, 0]] and evaluator.pixels.tolist() == [2, 0]


def test_an_image_without_a_pixel_that_counts_changes_nothing():
    assert evaluated(2, ([[0, 0]], [[1, 2]])).summarize() == {}
    sound = ([[1, 2, 2]], [[1, 2, 1]])
    assert evaluated(2, sound, ([[0, 0]], [[1, 2]])).summarize() == evaluated(2, sound).summarize()


@pytest.mark.parametrize(
    "truth, said, message",
    [
        ([[1, 2]], [[1], [2]], r"the true label map has 1 x 2 pixels, and the predicted one 2 x 1"),
        ([[1, 3]], [[1, 1]], r"the true label map has the label 3, and there are 2 classes"),
        ([[1, 1]], [[1, 7]], r"the predicted label map has the label 7, and there are 2 classes"),
        ([[1, 1]], [[1, -1]], r"the predicted label map has the label -1"),
    ],
)
def test_label_maps_that_do_not_fit_are_refused_and_not_counted(truth, said, message):
    evaluator = Evaluator(2)
    with pytest.raises(ValueError, match=message):
        evaluator.add(np.array(truth), np.array(said))
    assert not evaluator.pixels.any()


def test_the_table_for_people_has_the_numbers_in_percent_and_a_line_for_each_class_that_is_there():
    evaluator = evaluated(4, ([[1, 1, 1, 1, 2]], [[1, 2, 2, 3, 2]]))
    text = tables.of_segmentation(evaluator.summarize(), evaluator.table(("sky", "tree", "car", "emu")))
    head, _, columns, *lines = text.split("\n")
    assert head.startswith("mean IoU 19.44 %   mean accuracy 62.50 %   pixel accuracy 40.00 %   frequency-weighted IoU")
    assert columns.split() == ["class", "pixels", "IoU", "accuracy", "precision", "taken", "for"]
    assert lines[0].split() == ["sky", "80.0", "25.0", "25.0", "100.0", "tree", "(50.0", "%)"]
    assert lines[2].split() == ["car", "0.0", "0.0", "-", "0.0"]
    assert lines[3] == "(1 more classes are neither in these images nor predicted for them)"


def test_of_many_classes_the_table_for_people_has_the_worst():
    labels = np.arange(1, 101)[None]
    # Those above 50 are wrong as often as their number says.
    truth = np.repeat(labels, 200, axis=0)
    said = np.where(np.arange(200)[:, None] < np.maximum(labels - 50, 0), 1, truth)
    evaluator = evaluated(100, (truth, said))
    text = tables.of_segmentation(evaluator.summarize(), evaluator.table([f"c{i}" for i in range(1, 101)]))
    assert "c100 " in text and "c62 " in text and "c61 " not in text
    assert text.endswith("(the 40 worst of 100 classes; metrics.json has all of them)")


def test_the_standard_error_is_that_of_a_share():
    # Of 400 images of one pixel half are right: pixel accuracy is the share of right ones.
    one, two = np.array([[1]]), np.array([[2]])
    evaluator = evaluated(3, *[(one, one), (one, two)] * 200)
    errors, by_class = evaluator.standard_errors()
    assert errors.keys() == evaluator.summarize().keys()
    assert errors["pixel_accuracy"] == pytest.approx((0.5 * 0.5 / 400) ** 0.5, rel=0.3)
    # The IoU of the first class is the share, too; of the second, 0; the third is nowhere.
    assert by_class[0] == pytest.approx(errors["pixel_accuracy"]) and by_class[1] == 0 and np.isnan(by_class[2])


def test_one_image_has_no_standard_error():
    errors, by_class = evaluated(2, ([[1, 2]], [[1, 1]]), ([[0, 0]], [[1, 1]])).standard_errors()
    assert errors == {} and np.isnan(by_class).all()
