import numpy as np
import pytest
import tensorflow as tf

from tfrecog.models.layers import Conv
from tfrecog.ops import dilated, winograd


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (9, 8), (13, 17)])
def test_it_is_the_convolution_and_so_are_its_gradients(size, dilation):
    x = tf.random.stateless_normal([2, *size, 3], (1, 2))
    kernel = tf.random.stateless_normal([3, 3, 3, 4], (3, 4))

    def results(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
            total = tf.reduce_sum(tf.sin(y))
        return [y, *tape.gradient(total, [x, kernel])]

    expected = results(lambda x, kernel: dilated.conv2d(x, kernel, dilation))
    got = results(lambda x, kernel: winograd.conv2d(x, kernel, dilation))
    for ours, plain in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-4)


def test_images_of_any_size_need_one_graph():
    kernel = tf.random.stateless_normal([3, 3, 2, 2], (3, 4))
    graph = tf.function(lambda x: winograd.conv2d(x, kernel, 2), input_signature=[tf.TensorSpec([None, None, None, 2])])
    for shape in ([1, 5, 6, 2], [2, 9, 4, 2]):
        x = tf.random.stateless_normal(shape, (1, 2))
        np.testing.assert_allclose(graph(x), tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2), atol=1e-5)


def test_a_layer_of_many_channels_computes_the_same():
    x = tf.random.stateless_normal([1, 6, 7, 8], (1, 2))
    layers = [Conv(4, 3, dilation=2, many=many, norm="batch", relu=True, name="conv") for many in (False, True)]
    for layer in layers:
        layer(x)
    layers[1].kernel.assign(layers[0].kernel)
    plain, products = (layer(x).numpy() for layer in layers)
    np.testing.assert_allclose(products, plain, atol=1e-5)
    assert not np.array_equal(products, plain), "they round otherwise: the second went another way"
