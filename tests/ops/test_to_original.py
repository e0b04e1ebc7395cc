"""From resized images back to the originals: the inverse of resizing, the same in NumPy and in TensorFlow."""

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecog.data import image, instances
from tfrecog.ops import boxes, keypoints, to_original

sides = st.integers(1, 800)


@settings(deadline=None, max_examples=50)
@given(st.tuples(sides, sides), st.integers(32, 800), st.integers(0, 2**32 - 1))
def test_the_way_back_undoes_resizing(original, short, seed):
    rng = np.random.default_rng(seed)
    scale = (image.target_size(np.array(original), short, 1333).numpy() / np.array(original)).astype(np.float32)
    corners = np.sort(rng.uniform(0, original, [5, 2, 2]), axis=1).reshape(5, 4).astype(np.float32)
    points = np.concatenate([rng.uniform(0, original, [5, 3, 2]), rng.normal(size=[5, 3, 1])], -1).astype(np.float32)
    resized = instances.scale({"boxes": corners, "keypoints": points}, scale)
    np.testing.assert_allclose(to_original.boxes(resized["boxes"].numpy(), scale, original), corners, rtol=1e-6)
    np.testing.assert_allclose(to_original.keypoints(resized["keypoints"].numpy(), scale), points, rtol=1e-6)


def test_boxes_are_cut_at_the_original_and_keypoints_keep_their_scores():
    scale = np.float32([2, 0.5])
    found = to_original.boxes(np.float32([[-3, -3, 300, 300], [20, 10, 40, 20]]), scale, (90, 60))
    np.testing.assert_array_equal(found, [[0, 0, 90, 60], [10, 20, 20, 40]])
    np.testing.assert_array_equal(to_original.keypoints(np.float32([[[20, 10, 7]]]), scale), [[[10, 20, 7]]])


def test_tensorflow_does_the_same_for_batches():
    rng = np.random.default_rng(0)
    scale, sizes = rng.uniform(0.1, 3, [3, 2]).astype(np.float32), rng.integers(1, 900, [3, 2])
    corners, points = (rng.uniform(-50, 1000, shape).astype(np.float32) for shape in ([3, 7, 4], [3, 7, 5, 3]))
    in_original = boxes.to_original(tf.constant(corners), tf.constant(scale), tf.constant(sizes))
    np.testing.assert_array_equal(in_original, list(map(to_original.boxes, corners, scale, sizes)))
    in_original = keypoints.to_original(tf.constant(points), tf.constant(scale))
    np.testing.assert_array_equal(in_original, list(map(to_original.keypoints, points, scale)))
