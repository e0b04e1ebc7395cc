import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig, FpnConfig
from tfrecog.models.backbones.resnet import Block, ResNet
from tfrecog.models.detector.fpn import Fpn
from tfrecog.ops import target


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


@pytest.mark.parametrize("in_1x1", [False, True])
def test_with_its_stride_in_the_1x1_a_bottleneck_sees_every_second_cell_alone(in_1x1):
    # A 1x1 convolution of stride 2 reads the even cells; a 3x3 one reads those between as well.
    block = Block(4, 2, bottleneck=True, project=True, norm={}, name="block", stride_in_1x1=in_1x1)
    x = tf.random.stateless_normal([1, 8, 8, 3], (1, 2))
    even = tf.cast((tf.range(8) % 2 == 0)[:, None] & (tf.range(8) % 2 == 0), tf.float32)[None, ..., None]
    assert block(x).shape == (1, 4, 4, 16)
    assert np.array_equal(block(x), block(x * even)) == in_1x1


SHAPES = {2: (12, 20), 3: (6, 10), 4: (3, 5)}


def identical(strides, shapes):
    """Random features of one channel, and the pyramid of a network that hands them on as they are."""
    fpn = Fpn(FpnConfig(channels=1), strides, extra=1)
    features = {level: tf.random.stateless_normal([1, *shape, 1], (level, 1)) for level, shape in shapes.items()}
    fpn(features)
    for conv in fpn.lateral:
        conv.kernel.assign(tf.ones([1, 1, 1, 1]))
    for conv in fpn.output_convs:
        conv.kernel.assign(tf.reshape([0.0, 0, 0, 0, 1, 0, 0, 0, 0], [3, 3, 1, 1]))
    return [{level: x.numpy()[0, ..., 0] for level, x in maps.items()} for maps in (features, fpn(features))], fpn


def test_a_level_of_the_same_stride_is_added_as_it_is():
    (features, pyramid), fpn = identical({5: 32, 6: 32}, {5: (2, 3), 6: (2, 3)})
    np.testing.assert_allclose(pyramid[6], features[6], atol=1e-6)
    np.testing.assert_allclose(pyramid[5], features[5] + features[6], atol=1e-6)
    assert fpn.strides == {5: 32, 6: 32, 7: 64} and pyramid[7].shape == (1, 2)


def test_the_pyramid_adds_the_upsampled_level_above():
    (features, pyramid), _ = identical((2, 3), {2: (4, 6), 3: (2, 3)})
    np.testing.assert_allclose(pyramid[3], features[3], atol=1e-6)
    np.testing.assert_allclose(pyramid[2], features[2] + np.kron(features[3], np.ones((2, 2))), atol=1e-6)
    np.testing.assert_allclose(pyramid[4], features[3][::2, ::2], atol=1e-6)


def test_for_a_phone_a_level_doubles_and_halves_in_operations_that_its_gpu_has_and_has_the_same_bits():
    fpn = Fpn(FpnConfig(channels=4), (2, 3, 4))
    features = {level: tf.random.stateless_normal([1, *shape, 3], (level, 1)) for level, shape in SHAPES.items()}
    plain = fpn(features)
    graphs = {}
    for name in ("machine", "tflite"):
        with target.to(name):
            graphs[name] = tf.function(lambda *maps: fpn(dict(zip(SHAPES, maps, strict=True)))).get_concrete_function(
                *features.values()
            )
    for level, x in graphs["tflite"](*features.values()).items():
        np.testing.assert_array_equal(x, plain[level])
    counts = {}
    for name, of in graphs.items():
        types = [one.type for one in of.graph.get_operations()]
        counts[name] = [types.count(kind) for kind in ("ResizeNearestNeighbor", "MaxPool")]
    assert counts == {"machine": [0, 0], "tflite": [2, 1]}


def test_a_pyramid_whose_levels_do_not_double_is_refused():
    with pytest.raises(ValueError, match="twice"):
        Fpn(FpnConfig(), {2: 4, 4: 16})
