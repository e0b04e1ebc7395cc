"""R-CNN's warped regions: where each pixel of them comes from."""

import numpy as np
import tensorflow as tf

from tfrecog.ops import warping


def ramp(height, width):
    """An image [H, W, 1] that holds 3 y + x at the continuous position y, x; the first pixel's centre is at 0.5."""
    return tf.constant((3 * (np.arange(height)[:, None] + 0.5) + np.arange(width) + 0.5)[..., None], tf.float32)


def warped(image, box, size, limits=None):
    return warping.warp(image, tf.constant([box], tf.float32), limits or image.shape[:2], size=size)[0].numpy()


def test_context_is_counted_in_pixels_of_the_warped_region():
    # 227 - 2 * 16 = 195 pixels: a roi of that side keeps its scale, so it grows by 16 pixels on each side.
    grown = warping.with_context(tf.constant([[100.0, 50, 295, 245]]), 227, 16)
    np.testing.assert_allclose(grown[0], [84, 34, 311, 261], atol=1e-3)


def test_a_region_of_its_own_size_is_the_crop():
    image = tf.random.stateless_normal([9, 11, 3], (1, 2))
    np.testing.assert_allclose(warped(image, [2, 3, 8, 9], 6), image[2:8, 3:9], atol=1e-6)


def test_an_enlarged_ramp_with_context_is_the_ramp_at_the_sample_centres():
    # The roi takes 16 of 20 pixels, so 20 pixels are 10 of the image, around the centre of the roi.
    box = warping.with_context(tf.constant([10.0, 12, 18, 20]), 20, 2)
    np.testing.assert_allclose(box, [9, 11, 19, 21], atol=1e-5)
    at = (np.arange(20) + 0.5) / 2
    expected = 3 * (9 + at[:, None]) + 11 + at
    np.testing.assert_allclose(warped(ramp(30, 32), box.numpy(), 20)[..., 0], expected, atol=1e-4)


def test_the_whole_image_is_resized_as_tensorflow_resizes_it_with_antialiasing():
    image = tf.random.stateless_normal([13, 40, 3], (3, 4))
    for size in (7, 21):  # Shrunk along both axes, and along one.
        expected = tf.image.resize(image, [size, size], antialias=True)
        np.testing.assert_allclose(warped(image, [0, 0, 13, 40], size), expected, atol=1e-5)


def test_beyond_the_image_a_region_is_zero_whatever_the_canvas_holds():
    image = tf.ones([6, 6, 1])
    got = warped(image, [-2, -2, 6, 6], 8, limits=(4, 5))[..., 0]
    expected = np.zeros([8, 8])
    expected[2:6, 2:7] = 1
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_empty_and_far_boxes_are_finite():
    image = tf.ones([6, 6, 1])
    for box in ([0, 0, 0, 0], [50, 50, 60, 60]):
        assert np.isfinite(warped(image, box, 4)).all()
