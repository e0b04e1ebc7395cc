import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecog.ops import boxes, overlaps

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


@st.composite
def proper_boxes(draw):
    """A box [4] with sides of 1 to 500 pixels."""
    y, x = draw(st.floats(-100, 900)), draw(st.floats(-100, 900))
    height, width = draw(st.floats(1, 500)), draw(st.floats(1, 500))
    return np.array([y, x, y + height, x + width], np.float32)


def test_iou_of_a_box_and_its_half():
    whole, half = tf.constant([[0.0, 0, 2, 2]]), tf.constant([[0.0, 0, 1, 2], [0, 0, 2, 2], [2, 0, 4, 2]])
    np.testing.assert_allclose(boxes.pairwise_iou(whole, half), [[0.5, 1, 0]])


def test_iou_is_torchvisions(torchvision):
    got = boxes.pairwise_iou(torchvision["coding_boxes"], torchvision["coding_anchors"])
    np.testing.assert_allclose(got, torchvision["iou"], rtol=1e-5, atol=1e-7)
    in_numpy = overlaps.pairwise_iou(torchvision["coding_boxes"], torchvision["coding_anchors"])
    np.testing.assert_allclose(in_numpy, torchvision["iou"], rtol=1e-5, atol=1e-7)


def test_padding_overlaps_nothing():
    padding, others = tf.zeros([2, 4]), tf.constant([[0.0, 0, 5, 5], [0, 0, 0, 0]])
    np.testing.assert_array_equal(boxes.pairwise_iou(padding, others), np.zeros([2, 2]))
    np.testing.assert_array_equal(overlaps.pairwise_iou(padding.numpy(), others.numpy()), np.zeros([2, 2]))


def test_encode_is_torchvisions(torchvision):
    got = boxes.encode(tf.constant(torchvision["coding_boxes"]), torchvision["coding_anchors"], WEIGHTS)
    np.testing.assert_allclose(got, torchvision["encoded"], rtol=1e-5, atol=1e-5)


def test_decode_is_torchvisions_with_its_limit_of_growth(torchvision):
    got = boxes.decode(tf.constant(torchvision["coding_deltas"]), torchvision["coding_anchors"], WEIGHTS)
    expected = torchvision["decoded"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(axis=1, keepdims=True).max())


@settings(max_examples=50, deadline=None)
@given(proper_boxes(), proper_boxes())
def test_decode_inverts_encode(box, anchor):
    # Sides between 1 and 500 pixels: a box may be 500 times its anchor, and growth is limited to 62.5 times.
    box[2:] = np.minimum(box[2:], box[:2] + 60 * (anchor[2:] - anchor[:2]))
    got = boxes.decode(boxes.encode(tf.constant(box), tf.constant(anchor), WEIGHTS), tf.constant(anchor), WEIGHTS)
    np.testing.assert_allclose(got, box, atol=2e-2 * 0.1)


def test_no_deltas_leave_the_anchor_where_it_is():
    anchor = tf.constant([[1.0, 2, 30, 40]])
    np.testing.assert_allclose(boxes.decode(tf.zeros([1, 4]), anchor, WEIGHTS), anchor)


def test_padding_is_encoded_and_decoded_to_finite_numbers_with_finite_gradients():
    padding, box = tf.zeros([1, 4]), tf.constant([[1.0, 2, 3, 4]])
    for of, to in ((padding, padding), (padding, box), (box, padding)):
        with tf.GradientTape() as tape:
            tape.watch([of, to])
            deltas = boxes.encode(of, to, WEIGHTS)
            out = boxes.decode(deltas, to, WEIGHTS)
        for value in (deltas, out, *tape.gradient(out, [of, to])):
            assert np.isfinite(value).all()


def test_clip_keeps_each_images_boxes_within_it():
    two_images = tf.constant([[[-5.0, -5, 500, 500]], [[10, 10, 20, 90]]])
    got = boxes.clip(two_images, tf.constant([[100, 200], [50, 60]]))
    np.testing.assert_array_equal(got, [[[0, 0, 100, 200]], [[10, 10, 20, 60]]])


def test_long_enough_asks_for_both_sides():
    got = boxes.long_enough(tf.constant([[0.0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 1, 2], [5, 5, 3, 3]]), 2)
    np.testing.assert_array_equal(got, [True, False, False, False])


def test_flip_mirrors_and_its_own_inverse_undoes_it():
    box = tf.constant([[1.0, 2, 3, 5]])
    np.testing.assert_array_equal(boxes.flip(box, 10), [[1, 5, 3, 8]])
    np.testing.assert_array_equal(boxes.flip(boxes.flip(box, 10), 10), box)


def test_grow_reaches_beyond_each_side_and_leaves_padding_empty():
    got = boxes.grow(tf.constant([[10.0, 20, 30, 60], [0, 0, 0, 0]]), 0.1)
    np.testing.assert_allclose(got, [[8, 16, 32, 64], [0, 0, 0, 0]], rtol=1e-6)
