import numpy as np
import pytest
import tensorflow as tf

from tfrecog.ops import pooling


@pytest.mark.parametrize("height, width, size", [(7, 7, 7), (14, 21, 7), (11, 8, 6), (6, 13, 6), (2, 3, 6), (1, 1, 7)])
def test_each_band_is_averaged_over_the_cells_it_touches(height, width, size):
    x = np.random.default_rng(0).normal(size=(2, height, width, 3)).astype(np.float32)
    expected = np.zeros([2, size, size, 3])
    for i in range(size):
        for j in range(size):
            # A band [i n / size, (i + 1) n / size) of the axis, grown to whole cells.
            rows = slice(int(np.floor(i * height / size)), int(np.ceil((i + 1) * height / size)))
            columns = slice(int(np.floor(j * width / size)), int(np.ceil((j + 1) * width / size)))
            expected[:, i, j] = x[:, rows, columns].mean(axis=(1, 2))
    np.testing.assert_allclose(pooling.adaptive_average(tf.constant(x), size).numpy(), expected, atol=1e-6)


def test_it_needs_no_static_size():
    x = np.random.default_rng(0).normal(size=(1, 9, 10, 2)).astype(np.float32)
    pool = tf.function(lambda x: pooling.adaptive_average(x, 6), [tf.TensorSpec([None, None, None, 2])])
    np.testing.assert_allclose(pool(x).numpy(), pooling.adaptive_average(tf.constant(x), 6).numpy(), atol=1e-6)
