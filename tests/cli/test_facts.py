"""Facts of a setting: which values they let through, and what they say."""

from dataclasses import dataclass, field
from typing import Annotated

import pytest

from tfrecog.cli import flags
from tfrecog.cli.facts import Ascending, BelowOne, For, Fraction, Length, NonNegative, Positive, Range, Resumable, When


@pytest.mark.parametrize(
    ("fact", "inside", "outside", "text"),
    [
        (Positive("pixels"), (1e-9, 5, 1e300), (0, -1, float("inf"), float("nan")), "more than 0 pixels"),
        (NonNegative(), (0, 2**31), (-1e-9, float("nan")), "at least 0"),
        (Fraction(), (0, 0.5, 1), (-0.1, 1.1, float("nan")), "between 0 and 1"),
        (BelowOne(), (0, 0.99), (1, -1), "at least 0 and less than 1"),
        (Range(0, 2**31), (0, 2**31), (2**31 + 1,), "between 0 and 2147483648"),
        (Range(0, 9, also=(-1,)), (-1, 0, 9), (-2, -0.5, 10), "between 0 and 9, or -1"),
    ],
)
def test_a_range_says_which_numbers_it_holds(fact, inside, outside, text):
    assert not any(fact.problem(number) for number in inside)
    assert all(fact.problem(number) == f"must be {text}" for number in outside)


def test_every_item_of_a_tuple_is_in_the_range():
    assert not Positive().problem((1, 2))
    assert Positive().problem((1, 0))


@pytest.mark.parametrize(
    ("fact", "right", "wrong"),
    [
        (Length(2), [(1, 2)], [(), (1,), (1, 2, 3)]),
        (Length(0, 2), [(), (1, 2)], [(1,)]),
        (Length(), [(), (1,), (1, 2, 3)], []),
        (Ascending(), [(), (1, 1, 2)], [(2, 1)]),
        (Ascending(strictly=True), [(1, 2)], [(1, 1)]),
    ],
)
def test_tuples_have_a_length_and_an_order(fact, right, wrong):
    assert not any(fact.problem(value) for value in right)
    assert all(fact.problem(value) for value in wrong)


@dataclass(frozen=True)
class Part:
    score: Annotated[float, "Score.", Fraction()] = 0.5
    size: Annotated[int, "Size.", Positive("pixels"), When(".score", 0.5)] = 3


@dataclass(frozen=True)
class Whole:
    part: Annotated[Part, For("detection"), Resumable(), NonNegative()] = field(default_factory=Part)
    other: Annotated[Part, NonNegative()] = field(default_factory=Part)


def test_a_section_gives_its_settings_the_facts_that_they_do_not_replace():
    leaf = {leaf.path: leaf for leaf in flags.leaves(Whole())}
    assert leaf["part.score"].fact(Resumable) and not leaf["other.score"].fact(Resumable)
    assert leaf["part.score"].facts_of(Range) == [Fraction()]
    assert flags.range_text(leaf["part.size"]) == "more than 0 pixels"
    assert [fact.flag for fact in leaf["part.size"].facts_of(When)] == ["part.score", "task"]
    assert [fact.flag for fact in leaf["other.size"].facts_of(When)] == ["other.score"]
