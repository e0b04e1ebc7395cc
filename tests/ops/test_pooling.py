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


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_max_pooling_has_the_same_gradient_in_a_loop_by_an_operation_that_is_never_replaced(padding):
    x = tf.random.stateless_normal([2, 9, 8, 3], (0, 0))  # Windows overlap, and some cells are the maxima of four.

    def gradient():
        return tf.gradients(tf.reduce_sum(tf.sin(tf.nn.max_pool2d(x, 3, 2, padding))), [x])[0]

    def body(i, _):
        with pooling.same_gradients():
            return i + 1, gradient()

    graph = tf.function(lambda: tf.while_loop(lambda i, _: i < 2, body, [0, tf.zeros_like(x)])[1], autograph=False)
    np.testing.assert_allclose(graph(), tf.function(gradient, autograph=False)(), rtol=1e-6)
    functions = graph.get_concrete_function().graph.as_graph_def().library.function
    operations = {node.op for function in functions for node in function.node_def}
    assert "MaxPoolGradV2" in operations and "MaxPoolGrad" not in operations
