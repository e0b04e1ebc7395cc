import numpy as np
import pytest
import tensorflow as tf

from tfrecog.models.layers import Conv, padded

MOMENTUM, EPSILON = 0.9, 1e-3


def normalised(x, gamma, beta):
    """Batch normalisation by its definition (Ioffe and Szegedy 2015, algorithm 1), in double precision."""
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return gamma * (x - mean) / tf.sqrt(variance + EPSILON) + beta, mean, variance


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 2, 1, 3)])
def test_batch_norm_in_training_is_its_definition_with_its_gradients_and_the_batchs_own_variance(shape):
    conv = Conv(7, 1, norm="batch", epsilon=EPSILON, name="conv")
    x = 3 * tf.random.stateless_normal(shape, (1, 2)) + 5
    conv(x)
    conv.norm.gamma.assign(tf.linspace(0.5, 2.0, 7))
    conv.norm.beta.assign(tf.linspace(-1.0, 1.0, 7))
    conv.norm.moving_mean.assign(tf.range(7.0))
    upstream = tf.random.stateless_normal((*shape[:3], 7), (3, 4))
    learned = [conv.kernel.value, conv.norm.gamma.value, conv.norm.beta.value]

    @tf.function
    def ours():
        y = conv(x, training=True)
        return [y, *tf.gradients(tf.reduce_sum(y * upstream), learned)]

    kernel, gamma, beta, wide = (tf.cast(value, tf.float64) for value in (*learned, x))
    with tf.GradientTape() as tape:
        tape.watch([kernel, gamma, beta])
        y, mean, variance = normalised(tf.nn.conv2d(wide, kernel, 1, "VALID"), gamma, beta)
        loss = tf.reduce_sum(y * tf.cast(upstream, tf.float64))
    expected = [y, *tape.gradient(loss, [kernel, gamma, beta])]
    for found, right in zip(ours(), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max())
    # The mean over the batch's values and not the unbiased estimate, in which two values would give twice as much.
    np.testing.assert_allclose(conv.norm.moving_variance, MOMENTUM + (1 - MOMENTUM) * variance, rtol=1e-5)
    np.testing.assert_allclose(conv.norm.moving_mean, MOMENTUM * np.arange(7) + (1 - MOMENTUM) * mean, rtol=1e-5)


@pytest.mark.parametrize("size", [3, 7])
def test_a_strided_convolution_that_learns_is_the_one_that_does_not(size):
    conv = Conv(5, size, 2, name="conv")
    x = tf.random.stateless_normal((2, 9, 8, 3), (5, 6))
    assert conv(x).shape == (2, 5, 4, 5)
    np.testing.assert_allclose(conv(x, training=True), conv(x), atol=1e-5)


@pytest.mark.parametrize("learns", [False, True])
def test_a_padded_pooling_sees_a_ring_around_the_features(learns):
    x = tf.reshape(tf.range(1.0, 17.0), [1, 4, 4, 1])
    pooled = padded(tf.nn.max_pool2d, x, 3, 2, pad=1, learns=learns)
    np.testing.assert_array_equal(pooled[0, :, :, 0], [[6, 8], [14, 16]])
