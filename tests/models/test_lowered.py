"""What is built for TensorFlow Lite, with shapes that no value decides, gives what this machine's graphs give."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import BackboneConfig, BoxConfig, DetectorConfig, OutputConfig
from tfrecog.models.backbones.resnet import ResNet
from tfrecog.models.detector import postprocess, rcnn_crops
from tfrecog.models.detector.heads import DenseTrunk
from tfrecog.ops import target

R, K = 40, 5


def lowered(function):
    with target.to("tflite"):
        return function()


@pytest.mark.parametrize(
    ("scale", "min_score", "valid"), [(3.0, 0.05, 30), (0.0, 0.1, 40), (3.0, 0.999, 40), (3.0, 0.05, 0)]
)
def test_detections_are_the_same_to_the_last_bit(scale, min_score, valid):
    """Scores that differ, that are all equal (ties: the first candidate wins), none high enough, and no roi at all."""
    rng = np.random.default_rng(2)
    corners = np.sort(rng.uniform(0, 90, [R, 2, 2]), axis=1).reshape(R, 4)
    inputs = (
        tf.constant(scale * rng.normal(size=[R, K + 1]), tf.float32),
        tf.constant(rng.normal(size=[R, K, 4]), tf.float32),
        tf.constant(corners, tf.float32),
        tf.range(R) < valid,
        tf.constant([80, 88]),
    )
    config = DetectorConfig(output=OutputConfig(min_score=min_score, max_detections=12))
    expected = postprocess.detect(*inputs, config)
    got = lowered(lambda: postprocess.detect(*inputs, config))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert bool(tf.reduce_any(expected[1] > 0)) == (valid > 0 and min_score < 0.9)


def test_all_slots_are_looked_at():
    labels = tf.constant([[1, 2, 0, 0, 0]])
    assert int(postprocess.most(labels)) == 2
    assert lowered(lambda: postprocess.most(labels)) == 5


def test_crops_of_all_slots_give_the_outputs_of_the_valid_ones(monkeypatch):
    """A few at a time, and the last few are filled up."""
    monkeypatch.setattr(rcnn_crops, "AT_ONCE", 3 * 32 * 64)
    config = DetectorConfig(
        pool="warp",
        backbone=BackboneConfig(name="resnet18", width=8, frozen_stages=0),
        box=BoxConfig(size=32, hidden_units=16, hidden_layers=1),
    )
    network, trunk = ResNet(config.backbone), DenseTrunk(config.box)
    pixels = rcnn_crops.Pixels(tf.random.stateless_normal([1, 64, 64, 3], [3, 4]), tf.constant([[60, 64]]))
    corners = np.sort(np.random.default_rng(5).uniform(0, 60, [1, 7, 2, 2]), axis=2).reshape(1, 7, 4)
    rois, valid = tf.constant(corners, tf.float32), tf.constant([[True] * 5 + [False, True]])
    expected = rcnn_crops.inference_crops(network, trunk, pixels, rois, valid, config)
    got = lowered(lambda: rcnn_crops.inference_crops(network, trunk, pixels, rois, valid, config))
    assert got.shape == (1, 7, 16) and not got[0, 5].numpy().any()
    np.testing.assert_allclose(got, expected, atol=1e-5)
