import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import masks, pasting, rle


def pasted_as_runs(masks, boxes, height, width, *rule):
    return np.stack([rle.decode(runs, height, width) for runs in pasting.paste(masks, boxes, height, width, *rule)])


@pytest.mark.parametrize("paste", [masks.paste, pasted_as_runs])
def test_pasted_masks_are_torchvisions_but_for_pixels_at_the_threshold(torchvision, paste):
    expected = np.unpackbits(torchvision["pasted"])[: 10 * 40 * 60].reshape(10, 40, 60).astype(bool)
    close = np.unpackbits(torchvision["close"])[: 10 * 40 * 60].reshape(10, 40, 60).astype(bool)
    got = np.asarray(paste(torchvision["paste_masks"], torchvision["paste_boxes"], 40, 60))
    np.testing.assert_array_equal(got | close, expected | close)
    assert close.mean() < 0.01
    assert expected.any(axis=(1, 2)).sum() > 5


@pytest.mark.parametrize("threshold", [0.5, 0.2])
@pytest.mark.parametrize("paste", [masks.paste, pasted_as_runs])
def test_masks_read_at_pixel_centres_are_grid_samples_but_for_pixels_at_the_threshold(torchvision, paste, threshold):
    expected, close = (
        np.unpackbits(torchvision[f"{name}_{threshold}"])[: 10 * 40 * 60].reshape(10, 40, 60).astype(bool)
        for name in ("centres", "centres_close")
    )
    boxes = torchvision["paste_boxes"]
    got = np.asarray(paste(torchvision["paste_masks"], boxes, 40, 60, threshold, "detectron2"))
    np.testing.assert_array_equal(got | close, expected | close)
    assert close.mean() < 0.01
    assert expected.any(axis=(1, 2)).sum() > 5
    assert not got[0].any()  # An empty box.


@pytest.mark.parametrize("paste", [masks.paste, pasted_as_runs])
def test_a_full_mask_read_at_pixel_centres_covers_just_its_box(paste):
    boxes = np.float32([[2, 3, 9, 12], [2.4, 3, 9.6, 12], [2.6, 3, 9.4, 12]])  # pixel 2 has its centre at 2.5
    pasted = np.asarray(paste(np.ones([3, 28, 28], np.float32), boxes, 20, 20, 0.5, "detectron2"))
    for mask, (top, bottom) in zip(pasted, [(2, 9), (2, 10), (3, 9)], strict=True):
        expected = np.zeros([20, 20], bool)
        expected[top:bottom, 3:12] = True
        np.testing.assert_array_equal(mask, expected)


def test_the_target_of_a_roi_that_is_the_box_is_the_mask():
    mask = (np.random.default_rng(0).uniform(size=(1, 14, 14)) > 0.5).astype(np.uint8)
    box = tf.constant([[3.0, 4, 31, 60]])
    got = masks.targets(mask, box, box, tf.constant([0]), 14)
    np.testing.assert_array_equal(got, mask)


def test_the_target_of_a_quarter_is_a_quarter_of_the_mask():
    mask = (np.random.default_rng(0).uniform(size=(1, 28, 28)) > 0.5).astype(np.uint8)
    got = masks.targets(
        mask, tf.constant([[10.0, 20, 66, 76]]), tf.constant([[38.0, 20, 66, 48]]), tf.constant([0]), 14
    )
    np.testing.assert_array_equal(got[0], mask[0, 14:, :14])


def test_outside_its_box_a_mask_is_zero():
    box, roi = tf.constant([[10.0, 10, 20, 20]]), tf.constant([[0.0, 0, 40, 40]])
    got = masks.targets(tf.ones([1, 7, 7], tf.uint8), box, roi, tf.constant([0]), 8)[0].numpy()
    expected = np.zeros((8, 8))
    expected[2:4, 2:4] = 1  # bins of 5 pixels with centres 12.5 and 17.5
    np.testing.assert_array_equal(got, expected)


def test_each_roi_sees_its_own_instance():
    instances = tf.constant(np.stack([np.zeros((4, 4)), np.ones((4, 4))]), tf.uint8)
    boxes = tf.constant([[0.0, 0, 9, 9]] * 2)
    got = masks.targets(instances, boxes, boxes, tf.constant([1, 0]), 3)
    np.testing.assert_array_equal(tf.reduce_mean(got, axis=[1, 2]), [1, 0])


def test_padding_has_finite_targets():
    got = masks.targets(tf.ones([1, 4, 4], tf.uint8), tf.zeros([1, 4]), tf.zeros([2, 4]), tf.constant([0, 0]), 3)
    assert np.isfinite(got).all()


def test_paste_undoes_targets():
    y, x = np.mgrid[:56, :56] - 27.5
    disc = (np.hypot(y, x) < 24).astype(np.uint8)[None]
    box = tf.constant([[20.0, 30, 132, 142]])
    target = masks.targets(disc, box, box, tf.constant([0]), 28)
    pasted = masks.paste(target, box, 160, 180)[0].numpy()
    y, x = np.mgrid[:160, :180] + 0.5
    expected = np.hypot(y - 76, x - 86) < 48
    overlap = (pasted & expected).sum() / (pasted | expected).sum()
    assert overlap > 0.93  # a cell of the 28 x 28 mask is 4 pixels; torchvision's paste adds up to a pixel
