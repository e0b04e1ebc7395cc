import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models.backbones.mobilenet_v3 import MobileNetV3, SqueezeExcite, hard_swish


def test_its_two_maps_have_a_stride_of_32():
    backbone = MobileNetV3(BackboneConfig(name="mobilenet_v3_large", norm="batch", frozen_stages=0))
    features = backbone(tf.zeros([1, 64, 96, 3]))
    assert {level: tuple(x.shape) for level, x in features.items()} == {5: (1, 2, 3, 160), 6: (1, 2, 3, 960)}
    assert backbone.channels == {5: 160, 6: 960} and backbone.strides == {5: 32, 6: 32}


@pytest.mark.parametrize(("stages", "blocks"), [(0, 0), (1, 1), (2, 3), (3, 6), (4, 12), (5, 15), (6, 15)])
def test_a_frozen_stage_ends_before_the_next_stride(stages, blocks):
    # The blocks that halve the map are 2, 4, 7 and 13 (table 1: those of stride 2); the last layer is a stage alone.
    backbone = MobileNetV3(BackboneConfig(name="mobilenet_v3_large", frozen_stages=stages))
    assert [block.trainable for block in backbone.blocks] == [False] * blocks + [True] * (15 - blocks)
    assert backbone.stem.trainable == (stages == 0) and backbone.last.trainable == (stages < 6)


def test_hard_swish_is_0_below_minus_3_and_the_identity_above_3():
    np.testing.assert_allclose(hard_swish(tf.constant([-9.0, -3, -1, 0, 1, 3, 9])), [0, 0, -1 / 3, 0, 2 / 3, 3, 9])


def test_a_channel_is_scaled_by_what_the_means_say():
    # With all kernels zero and a bias of 3 - 6 p, hard sigmoid gives 1 - p.
    layer = SqueezeExcite(16, name="excite")
    x = tf.random.stateless_normal([2, 4, 5, 16], (1, 2))
    layer(x)
    layer.excite.kernel.assign(tf.zeros([1, 1, 8, 16]))
    layer.excite.bias.assign(3 - 6 * tf.range(16.0) / 16)
    np.testing.assert_allclose(layer(x), x * (1 - tf.range(16.0) / 16), atol=1e-6)
