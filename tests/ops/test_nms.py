import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import nms as suppression


def test_of_three_boxes_the_better_of_two_that_overlap_and_the_far_one_stay():
    boxes = tf.constant([[0.0, 0, 10, 10], [0, 1, 10, 11], [50, 50, 60, 60]])
    indices, valid = suppression.nms(boxes, tf.constant([0.5, 0.9, 0.7]), 0.5, 4)
    np.testing.assert_array_equal(indices, [1, 2, 0, 0])
    np.testing.assert_array_equal(valid, [True, True, False, False])


def test_an_overlap_of_exactly_the_threshold_stays():
    boxes = tf.constant([[0.0, 0, 2, 2], [0, 0, 1, 2]])  # IoU 1/2
    assert suppression.nms(boxes, tf.constant([0.9, 0.8]), 0.5, 2)[1].numpy().all()


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_nms_is_torchvisions(torchvision, compiled):
    nms = tf.function(suppression.nms) if compiled else suppression.nms
    indices, valid = nms(torchvision["nms_boxes"], torchvision["nms_scores"], 0.5, 150)
    scores = torchvision["nms_scores"]
    np.testing.assert_array_equal(np.flatnonzero(valid), np.arange(len(torchvision["nms"])))
    # torchvision's sort leaves open which of equal scores goes first.
    np.testing.assert_array_equal(scores[indices[: len(torchvision["nms"])]], scores[torchvision["nms"]])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_nms_by_group_is_torchvisions(torchvision, compiled):
    nms = tf.function(suppression.nms_by_group) if compiled else suppression.nms_by_group
    indices, valid = nms(torchvision["nms_boxes"], torchvision["nms_scores"], torchvision["nms_groups"], 0.5, 150)
    np.testing.assert_array_equal(indices[: tf.math.count_nonzero(valid)], torchvision["batched_nms"])


def test_groups_of_many_boxes_are_suppressed_as_if_alone():
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, 1000, (40, 2))[rng.integers(0, 40, 3000)] + rng.normal(0, 8, (3000, 2))
    half = rng.uniform(10, 60, (3000, 2))
    boxes = tf.constant(np.concatenate([centre - half, centre + half], axis=1), tf.float32)
    scores, groups = tf.constant(rng.permutation(3000), tf.float32), tf.constant(rng.integers(0, 90, 3000))
    expected = []
    for group in range(90):
        own = np.flatnonzero(groups == group)
        indices, valid = suppression.nms(tf.gather(boxes, own), tf.gather(scores, own), 0.5, len(own))
        expected.extend(own[indices[valid]])
    expected.sort(key=lambda i: -scores[i])
    indices, valid = suppression.nms_by_group(boxes, scores, groups, 0.5, 3000)
    np.testing.assert_array_equal(indices[valid], expected)


def test_padding_never_stays():
    boxes = tf.constant([[0.0, 0, 0, 0], [5, 5, 9, 9], [0, 0, 0, 0]])
    scores = tf.constant([-np.inf, -3.0, -np.inf])
    for indices, valid in (
        suppression.nms(boxes, scores, 0.5, 3),
        suppression.nms_by_group(boxes, scores, tf.constant([0, 2, 1]), 0.5, 3),
    ):
        np.testing.assert_array_equal(indices, [1, 0, 0])
        np.testing.assert_array_equal(valid, [True, False, False])


def test_without_boxes_nothing_stays():
    _, valid = suppression.nms_by_group(tf.zeros([0, 4]), tf.zeros([0]), tf.zeros([0], tf.int32), 0.5, 2)
    np.testing.assert_array_equal(valid, [False, False])


def test_the_best_of_all_groups_stay_where_there_is_no_room_for_all():
    boxes = tf.constant([[0.0, 0, 4, 4]] * 4)
    indices, valid = suppression.nms_by_group(boxes, tf.constant([0.1, 0.4, 0.3, 0.2]), tf.range(4), 0.5, 2)
    np.testing.assert_array_equal(indices, [1, 2])
    assert valid.numpy().all()
