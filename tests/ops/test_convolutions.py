"""Dilated convolutions with gradients on any CPU, and Winograd's with fewer multiplications, by their definition."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.models.layers import Conv
from tfrecog.ops import dilated, target, winograd

# Each value is a sum of at most 9 taps x 4 channels, or of 2 x 13 x 17 cells, of normal numbers: float32 rounds it by
# about 2**-24 * sqrt(terms) of its size, at most 3e-5 with sums of up to 60; Winograd's partial sums are larger.
ATOL = {dilated.conv2d: 3e-5, winograd.conv2d: 1e-4}
BOTH = pytest.mark.parametrize("conv2d", ATOL, ids=["dilated", "winograd"])


def with_gradients(convolve, x, kernel, upstream):
    """The convolution's values, and what `upstream` at them is for x and for the kernel."""
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
    return [y, *tape.gradient(y, [x, kernel], upstream)]


def by_definition(x, kernel, upstream, by):
    """The same in float64, cell by cell: y[p] sums x[p + by * t] by kernel[t] over the taps t around the centre."""
    x, kernel, upstream = (np.asarray(array, np.float64) for array in (x, kernel, upstream))
    size, height, width = len(kernel), *x.shape[1:3]
    y, dx, dkernel = np.zeros(upstream.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    for i, j, row, column in np.ndindex(size, size, height, width):
        y_seen, x_seen = row + by * (i - size // 2), column + by * (j - size // 2)
        if 0 <= y_seen < height and 0 <= x_seen < width:
            y[:, row, column] += x[:, y_seen, x_seen] @ kernel[i, j]
            dx[:, y_seen, x_seen] += upstream[:, row, column] @ kernel[i, j].T
            dkernel[i, j] += x[:, y_seen, x_seen].T @ upstream[:, row, column]
    return y, dx, dkernel


@pytest.mark.parametrize("by", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (9, 8), (13, 17)])
@pytest.mark.parametrize(
    ("conv2d", "size"), [(dilated.conv2d, 3), (dilated.conv2d, 5), (winograd.conv2d, 3)], ids=["3x3", "5x5", "winograd"]
)
def test_values_and_gradients_are_those_of_the_definition(conv2d, size, shape, by):
    x = tf.random.stateless_normal([2, *shape, 3], (1, 2))
    kernel = tf.random.stateless_normal([size, size, 3, 4], (3, 4))
    upstream = tf.random.stateless_normal([2, *shape, 4], (5, 6))
    ours = with_gradients(lambda x, kernel: conv2d(x, kernel, by), x, kernel, upstream)
    for found, right in zip(ours, by_definition(x, kernel, upstream, by), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=ATOL[conv2d])


@BOTH
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_for_images_of_any_size_has_them_too(conv2d, jit_compile):
    graph = tf.function(
        lambda *inputs: with_gradients(lambda x, kernel: conv2d(x, kernel, 2), *inputs),
        input_signature=[
            tf.TensorSpec(shape) for shape in ([None, None, None, 2], [3, 3, 2, 5], [None, None, None, 5])
        ],
        jit_compile=jit_compile,
    )
    for shape in ([1, 5, 6], [2, 9, 4]):
        x, upstream = (tf.random.stateless_normal([*shape, channels], (1, channels)) for channels in (2, 5))
        kernel = tf.random.stateless_normal([3, 3, 2, 5], (3, 4))
        for found, right in zip(graph(x, kernel, upstream), by_definition(x, kernel, upstream, 2), strict=True):
            np.testing.assert_allclose(found, right, rtol=0, atol=ATOL[conv2d])


@pytest.mark.parametrize(("many", "conv2d"), [(False, dilated.conv2d), (True, winograd.conv2d)])
def test_a_dilated_layer_learns_and_one_of_many_channels_by_fewer_products(many, conv2d):
    conv = Conv(4, 3, dilation=2, many=many, name="conv")
    x = tf.random.stateless_normal([2, 7, 6, 3], (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = conv(x, training=True)
    upstream = tf.random.stateless_normal(y.shape, (5, 6))
    ours = [y, *tape.gradient(y, [x, conv.kernel.value], upstream)]
    for found, right in zip(ours, by_definition(x, conv.kernel, upstream, 2), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=ATOL[conv2d])
    np.testing.assert_array_equal(y, conv2d(x, tf.convert_to_tensor(conv.kernel), 2), "they round alike: the same way")


def test_a_graph_that_leaves_has_the_ordinary_operation_and_needs_no_gradient():
    conv = Conv(4, 3, dilation=2, name="conv")
    with target.to("portable"):
        graph = tf.function(conv).get_concrete_function(tf.TensorSpec([1, None, None, 3])).graph
    operations = {node.op: node for node in graph.as_graph_def().node}
    assert list(operations["Conv2D"].attr["dilations"].list.i) == [1, 2, 2, 1]
    assert not {"CustomGradient", "PartitionedCall", "IdentityN"} & set(operations)
