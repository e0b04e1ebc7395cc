from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tfrecog import losses


def test_smooth_l1_is_square_below_beta_and_linear_above():
    # At beta both branches give beta / 2; 0.5 * 0.1² / 0.5 = 0.01; 2 - 0.25 = 1.75.
    np.testing.assert_allclose(
        losses.smooth_l1(tf.constant([0.0, 0.1, 0.5, -2.0]), 0.5), [0, 0.01, 0.25, 1.75], atol=1e-7
    )


def test_smooth_l1_with_a_beta_of_0_is_the_absolute_error_with_finite_gradients():
    error = tf.constant([0.0, 0.1, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(error)
        loss = losses.smooth_l1(error, 0.0)
    np.testing.assert_array_equal(loss, np.float32([0, 0.1, 2]))
    np.testing.assert_array_equal(tape.gradient(loss, error), [0, 1, -1])


def image_loss(outputs, labels, smoothing):
    return losses.image_cross_entropy(outputs, losses.class_targets(labels, 7, smoothing))


# A loss of outputs that are all 0, what it learns from, and how often it counts the ln of so many choices.
UNDECIDED = {
    "a mask": (losses.mask_loss, [1, 3, 4, 4, 2], (np.ones([1, 3, 4, 4], np.float32), [[1, 2, 0]]), 2, 2),
    "a heat map": (
        losses.keypoint_loss,
        [1, 2, 4, 4, 2],
        ([[[3, 0], [15, 2]]], [[[True, False], [True, True]]]),
        3,
        16,
    ),
    "a region": (losses.class_loss, [2, 2, 5], ([[0, 4], [1, -1]], [[True, True], [True, False]]), 3, 5),
    "an anchor": (losses.objectness_loss, [1, 4], ([[1, 0, -1, -1]],), 2, 2),
    "an image": (partial(image_loss, smoothing=0.0), [3, 7], ([3, 0, 1],), 2, 7),
    "an image, smoothed": (partial(image_loss, smoothing=0.1), [3, 7], ([3, 0, 1],), 2, 7),
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_an_undecided_network_costs_the_ln_of_its_choices_for_each_that_counts(name):
    loss, shape, targets, counted, choices = UNDECIDED[name]
    total, count = loss(tf.zeros(shape), *map(tf.constant, targets))
    np.testing.assert_allclose([total, count], [counted * np.log(choices), counted], rtol=1e-6)


def test_only_the_mask_of_its_own_class_learns():
    logits = tf.random.stateless_normal([1, 2, 2, 2, 3], (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total, _ = losses.mask_loss(logits, tf.ones([1, 2, 2, 2]), tf.constant([[2, 0]]))
    moved = np.abs(tape.gradient(total, logits).numpy()).sum(axis=(2, 3)) > 0
    np.testing.assert_array_equal(moved, [[[False, True, False], [False, False, False]]])


def test_a_heat_map_with_all_its_weight_on_the_keypoint_costs_nothing():
    index, valid = tf.constant([[6, 9]]), tf.constant([[True, True]])
    logits = 100 * tf.reshape(tf.one_hot(index, 16, axis=1), [1, 4, 4, 2])
    assert float(losses.keypoint_loss(logits, index, valid)[0]) < 1e-6
    assert float(losses.keypoint_loss(tf.transpose(logits, [0, 2, 1, 3]), index, valid)[0]) > 100  # y and x exchanged


def test_each_visible_keypoint_weighs_the_same_or_each_image():
    # Two images, of one and of three keypoints, each with an undecided map: the mean over keypoints is ln 16 whatever
    # their number; divided by the room for four, the poorer image has a third of the other's share.
    logits, index = tf.zeros([1, 3, 4, 4, 1]), tf.zeros([1, 3, 1], tf.int32)
    shares = {room: [] for room in (None, 4)}
    for visible in (1, 3):
        valid = tf.reshape(tf.range(3) < visible, [1, 3, 1])
        for room, costs in shares.items():
            total, count = losses.keypoint_loss(logits, index, valid, room)
            costs.append(float(total / count) / np.log(16))
    np.testing.assert_allclose(shares[None], [1, 1], rtol=1e-6)
    np.testing.assert_allclose(shares[4], [0.25, 0.75], rtol=1e-6)


def test_the_box_loss_is_divided_by_all_samples():
    # Errors of 1 in four coordinates of one positive, beta 1: 4 * 0.5; the other is background but is counted.
    total, count = losses.box_loss(
        tf.ones([2, 4]), tf.zeros([2, 4]), tf.constant([True, False]), tf.constant([True, True]), 1.0
    )
    np.testing.assert_allclose([total, count], [2.0, 2.0])


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (losses.mask_loss, (np.zeros([1, 2, 4, 4], np.float32), np.zeros([1, 2], np.int32))),
        (losses.keypoint_loss, (np.zeros([1, 2, 3], np.int32), np.zeros([1, 2, 3], bool))),
    ],
)
def test_nothing_to_learn_from_has_no_loss_and_a_finite_gradient(loss, targets):
    logits = tf.zeros([1, 2, 4, 4, 3])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total, count = loss(logits, *map(tf.constant, targets))
    assert float(total) == 0 and float(count) == 0
    np.testing.assert_array_equal(tape.gradient(total, logits), np.zeros([1, 2, 4, 4, 3]))


def test_smoothing_gives_every_class_the_same_share_of_the_target():
    logits = np.random.default_rng(0).normal(size=[2, 4])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    want = 0.7 * -(log_p[0, 2] + log_p[1, 0]) + 0.3 * -log_p.mean(-1).sum()
    total, _ = losses.image_cross_entropy(tf.constant(logits), losses.class_targets(tf.constant([3, 1]), 4, 0.3))
    np.testing.assert_allclose(total, want, rtol=1e-6)


def test_an_image_without_a_label_moves_nothing():
    outputs, targets = tf.random.stateless_normal([2, 5], (1, 2)), losses.class_targets(tf.constant([0, 4]), 5, 0.1)
    for loss in (losses.image_cross_entropy, losses.image_squared_error):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            total, count = loss(outputs, targets)
        moved = np.abs(tape.gradient(total, outputs).numpy()).sum(-1) > 0
        np.testing.assert_array_equal(moved, [False, True])
        assert float(count) == 1


def test_the_squared_error_is_0_at_plus_and_minus_1_and_1_between_them():
    targets = losses.class_targets(tf.constant([2, 1]), 3)
    total, count = losses.image_squared_error(tf.constant([[-1.0, 1, -1], [0, 0, 0]]), targets)
    np.testing.assert_allclose([total, count], [0 + 1, 2])


def test_a_hit_is_the_highest_output_of_an_image_with_a_label():
    outputs = tf.constant([[1.0, 3, 2], [5, 4, 4], [0, 1, 2], [9, 0, 0]])
    np.testing.assert_array_equal(losses.hits(outputs, tf.constant([2, 2, 3, 0])), [2, 3])
