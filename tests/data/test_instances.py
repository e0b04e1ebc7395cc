import numpy as np
import tensorflow as tf

from tfrecog.data import instances


def objects():
    """Two instances in an image of 20 x 30, with three joints of which the last two are a pair."""
    return {
        "boxes": tf.constant([[2.0, 3, 12, 23], [0, 0, 4, 4]]),
        "labels": tf.constant([1, 2]),
        "masks": tf.constant(np.arange(2 * 16).reshape(2, 4, 4) % 3 == 0, tf.uint8),
        "mask_boxes": tf.constant([[2.0, 3, 12, 23], [0, 0, 4, 4]]),
        "keypoints": tf.constant([[[5.0, 6, 2], [7, 8, 1], [9, 10, 2]], [[1.0, 1, 2], [0, 0, 0], [2, 2, 1]]]),
    }


def test_flipping_mirrors_boxes_masks_and_joints_and_swaps_left_with_right():
    got = instances.flip(objects(), 30.0, flip_pairs=((1, 2),))
    assert got["boxes"].numpy().tolist() == [[2, 7, 12, 27], [0, 26, 4, 30]]
    np.testing.assert_array_equal(got["masks"], objects()["masks"].numpy()[:, :, ::-1])
    # Joint 1 becomes the old joint 2 and the other way round; an invisible joint stays at zero.
    expected = [[[5, 24, 2], [9, 20, 2], [7, 22, 1]], [[1, 29, 2], [2, 28, 1], [0, 0, 0]]]
    assert got["keypoints"].numpy().tolist() == expected


def test_flipping_twice_changes_nothing():
    got = instances.flip(instances.flip(objects(), 30.0, ((1, 2),)), 30.0, ((1, 2),))
    for name, values in objects().items():
        np.testing.assert_array_equal(got[name], values, err_msg=name)


def test_scaling_moves_everything_but_the_visibility():
    got = instances.scale(objects(), tf.constant([2.0, 3.0]))
    assert got["boxes"][0].numpy().tolist() == [4, 9, 24, 69]
    assert got["mask_boxes"][0].numpy().tolist() == [4, 9, 24, 69]
    assert got["keypoints"][0, 0].numpy().tolist() == [10, 18, 2]


def test_a_crop_clips_boxes_but_not_the_boxes_of_masks():
    got = instances.crop(objects(), tf.constant([5, 10]), tf.constant([10, 10]))
    assert got["boxes"].numpy().tolist() == [[0, 0, 7, 10]]  # the second instance lies outside
    assert got["mask_boxes"].numpy().tolist() == [[-3, -7, 7, 13]]
    assert got["labels"].numpy().tolist() == [1]
    np.testing.assert_array_equal(got["masks"], objects()["masks"][:1])


def test_joints_outside_a_crop_become_invisible():
    got = instances.crop(objects(), tf.constant([6, 7]), tf.constant([10, 10]))
    assert got["keypoints"].numpy().tolist() == [[[0, 0, 0], [1, 1, 1], [3, 3, 2]]]


def test_a_crop_leaves_out_what_it_cuts_below_a_pixel_but_not_what_was_small():
    small = {"boxes": tf.constant([[0.0, 0, 10, 10.5], [12, 12, 12.5, 12.5]])}
    got = instances.crop(small, tf.constant([0, 10]), tf.constant([20, 20]))
    assert got["boxes"].numpy().tolist() == [[12, 2, 12.5, 2.5]]


def test_padding_is_label_zero_and_what_is_too_much_is_cut():
    got = instances.pad(objects(), 3)
    assert got["labels"].numpy().tolist() == [1, 2, 0]
    assert got["boxes"][2].numpy().tolist() == [0, 0, 0, 0]
    assert got["masks"].shape == (3, 4, 4) and got["keypoints"].shape == (3, 3, 3)
    assert instances.pad(objects(), 1)["labels"].numpy().tolist() == [1]


def test_boxes_without_an_inside_are_not_sound():
    boxes = tf.constant([[0.0, 0, 1, 1], [0, 0, 0, 1], [2, 0, 1, 1], [np.nan, 0, 1, 1]])
    assert instances.sound(boxes).numpy().tolist() == [True, False, False, False]
