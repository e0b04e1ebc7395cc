"""Boxes and keypoints as COCO's files have them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfrecog.ops import coco_format


def test_a_box_is_its_corner_and_its_sides():
    assert coco_format.to_xywh([[2, 7, 5, 13]]).tolist() == [[7, 2, 6, 3]]
    assert coco_format.to_xywh([]).shape == coco_format.from_xywh([]).shape == (0, 4)


def test_a_keypoint_at_the_centre_of_a_pixel_is_that_pixels_index():
    assert coco_format.to_xyv(np.array([[10.5, 40.5, 2]])).tolist() == [[40, 10, 2]]


@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 3), st.integers(0, 5), st.just(12))))
def test_the_way_to_cocos_format_has_an_inverse(eighths):
    boxes, keypoints = eighths.reshape(-1, 4) / 8, eighths.reshape(-1, 3) / 8
    np.testing.assert_array_equal(coco_format.from_xywh(coco_format.to_xywh(boxes)), boxes)
    np.testing.assert_array_equal(coco_format.from_xyv(coco_format.to_xyv(keypoints)), keypoints)
    np.testing.assert_array_equal(coco_format.to_xyv(coco_format.from_xyv(keypoints)), keypoints)
