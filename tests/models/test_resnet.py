import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.matrices import representatives
from tfrecog.config import BackboneConfig, FpnConfig
from tfrecog.models.backbones.resnet import Block, ResNet
from tfrecog.models.detector.fpn import Fpn
from tfrecog.models.layers import Conv
from tfrecog.runtime import distribution


def count(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


# Published parameter counts of the classifiers, less their last layer (512 or 2048 inputs, 1000 outputs, biases).
PUBLISHED = {
    "resnet18": (11_689_512, 512),
    "resnet34": (21_797_672, 512),
    "resnet50": (25_557_032, 2048),
    "resnet101": (44_549_160, 2048),
    "resnet152": (60_192_808, 2048),
    "resnext50_32x4d": (25_028_904, 2048),
}


# The one of plain blocks, and one of bottlenecks, in groups.
@pytest.mark.parametrize("name", representatives(PUBLISHED, "resnet18", "resnext50_32x4d"))
def test_a_resnet_has_the_published_number_of_parameters(name, monkeypatch):
    published, last = PUBLISHED[name]
    # Zeros: random weights would be drawn for nothing.
    zeros = lambda self, shape, dtype=None: tf.zeros(shape, dtype)  # noqa: E731
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    backbone = ResNet(BackboneConfig(name=name, norm="batch", frozen_stages=0))
    backbone(tf.zeros([1, 32, 32, 3]))
    assert count(backbone.trainable_variables) == published - 1000 * (last + 1)


def test_level_k_has_stride_two_to_the_k():
    features = ResNet(BackboneConfig(name="resnet18", width=8))(tf.zeros([2, 64, 96, 3]))
    assert {level: tuple(x.shape) for level, x in features.items()} == {
        2: (2, 16, 24, 8),
        3: (2, 8, 12, 16),
        4: (2, 4, 6, 32),
        5: (2, 2, 3, 64),
    }


def test_frozen_stages_have_nothing_to_learn_and_keep_their_statistics():
    backbone = ResNet(BackboneConfig(name="resnet18", width=8, norm="batch", frozen_stages=2))
    backbone(tf.zeros([1, 32, 32, 3]))
    trainable = {w.path for w in backbone.trainable_variables}
    assert not [path for path in trainable if "stem" in path or "res2" in path]
    assert [path for path in trainable if "res3" in path]
    before = {w.path: w.numpy() for w in backbone.non_trainable_variables}
    backbone(tf.random.stateless_normal([2, 32, 32, 3], (1, 2)) + 3, training=True)
    moved = {w.path for w in backbone.non_trainable_variables if np.any(before[w.path] != w.numpy())}
    assert moved and not [path for path in moved if "stem" in path or "res2" in path]


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


@pytest.mark.parametrize("in_1x1", [False, True])
def test_with_its_stride_in_the_1x1_a_bottleneck_sees_every_second_cell_alone(in_1x1):
    # A 1x1 convolution of stride 2 reads the even cells; a 3x3 one reads those between as well.
    block = Block(4, 2, bottleneck=True, project=True, norm={}, name="block", stride_in_1x1=in_1x1)
    x = tf.random.stateless_normal([1, 8, 8, 3], (1, 2))
    even = tf.cast((tf.range(8) % 2 == 0)[:, None] & (tf.range(8) % 2 == 0), tf.float32)[None, ..., None]
    assert block(x).shape == (1, 4, 4, 16)
    assert np.array_equal(block(x), block(x * even)) == in_1x1


def test_a_level_of_the_same_stride_is_added_as_it_is():
    fpn = Fpn(FpnConfig(channels=1), {5: 32, 6: 32}, extra=1)
    features = {level: tf.random.stateless_normal([1, 2, 3, 1], (level, 1)) for level in (5, 6)}
    fpn(features)
    for conv in fpn.lateral:
        conv.kernel.assign(tf.ones([1, 1, 1, 1]))
    for conv in fpn.output_convs:
        conv.kernel.assign(tf.reshape([0.0, 0, 0, 0, 1, 0, 0, 0, 0], [3, 3, 1, 1]))
    pyramid = fpn(features)
    np.testing.assert_allclose(pyramid[6], features[6], atol=1e-6)
    np.testing.assert_allclose(pyramid[5], features[5] + features[6], atol=1e-6)
    assert fpn.strides == {5: 32, 6: 32, 7: 64} and pyramid[7].shape == (1, 1, 2, 1)


def test_a_pyramid_whose_levels_do_not_double_is_refused():
    with pytest.raises(ValueError, match="twice"):
        Fpn(FpnConfig(), {2: 4, 4: 16})


def test_the_pyramid_adds_the_upsampled_level_above():
    fpn = Fpn(FpnConfig(channels=1), (2, 3), extra=1)
    features = {
        2: tf.random.stateless_normal([1, 4, 6, 1], (1, 1)),
        3: tf.random.stateless_normal([1, 2, 3, 1], (2, 2)),
    }
    fpn(features)
    for conv in fpn.lateral:
        conv.kernel.assign(tf.ones([1, 1, 1, 1]))
    for conv in fpn.output_convs:
        conv.kernel.assign(tf.reshape([0.0, 0, 0, 0, 1, 0, 0, 0, 0], [3, 3, 1, 1]))
    pyramid = fpn(features)
    c2, c3 = features[2].numpy()[0, ..., 0], features[3].numpy()[0, ..., 0]
    np.testing.assert_allclose(pyramid[3][0, ..., 0], c3, atol=1e-6)
    np.testing.assert_allclose(pyramid[2][0, ..., 0], c2 + np.kron(c3, np.ones((2, 2))), atol=1e-6)
    np.testing.assert_allclose(pyramid[4][0, ..., 0], c3[::2, ::2], atol=1e-6)


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
