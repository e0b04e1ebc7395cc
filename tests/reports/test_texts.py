"""The matrix of a report, and how numbers and names are written."""

import numpy as np

from tfrecog.reports import card, confusion, page
from tfrecog.reports.blocks import Number

NAMES = [f"class {i}" for i in range(1000)]


def shown(matrix, **options):
    """The names in the matrix, and all paragraphs."""
    blocks = confusion.section("Counts.", matrix, NAMES, "images", **options).blocks
    (own,) = (block for block in blocks if block.kind == "matrix")
    return own.names, " ".join(block.text for block in blocks if block.kind == "words")


def test_of_many_classes_the_words_count_those_that_are_shown():
    right = np.eye(1000, dtype=int)
    names, words = shown(right)
    assert names == NAMES[:12] and "The first 12 of 1,000 classes:" in words
    assert "No class is taken for another." in words
    right[3, 977] = 5
    names, words = shown(right)
    assert names == ["class 3", "class 977"] and "The 2 of 1,000 classes in the commonest confusions:" in words
    names, words = shown(np.pad(right, (0, 1)), background="background")
    assert names == ["class 3", "class 977", "background"] and "confusions, and the background:" in words


def test_a_gain_that_rounds_to_nothing_has_no_sign():
    assert Number(-0.0001).text == "0.0" and Number(-0.01).text == "-1.0"


def test_a_folder_whose_name_is_no_utf8_takes_no_page_away():
    text = page.render("val of caf\udce9", card.Facts({}), [])
    assert "<title>val of caf?</title>" in text and text.encode()
