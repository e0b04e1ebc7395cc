"""Spatial pyramid pooling against a slow reference."""

import math

import numpy as np
import tensorflow as tf

from tfrecog.ops import region_features


def slowly(features, box, stride, sizes):
    """[bins, C] of a map [H, W, C]: of each level the maximum in its bins, by row; cells from rounded corners."""
    low, high = (np.floor(np.array(part) / stride + 0.5).astype(int) for part in (box[:2], box[2:]))
    extent = np.maximum(high - low + 1, 1)
    pooled = []
    for size in sizes:
        for bin in np.ndindex(size, size):
            cells = features
            for axis in (0, 1):
                start = low[axis] + math.floor(bin[axis] * extent[axis] / size)
                end = low[axis] + math.ceil((bin[axis] + 1) * extent[axis] / size)
                cells = cells.take(range(max(start, 0), min(end, features.shape[axis])), axis=axis)
            pooled.append(cells.max(axis=(0, 1)) if cells.size else np.zeros(features.shape[-1]))
    return np.array(pooled)


def test_a_pyramid_is_the_maximum_in_the_bins_of_each_level():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2, 12, 15, 3)).astype(np.float32)
    corners = np.sort(rng.uniform(0, 180, (2, 8, 2, 2)), axis=2).reshape(2, 8, 4).astype(np.float32)
    sizes = (1, 2, 3, 6)
    got = region_features.pyramid({4: tf.constant(features)}, tf.constant(corners), sizes=sizes)
    assert got.shape == (2, 8, 50, 3)
    for image in range(2):
        for roi in range(8):
            expected = slowly(features[image], corners[image, roi], 16, sizes)
            np.testing.assert_array_equal(got[image, roi], expected.astype(np.float32))


def test_one_level_of_a_pyramid_is_roi_pool():
    features = {
        3: tf.random.stateless_normal([1, 8, 8, 2], (1, 2)),
        4: tf.random.stateless_normal([1, 4, 4, 2], (3, 4)),
    }
    rois = tf.constant([[[3.0, 5, 40, 30], [0, 0, 64, 64], [0, 0, 0, 0]]])
    pooled = region_features.multilevel(features, rois, size=3, op="roi_pool")
    np.testing.assert_array_equal(region_features.pyramid(features, rois, sizes=(3,)), tf.reshape(pooled, [1, 3, 9, 2]))
