import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import ProposalConfig, RpnConfig
from tfrecog.models.detector import rpn


def maps(**shapes):
    return {int(name[1:]): tf.zeros([1, *shape, 1]) for name, shape in shapes.items()}


def test_every_size_is_at_every_level_where_asked_for():
    config = RpnConfig(anchor_sizes=(32, 64), anchor_ratios=(1.0, 4.0), every_size=True)
    levels = rpn.level_anchors(maps(p5=(2, 3), p6=(2, 3), p7=(1, 2)), (64, 96), config, {5: 32, 6: 32, 7: 64})
    assert [len(level) for level in levels] == [24, 24, 8]
    # The first cell lies around the origin; all sizes of a ratio (height / width) come before the next ratio.
    expected = [[-16, -16, 16, 16], [-32, -32, 32, 32], [-32, -8, 32, 8], [-64, -16, 64, 16]]
    for level in levels:
        np.testing.assert_array_equal(level[:4], expected)
    assert levels[0][4:8].numpy().tolist() == np.add(expected, [0, 32, 0, 32]).tolist()


@pytest.mark.parametrize(
    ("rule", "step", "side"),
    [
        ("torchvision", 53, 46),  # 160 pixels on 3 cells, and 64 / sqrt(2) = 45.25 is rounded on both sides
        ("detectron2", 64, 64 / np.sqrt(2)),
    ],
)
def test_the_rule_decides_on_strides_and_whole_pixels(rule, step, side):
    config = RpnConfig(anchor_sizes=(32, 64), anchor_ratios=(0.5,), anchor_rule=rule)
    _, top = rpn.level_anchors(maps(p5=(5, 5), p6=(3, 3)), (160, 160), config, {5: 32, 6: 64})
    top = top.numpy()
    np.testing.assert_allclose(top[1, 1::2].mean() - top[0, 1::2].mean(), step)
    np.testing.assert_allclose(top[0, 2] - top[0, 0], side, rtol=1e-6)


def test_proposals_of_little_objectness_are_dropped():
    # Sigmoid is 0.5 at 0 and 0.047 at -3; what has exactly the least score stays.
    anchors = [tf.constant([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]])]
    logits, deltas = tf.constant([-3.0, 0.0, 2.0]), tf.zeros([3, 4])
    size = tf.constant([100.0, 100.0])
    for least, kept in ((0.0, 3), (0.05, 2), (0.5, 2), (0.51, 1)):
        config = RpnConfig(min_score=least)
        found, valid, _ = rpn.propose(logits, deltas, size, anchors, config, ProposalConfig(10, 5))
        assert int(np.sum(valid)) == kept
        np.testing.assert_allclose(found[0], anchors[0][2])


def test_a_second_convolution_has_its_own_weights():
    head = rpn.RpnHead(RpnConfig(convs=2), 8, pyramid=True)
    head(maps(p2=(2, 2)) | {2: tf.zeros([1, 2, 2, 8])})
    assert {w.path for w in head.variables} == {
        f"rpn/{layer}/{leaf}" for layer in ("conv", "conv2", "objectness", "deltas") for leaf in ("kernel", "bias")
    }
