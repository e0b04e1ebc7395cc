"""Pictures of more than 8 bits: the range that a data set chooses for them, and what it makes of their values."""

import numpy as np
import pytest

from tfrecog.data import depth


@pytest.mark.parametrize(
    ("kind", "measured", "chosen"),
    [
        ("uint16", (0, 200), (0, 255)),
        ("uint16", (0, 255), (0, 255)),
        ("uint16", (7, 256), (0, 1023)),
        ("uint16", (0, 1024), (0, 4095)),
        ("uint16", (2900, 4095), (0, 4095)),
        ("uint16", (0, 4096), (0, 16383)),
        ("uint16", (0, 65535), (0, 65535)),
        ("uint16", (0, 0), (0, 255)),
        ("uint16", (0, 10), (0, 10)),  # not of 8 bits: three quarters of them would be 0
        ("int32", (0, 70_000), (0, 70_000)),
        ("int32", (-1024, 3071), (-1024, 3071)),  # Hounsfield units
        ("int32", (-5, -5), (-5, -4)),
        ("float32", (0, 0), (0, 1)),
        ("float32", (0.2, 0.9), (0, 1)),
        ("float32", (0, 0.1), (0, 0.1)),
        ("float32", (0, 3), (0, 3)),
        ("float32", (0, 254.5), (0, 255)),
        ("float32", (-1, 1), (-1, 1)),
    ],
)
def test_the_range_holds_the_values_and_is_that_of_a_number_of_bits_where_they_need_one(kind, measured, chosen):
    assert depth.chosen(kind, measured) == chosen


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_of_whole_numbers_the_upper_8_bits_are_taken(bits):
    values = np.arange(2**bits).astype(np.uint16)
    np.testing.assert_array_equal(depth.to_8_bits(values, (0, 2**bits - 1)), values >> (bits - 8))


def test_fractions_are_rounded_and_what_is_beyond_is_cut():
    values = np.array([0, 0.5, 1, -1, 2, np.nan, np.inf, -np.inf, 100 / 255], np.float32)
    # 0.5 is 127.5, which is rounded to the even number.
    assert depth.to_8_bits(values, (0, 1)).tolist() == [0, 128, 255, 0, 255, 0, 255, 0, 100]
    assert depth.beyond(values, (0, 1)) == 5
    assert depth.to_8_bits(np.array([-2000, -1024, 1023, 3071, 9000], np.int32), (-1024, 3071)).tolist() == [
        0, 0, 127, 255, 255,
    ]  # fmt: skip


def test_only_finite_values_are_measured():
    assert depth.measured(np.array([np.nan, 3, -1, np.inf], np.float32)) == (-1, 3)
    assert depth.measured(np.array([np.nan], np.float32)) == (0, 0)
