"""Convolutions move with their input (the lecture's equivariance), zeros around the image do not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog import equivariance
from tfrecog.config import BackboneConfig, SegmenterConfig
from tfrecog.models import fcn


def receptive_field():
    """Pixels that a cell of res5 of ResNet-18 sees: 1 + the sum of (kernel - 1) x stride of what it is made from."""
    layers = [(7, 1), (3, 2)]  # Kernel, and stride of its input: the stem and the pooling.
    for level in (2, 3, 4, 5):
        layers += [(3, 2 ** max(level - 1, 2))] + [(3, 2**level)] * 3
    return 1 + sum((kernel - 1) * stride for kernel, stride in layers)


@pytest.fixture(scope="module")
def model():
    config = SegmenterConfig(
        backbone=BackboneConfig(name="resnet18", norm="batch", width=8, frozen_stages=0),
        padding=0,
        fc_channels=0,
        skip_scales=(1.0, 1.0),
    )
    keras.utils.set_random_seed(0)
    network = fcn.build(config, 5)
    network(tf.zeros([1, 64, 64, 3]))
    random = np.random.default_rng(0)
    for variable in network.head.variables:  # The scores start as zeros.
        if "score" in variable.path:
            variable.assign(random.normal(size=variable.shape))
    return network


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(0, 256, [64, 768, 3]).astype(np.float32)


def test_the_field_of_view_is_that_of_the_literature():
    assert receptive_field() == 435


def test_a_shift_by_the_stride_shifts_the_output_wherever_no_zeros_are_seen(model, image):
    curve = equivariance.by_distance(equivariance.difference(model, image, 32))
    # Half the field, a cell of the coarsest map for the upsampling, and half of one, as far as a pixel is off a centre.
    interior = receptive_field() // 2 + 32 + 16
    assert len(curve) > interior + 50
    assert curve[interior:].max() < 1e-4
    assert curve[0] > 0.1  # The zeros do not move.


def test_another_shift_does_not(model, image):
    curve = equivariance.by_distance(equivariance.difference(model, image, 20))
    assert curve[300:].min() > 1e-2


def test_columns_are_matched_by_what_they_show():
    image = np.random.default_rng(0).normal(size=[4, 30, 3])
    assert equivariance.difference(lambda part: 2 * part, image, 7).shape == (16,)
    assert not equivariance.difference(lambda part: 2 * part, image, 7).any()
    # A network that knows where it is differs by the shift everywhere.
    places = equivariance.difference(lambda part: part * 0 + np.arange(23.0)[:, None], image, 7)
    np.testing.assert_array_equal(places, 7)


def test_the_distance_is_that_of_the_nearer_end():
    np.testing.assert_array_equal(equivariance.by_distance(np.array([5, 1, 0, 2, 3])), [5, 2, 0])
    np.testing.assert_array_equal(equivariance.by_distance(np.array([5, 1, 2, 3])), [5, 2])


def test_the_figure_is_written(tmp_path):
    equivariance.draw({32: [1.0, 0.1, 0.0], 1: [2.0, 2.0, 2.0]}, 1.5, str(tmp_path / "new" / "figure.png"))
    assert (tmp_path / "new" / "figure.png").read_bytes()[:4] == b"\x89PNG"
