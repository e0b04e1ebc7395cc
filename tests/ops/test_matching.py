import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import matching


@pytest.mark.parametrize("low_quality", [0, 1])
def test_matches_are_torchvisions_ties_included(torchvision, low_quality):
    iou = tf.constant(torchvision["match_iou"])
    gt, state = matching.match(iou, tf.ones([5], tf.int32), 0.7, 0.3, bool(low_quality))
    # torchvision writes both into one number: the instance, or -1 for background, or -2 for in between.
    expected = torchvision[f"match_{low_quality}"]
    np.testing.assert_array_equal(state, np.select([expected >= 0, expected == -1], [1, 0], -1))
    np.testing.assert_array_equal(gt.numpy()[expected >= 0], expected[expected >= 0])


def test_padding_matches_nothing():
    iou = tf.constant([[0.2, 0.4], [0.9, 0.9]])
    gt, state = matching.match(iou, tf.constant([3, 0]), 0.5, 0.5, False)
    np.testing.assert_array_equal(gt, [0, 0])
    np.testing.assert_array_equal(state, [0, 0])


@pytest.mark.parametrize("slots", [0, 2])
def test_an_image_without_instances_is_all_background(slots):
    gt, state = matching.match(tf.zeros([slots, 3]), tf.zeros([slots], tf.int32), 0.7, 0.3, True)
    np.testing.assert_array_equal(state, [0, 0, 0])
    np.testing.assert_array_equal(gt, [0, 0, 0])


def test_every_instance_has_an_anchor_if_low_quality_counts():
    iou = tf.constant([[0.1, 0.2, 0.2], [0.8, 0.0, 0.1]])
    gt, state = matching.match(iou, tf.constant([1, 1]), 0.7, 0.3, True)
    np.testing.assert_array_equal(state, [1, 1, 1])  # the last two tie for the first instance
    np.testing.assert_array_equal(gt, [1, 0, 0])


def test_an_instance_that_no_anchor_touches_makes_no_anchor_an_object():
    iou = tf.constant([[0.0, 0.0], [0.8, 0.1]])
    _, state = matching.match(iou, tf.constant([1, 1]), 0.7, 0.3, True)
    np.testing.assert_array_equal(state, [1, 0])


def test_a_sample_has_its_objects_first_and_no_more_than_their_share():
    state = tf.constant([1] * 30 + [0] * 60 + [-1] * 10)
    indices, chosen = matching.sample(state, 16, 0.25, tf.constant([1, 2]))
    np.testing.assert_array_equal(chosen, [1] * 4 + [0] * 12)
    np.testing.assert_array_equal(tf.gather(state, indices), chosen)
    assert len(set(indices.numpy())) == 16


def test_background_fills_the_places_of_missing_objects():
    state = tf.constant([0] * 20 + [1])
    indices, chosen = matching.sample(state, 8, 0.5, tf.constant([0, 0]))
    np.testing.assert_array_equal(chosen, [1] + [0] * 7)
    assert indices[0] == 20
    assert len(set(indices.numpy())) == 8


def test_slots_left_over_are_marked():
    indices, chosen = matching.sample(tf.constant([-1, 1, 0, -1]), 6, 0.5, tf.constant([0, 0]))
    np.testing.assert_array_equal(indices, [1, 2, 0, 0, 0, 0])
    np.testing.assert_array_equal(chosen, [1, 0, -1, -1, -1, -1])


def test_a_sample_depends_on_its_seed_alone():
    state = tf.constant([1, 0] * 200)
    seeds = tf.constant([[1, 2], [3, 4], [1, 2]])

    def one(seed):
        return matching.sample(state, 32, 0.5, seed)[0]

    in_batch = tf.function(lambda: tf.map_fn(one, seeds))().numpy()
    np.testing.assert_array_equal(in_batch[0], one(seeds[0]))
    np.testing.assert_array_equal(in_batch[0], in_batch[2])
    assert set(in_batch[0]) != set(in_batch[1])


def test_every_anchor_is_as_likely_as_any_other():
    state = tf.constant([1] * 10 + [0] * 30)

    def one(seed):
        return matching.sample(state, 10, 0.5, seed)[0]

    seeds = tf.stack([tf.range(2000), tf.zeros([2000], tf.int32)], axis=1)
    counts = np.bincount(tf.function(lambda: tf.map_fn(one, seeds))().numpy().ravel(), minlength=40)
    # 2000 draws: 5 of 10 objects, 5 of 30 backgrounds; five standard deviations of the binomial.
    assert (abs(counts[:10] - 1000) < 5 * np.sqrt(2000 * 0.25)).all()
    assert (abs(counts[10:] - 2000 / 6) < 5 * np.sqrt(2000 / 6 * 5 / 6)).all()
