"""Accuracies and confusions, against a count of its own in NumPy."""

import numpy as np
import pytest

from tfrecog.metrics import tables
from tfrecog.metrics.classification import Evaluator, worst_pairs

NAMES = tuple("abcdefgh")


def evaluated(labels, probabilities):
    evaluator = Evaluator(probabilities.shape[1])
    for label, row in zip(labels, probabilities, strict=True):
        evaluator.add(int(label), row)
    return evaluator


@pytest.fixture
def said():
    """Labels [300] in 1..8, and probabilities [300, 8] with many ties; no image has the label 8."""
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 5, [300, 8]) / 8
    return rng.integers(1, 8, 300), probabilities.astype(np.float32)


def ranks(labels, probabilities):
    """For each image how many classes come before its own: those more probable, and as probable ones before it."""
    own = probabilities[np.arange(len(labels)), labels - 1][:, None]
    before = np.arange(probabilities.shape[1]) < (labels - 1)[:, None]
    return np.sum((probabilities > own) | ((probabilities == own) & before), axis=1)


def test_accuracies_equal_an_independent_count(said):
    rank = ranks(*said)
    numbers = evaluated(*said).summarize()
    assert numbers == {
        "top1": pytest.approx(np.mean(rank == 0)),
        "top5": pytest.approx(np.mean(rank < 5)),
        "error": pytest.approx(np.mean(rank > 0)),
    }


def test_each_class_has_the_accuracy_of_its_own_images(said):
    labels, rank = said[0], ranks(*said)
    table = evaluated(*said).table(NAMES)
    for label, row in enumerate(table[:7], 1):
        mine = rank[labels == label]
        assert row["name"] == NAMES[label - 1] and row["images"] == len(mine)
        assert row["accuracy"] == pytest.approx(np.mean(mine == 0)) and row["top5"] == pytest.approx(np.mean(mine < 5))
    assert table[7] == {
        "name": "h", "images": 0, "accuracy": None, "top5": None, "taken_for": None, "times": 0,
    }  # fmt: skip


def test_the_confusion_matrix_counts_the_best_class_of_every_image(said):
    labels, probabilities = said
    want = np.zeros([8, 8], int)
    np.add.at(want, (labels - 1, probabilities.argmax(1)), 1)  # NumPy's argmax too is the first of equal ones.
    evaluator = evaluated(*said)
    np.testing.assert_array_equal(evaluator.confusion, want)
    np.fill_diagonal(want, 0)
    for row, mistakes in zip(evaluator.table(NAMES)[:7], want, strict=False):
        assert row["times"] == mistakes.max() and row["taken_for"] == NAMES[mistakes.argmax()]
    times, true, taken = worst_pairs(evaluator.confusion, 3)[0]
    assert times == want.max() == want[true, taken]


def test_of_five_classes_top5_says_nothing_and_is_left_out():
    evaluator = evaluated([1, 2], np.eye(5, dtype=np.float32)[[0, 0]])
    assert evaluator.summarize() == {"top1": 0.5, "error": 0.5}
    assert "top5" not in evaluator.table(NAMES[:5])[0]


def test_what_is_not_a_number_is_a_mistake_and_no_guess():
    evaluator = evaluated([1, 1], np.array([[0.9, 0.1], [np.nan, np.nan]], np.float32))
    assert evaluator.summarize() == {"top1": 0.5, "error": 0.5}
    assert evaluator.confusion.sum() == 1 and evaluator.undefined.tolist() == [1, 0]
    assert evaluator.table("ab")[0]["images"] == 2


def test_of_no_images_there_are_no_numbers():
    assert Evaluator(3).summarize() == {}


def text(evaluator, names):
    return tables.of_classification(evaluator.summarize(), evaluator.table(names), evaluator.confusion).splitlines()


def test_the_table_of_a_few_classes_has_a_line_for_each_in_their_order(said):
    lines = text(evaluated(*said), NAMES)
    assert [line.split()[0] for line in lines[3:10]] == list("abcdefg")
    assert lines[0].startswith("top-1 ") and "(300 images)" in lines[0]
    assert lines[-1] == "(1 more classes have no images here)"


def test_the_table_of_many_classes_fits_a_screen_and_shows_the_worst():
    names = tuple(f"class {i:03d}" for i in range(1000))
    evaluator = Evaluator(1000)
    evaluator.confusion[np.arange(1000), np.arange(1000)] = 50
    evaluator.confusion[700, 3] = 40
    evaluator.confusion[3, 700] = 7
    lines = text(evaluator, names)
    assert len(lines) < 60 and max(map(len, lines)) <= 100
    assert lines[3].startswith("class 700") and lines[3].endswith("class 003 (40)")
    assert lines[-2:] == ["    40 times class 700 taken for class 003", "     7 times class 003 taken for class 700"]
