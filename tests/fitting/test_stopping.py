import pytest

from tfrecog.fitting.timing import stopping


def test_the_standard_error_is_that_of_a_share():
    # 10,000 objects at one half: sqrt(0.25 / 10000).
    assert stopping.standard_error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)
    # None of n objects: from 0 to z² / (n + z²), of one to 1/2, and of 99 to 1/100. Of no object nothing is known.
    assert stopping.standard_error(0.0, 1) == stopping.standard_error(1.0, 1) == 0.25
    assert stopping.standard_error(1.2, 99) == stopping.standard_error(-1, 99) == 0.005
    assert stopping.standard_error(0.5, 0) == 0.5


@pytest.mark.parametrize(
    ("values", "objects", "stops"),
    [
        # Judged: 0.2, 0.4, 0.4, 0.4, 0.4: three times no more than before.
        ((0.0, 0.4, 0.4, 0.4, 0.4, 0.4), 100, True),
        ((0.0, 0.4, 0.4, 0.4, 0.4), 100, False),  # The first of the last three still gained.
        ((0.4, 0.4, 0.4, 0.4), 100, False),  # Too few.
        ((0.4, 0.4, 0.4, 0.4, 0.4), 100, True),
        # A gain of 0.01 at 0.4 is chance with 100 objects (0.049 / 4 = 0.012), and none with 10,000 (0.0012).
        ((0.4, 0.4, 0.41, 0.41, 0.41), 100, True),
        ((0.4, 0.4, 0.41, 0.41, 0.41), 10_000, False),
        ((0.4, 0.4, 0.401, 0.401, 0.401), 10_000_000, True),  # less than 0.002
        ((0.4, 0.3, 0.2, 0.3, 0.2, 0.1), 100, True),  # It gets worse.
    ],
)
def test_three_evaluations_without_a_gain_beyond_chance_are_enough(values, objects, stops):
    assert stopping.gains_no_more(values, objects) is stops
