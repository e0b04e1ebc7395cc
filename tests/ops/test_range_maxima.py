"""RoIPool for TensorFlow Lite gives the very numbers that it gives on this machine."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import region_features, target


def boxes_in(height, width, count, rng):
    """Boxes [1, count, 4] within an image: the first is all of it, the second its last corner, the last empty."""
    corners = np.sort(rng.uniform(0, 1, [count, 2, 2]), axis=1) * [height, width]
    boxes = corners.reshape(count, 4)
    boxes[0], boxes[1], boxes[-1] = (0, 0, height, width), (height, width, height, width), 0
    return tf.constant(boxes[None], tf.float32)


@pytest.mark.parametrize(("levels", "sizes"), [((4,), (7,)), ((3, 4, 5), (7,)), ((4,), (1, 2, 3, 6)), ((2,), (14, 5))])
def test_maxima_are_those_of_this_machine(levels, sizes):
    """Sides of 7 bins, which 1 / 7 in float32 would round, among them: 14 cells and 21 are in these maps."""
    rng = np.random.default_rng(3)
    features = {level: tf.constant(rng.normal(size=[1, 336 >> level, 448 >> level, 5]), tf.float32) for level in levels}
    boxes = boxes_in(336, 448, 60, rng)
    with target.to("tflite"):
        got = region_features.pyramid(features, boxes, sizes=sizes)
    np.testing.assert_array_equal(got, region_features.pyramid(features, boxes, sizes=sizes))


def test_roi_pool_of_a_pyramid_is_the_same_too():
    rng = np.random.default_rng(4)
    features = {level: tf.constant(rng.normal(size=[1, 256 >> level, 192 >> level, 3]), tf.float32) for level in (2, 3)}
    boxes = boxes_in(256, 192, 30, rng)
    with target.to("tflite"):
        got = region_features.multilevel(features, boxes, size=7, op="roi_pool")
    np.testing.assert_array_equal(got, region_features.multilevel(features, boxes, size=7, op="roi_pool"))
