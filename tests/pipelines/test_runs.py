import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from pipelines.formats import coco_rle
from tfrecog.data import records

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans())


@settings(deadline=None)
@given(masks)
def test_area_and_box_are_those_of_the_pixels(mask):
    counts = records.to_runs(mask)
    assert coco_rle.area(counts) == mask.sum()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    expected = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if mask.any() else (0, 0, 0, 0)
    assert coco_rle.box(counts, mask.shape[0]) == expected


@settings(deadline=None)
@given(masks)
def test_cocos_compressed_string_gives_the_run_lengths(mask):
    text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    assert coco_rle.of_string(text).tolist() == records.to_runs(mask).tolist()
    assert coco_rle.of_string(text.decode()).tolist() == records.to_runs(mask).tolist()


def test_a_string_cut_in_a_number_is_refused():
    text = coco_mask.encode(np.zeros((40, 40), np.uint8, order="F"))["counts"]
    assert len(text) == 3  # 1600 needs more than two characters of 5 bits
    with pytest.raises(ValueError, match="in the middle"):
        coco_rle.of_string(text[:2])


def test_a_string_with_a_foreign_character_is_refused():
    with pytest.raises(ValueError, match="'!'"):
        coco_rle.of_string("ab!")


def test_a_polygon_becomes_the_pixels_it_encloses():
    mask = records.from_runs(coco_rle.of_polygons([[2, 1, 5, 1, 5, 4, 2, 4], [0, 5, 2, 5, 2, 6, 0, 6]], 8, 9), 8, 9)
    expected = np.zeros((8, 9), bool)
    expected[1:4, 2:5] = True  # corners on pixel borders enclose whole pixels
    expected[5:6, 0:2] = True
    np.testing.assert_array_equal(mask, expected)
