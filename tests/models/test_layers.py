import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog.models.backbones.keras_backbone import CAFFE
from tfrecog.models.backbones.lenet import LeNet5, LeNetModern
from tfrecog.models.layers import Backbone, Conv, dropout, padded
from tfrecog.ops import target
from tfrecog.runtime import distribution

MOMENTUM, EPSILON = 0.9, 1e-3


def normalised(x, gamma, beta):
    """Batch normalisation by its definition (Ioffe and Szegedy 2015, algorithm 1), in double precision."""
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return gamma * (x - mean) / tf.sqrt(variance + EPSILON) + beta, mean, variance


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (1, 2, 1, 3)])
def test_batch_norm_in_training_is_its_definition_with_its_gradients_and_the_batchs_own_variance(shape):
    normal = keras.initializers.RandomNormal(stddev=0.5, seed=1)
    conv = Conv(7, 1, norm="batch", epsilon=EPSILON, initializer=normal, name="conv")
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
    for name, found, right in zip(("y", "kernel", "gamma", "beta"), ours(), expected, strict=True):
        # Of two values each is as far from their mean, so that terms of about 10 cancel in the kernel's gradient.
        least = 0.2 if name == "kernel" else 0
        np.testing.assert_allclose(found, right, atol=1e-4 * max(np.abs(right).max(), least), err_msg=name)
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
def test_a_padded_pooling_sees_a_ring_around_the_features_for_every_target(learns):
    x = tf.reshape(tf.range(1.0, 17.0), [1, 4, 4, 1])
    for name in ("machine", "tflite"):
        with target.to(name):
            pooled = padded(tf.nn.max_pool2d, x, 3, 2, pad=1, learns=learns)
        np.testing.assert_array_equal(pooled[0, :, :, 0], [[6, 8], [14, 16]])


def test_folding_batch_norm_into_the_kernel_changes_nothing():
    conv = Conv(6, 3, 2, norm="batch", relu=True, name="conv")
    x = tf.random.stateless_normal([2, 9, 8, 4], (3, 4))
    conv(x)
    for weight, seed in zip(
        (conv.norm.gamma, conv.norm.beta, conv.norm.moving_mean, conv.norm.moving_variance), range(4), strict=True
    ):
        weight.assign(tf.random.stateless_uniform(weight.shape, (seed, 0), 0.5, 2.0))
    convolved = tf.nn.conv2d(x, tf.convert_to_tensor(conv.kernel), 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
    plain = tf.nn.relu(conv.norm(convolved, training=False))
    np.testing.assert_allclose(conv(x), plain, atol=1e-5)


@pytest.mark.parametrize("variance", [0.0, 5.6e-45])  # The second is what 0.9 v is rounded back to.
def test_without_an_epsilon_a_dead_channel_is_its_shift(variance):
    conv = Conv(2, 3, norm="frozen", epsilon=0.0, name="conv")
    x = tf.random.stateless_normal([1, 4, 4, 3], (3, 4))
    conv(x)
    kernel = conv.kernel.numpy()
    conv.kernel.assign(np.where(np.arange(2) == 0, 1e-30, kernel))
    conv.norm.moving_variance.assign([variance, 4.0])
    conv.norm.beta.assign([0.5, 0.25])
    dead, alive = tf.unstack(conv(x), axis=-1)
    np.testing.assert_array_equal(dead, 0.5 * np.ones([1, 4, 4]))
    np.testing.assert_allclose(alive, tf.nn.conv2d(x, kernel, 1, "SAME")[..., 1] / 2 + 0.25, atol=1e-5)


def test_a_strided_convolution_is_centred_on_even_cells():
    # PyTorch pads one zero on each side, so the first output sees cells -1, 0 and 1; "SAME" would see 0, 1 and 2.
    conv = Conv(1, 3, 2, name="conv")
    ramp = tf.reshape(tf.range(8.0), [1, 1, 8, 1]) * tf.ones([1, 8, 1, 1])
    conv(ramp)
    conv.kernel.assign(tf.reshape([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]], [3, 3, 1, 1]))
    np.testing.assert_array_equal(conv(ramp)[0, 0, :, 0], [0, 2, 4, 6])


@pytest.mark.parametrize("groups", [2, 6])
def test_an_output_of_a_grouped_convolution_sees_its_own_group_alone(groups):
    conv = Conv(6, 3, 2, groups=groups, name="conv")
    x = tf.random.stateless_normal([2, 8, 10, 6], (5, 6))
    conv(x)
    conv.bias.assign(tf.range(6.0))
    inputs, kernels = tf.split(x, groups, axis=-1), tf.split(conv.kernel, groups, axis=-1)
    assert conv.kernel.shape == (3, 3, 6 // groups, 6)
    alone = [tf.nn.conv2d(a, b, 2, [[0, 0], [1, 1], [1, 1], [0, 0]]) for a, b in zip(inputs, kernels, strict=True)]
    np.testing.assert_allclose(conv(x), tf.concat(alone, axis=-1) + tf.range(6.0), atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 2}])
def test_a_grouped_convolution_has_the_gradients_of_a_convolution_for_each_group(options):
    conv = Conv(6, 3, groups=2, name="conv", **options)
    apart = [Conv(3, 3, name=f"group{group}", **options) for group in range(2)]
    x = tf.random.stateless_normal([2, 8, 10, 6], (5, 6))
    halves = tf.split(x, 2, axis=-1)
    conv(x)
    for alone, half, kernel in zip(apart, halves, tf.split(conv.kernel, 2, axis=-1), strict=True):
        alone(half)
        alone.kernel.assign(kernel)
    upstream = tf.random.stateless_normal(conv(x).shape, (7, 8))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, *halves])
        y = conv(x, training=True)
        pieces = [alone(half, training=True) for alone, half in zip(apart, halves, strict=True)]
        together = tf.concat(pieces, axis=-1)
    of_x, of_kernel = tape.gradient(y, [x, conv.kernel.value], upstream)
    of_halves, of_kernels = tape.gradient(together, [halves, [alone.kernel.value for alone in apart]], upstream)
    np.testing.assert_allclose(of_x, tf.concat(of_halves, axis=-1), atol=1e-5)  # of 27 terms
    np.testing.assert_allclose(of_kernel, tf.concat(of_kernels, axis=-1), atol=5e-5)  # of 160 terms, below 60 in all


def test_synchronised_batch_norm_sees_the_batch_of_all_replicas(two_replicas):
    # Two halves of a batch with other means: statistics of the whole differ from those of either half.
    whole = tf.random.stateless_normal([4, 6, 6, 3], (1, 2)) + tf.reshape([0.0, 0, 3, 3], [4, 1, 1, 1])

    def outputs(norm):
        with two_replicas.scope():
            conv = Conv(5, 3, norm=norm, initializer=keras.initializers.RandomNormal(seed=1), name="conv")
            conv.build([None, None, None, 3])
        if norm == "batch":
            return conv(whole, training=True), conv
        shares = distribution.per_replica(two_replicas, {"x": whole})

        @tf.function
        def both():
            return two_replicas.run(lambda share: conv(share["x"], training=True), (shares,))

        return tf.concat(two_replicas.experimental_local_results(both()), axis=0), conv

    (alone, of_one), (together, of_two) = outputs("batch"), outputs("sync_batch")
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(of_two.norm.moving_mean.numpy(), of_one.norm.moving_mean.numpy(), atol=1e-6)
    np.testing.assert_allclose(of_two.norm.moving_variance.numpy(), of_one.norm.moving_variance.numpy(), atol=1e-5)


SEEDS = tf.constant([[1, 2], [3, 4], [5, 6], [1, 2]])


def test_dropout_rests_its_share_of_the_units_and_makes_up_for_them():
    gains = dropout(SEEDS, 0.2, [50, 100], 1).numpy()
    assert gains.shape == (4, 50, 100) and set(np.unique(gains)) == {0.0, np.float32(1.25)}
    # Of 5000 units a fifth rests, with a deviation of sqrt(5000 * 0.2 * 0.8) = 28.
    assert np.all(np.abs(np.sum(gains == 0, axis=(1, 2)) - 1000) < 5 * 28)
    np.testing.assert_array_equal(gains[0], gains[3])  # Of equal seeds the same ones; of others as many as by chance:
    for other in (gains[1], gains[2], dropout(SEEDS, 0.2, [50, 100], 2)[0]):
        assert abs(np.mean(gains[0] != other) - 2 * 0.2 * 0.8) < 0.05
    with pytest.raises(ValueError, match="seed"):
        dropout(None, 0.2, [5], 1)


def test_dropout_does_not_depend_on_how_a_batch_is_spread(two_replicas):
    whole = dropout(SEEDS, 0.5, [200], 1)
    np.testing.assert_array_equal(tf.concat([dropout(SEEDS[i : i + 1], 0.5, [200], 1) for i in range(4)], 0), whole)
    shares = distribution.per_replica(two_replicas, {"seed": SEEDS})

    @tf.function
    def both():
        return two_replicas.run(lambda share: dropout(share["seed"], 0.5, [200], 1), (shares,))

    np.testing.assert_array_equal(tf.concat(two_replicas.experimental_local_results(both()), axis=0), whole)


@pytest.mark.parametrize("filters", [6, 48, 64])  # groups of one channel, of three, and of two
def test_for_a_phone_group_norm_has_four_dimensions_and_keras_numbers(filters):
    conv = Conv(filters, 3, norm="group", name="conv")
    x = 3 * tf.random.stateless_normal([2, 12, 9, 5], (0, 1)) + 1
    conv(x)
    for number, weight in enumerate((conv.norm.gamma, conv.norm.beta)):
        weight.assign(tf.random.stateless_normal([filters], (number, 2)))
    with target.to("tflite"):
        traced = tf.function(conv).get_concrete_function(tf.TensorSpec(x.shape))
    np.testing.assert_allclose(traced(x), conv(x), atol=1e-5)
    ranks = [output.shape.rank for one in traced.graph.get_operations() for output in one.outputs]
    assert max(rank for rank in ranks if rank is not None) == 4


class Caffe(Backbone):
    """Its channels are blue, green, red."""

    def normalize(self, image):
        return CAFFE.normalize(image)


@pytest.mark.parametrize("backbone", [Backbone, LeNet5, LeNetModern, Caffe])
def test_in_integers_pixels_are_normalised_by_one_convolution(backbone):
    network = backbone()
    image = tf.constant(np.random.default_rng(0).integers(0, 256, [2, 3, 4, 3]), tf.float32)
    with target.to("tflite", integers=True):
        traced = tf.function(network.see).get_concrete_function(tf.TensorSpec([2, 3, 4, 3], tf.float32, "image"))
    # Of numbers up to 152, all of which are rounded to a ten-millionth part.
    np.testing.assert_allclose(traced(image), network.normalize(image), atol=1e-4)
    assert [one.type for one in traced.inputs[0].consumers()] == ["Conv2D"]
