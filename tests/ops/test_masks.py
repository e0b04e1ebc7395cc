import numpy as np
import tensorflow as tf
from pycocotools import mask as coco_mask

from tfrecog.ops import masks


def drawn(runs, height, width):
    """A mask [height, width] bool from COCO run lengths."""
    values = np.repeat(np.arange(len(runs)) % 2, runs)
    return values.reshape(width, height).T.astype(bool)


def blobs(rng, count, size):
    """Probabilities [count, size, size] of noisy blobs, and boxes [count, 4] in and about a 90 x 70 image."""
    boxes = np.sort(rng.uniform(-30, 110, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float32)
    return rng.uniform(size=(count, size, size)).astype(np.float32), boxes


def test_pasted_masks_are_torchvisions_but_for_pixels_at_the_threshold(torchvision):
    expected = np.unpackbits(torchvision["pasted"])[: 10 * 40 * 60].reshape(10, 40, 60).astype(bool)
    close = np.unpackbits(torchvision["close"])[: 10 * 40 * 60].reshape(10, 40, 60).astype(bool)
    got = masks.paste(torchvision["paste_masks"], torchvision["paste_boxes"], 40, 60).numpy()
    np.testing.assert_array_equal(got | close, expected | close)
    assert close.mean() < 0.01
    assert expected.any(axis=(1, 2)).sum() > 5


def test_runs_draw_what_paste_draws():
    probabilities, boxes = blobs(np.random.default_rng(0), 40, 9)
    boxes[0], boxes[1] = [-20, -20, 100, 80], [500, 500, 600, 600]  # all of the image; nothing of it
    probabilities[0] = 1
    pasted = tf.function(masks.paste)(probabilities, boxes, 90, 70).numpy()
    runs = masks.paste_into_runs(probabilities, boxes, 90, 70)
    different = sum((drawn(r, 90, 70) != p).sum() for r, p in zip(runs, pasted, strict=True))
    assert different <= 2  # a tie may round either way
    np.testing.assert_array_equal(runs[0], [0, 90 * 70])
    np.testing.assert_array_equal(runs[1], [90 * 70])


def test_runs_are_those_of_pycocotools():
    probabilities, boxes = blobs(np.random.default_rng(1), 40, 9)
    boxes[:10] = [-20, 5, 100, 60]  # full height, so that runs go on from one column to the next
    for runs in masks.paste_into_runs(probabilities, boxes, 90, 70):
        expected = coco_mask.encode(np.asfortranarray(drawn(runs, 90, 70), dtype=np.uint8))
        assert (
            coco_mask.frPyObjects({"counts": runs.tolist(), "size": [90, 70]}, 90, 70)["counts"] == expected["counts"]
        )
        assert runs.sum() == 90 * 70
        assert (runs[1:] > 0).all()


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
