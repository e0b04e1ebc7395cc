"""The worst few of a stream."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfrecog.metrics.worst import Worst


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.integers(0, 5), st.randoms())
def test_the_worst_few_are_kept_in_whatever_order_they_come(badness, most, random):
    """Of equally bad ones those with the lowest numbers, as a stable sort of all has them first."""
    worst, numbers = Worst(most), [*range(len(badness))]
    random.shuffle(numbers)
    for number in numbers:
        worst.add(badness[number], number, lambda number=number: f"item {number}")
        assert len(worst) <= most
    order = np.argsort(-np.array(badness), kind="stable")[:most].tolist()
    assert worst.entries() == [(badness[number], number, f"item {number}") for number in order]


def test_what_is_not_kept_is_not_made():
    worst, made = Worst(1), []
    for badness in (0.5, 0.25, 0.75):
        worst.add(badness, int(100 * badness), lambda badness=badness: made.append(badness))
    assert made == [0.5, 0.75]
