"""The digit networks against the numbers of their papers."""

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import LENETS, ClassifierConfig
from tfrecog.models import classifier
from tfrecog.models.backbones import lenet


def build(name, side, classes=10, **options):
    model = classifier.build(ClassifierConfig(name=name, crop=side, **options), classes)
    model.logits(tf.zeros([1, side, side, 3]))
    return model


def weights_of(model):
    """{layer: weights that learn}"""
    count = {}
    for variable in model.trainable_variables:
        layer = variable.path.split("/")[-2]
        count[layer] = count.get(layer, 0) + int(np.prod(variable.shape))
    return count


def picture(side, seed=0):
    return tf.constant(np.random.default_rng(seed).integers(0, 256, [2, side, side, 3]).astype(np.float32))


@pytest.fixture(scope="module")
def of_1989():
    return build("lecun1989", 16)


def test_the_network_of_1989_has_the_papers_units_connections_and_weights(of_1989):
    # Section 3 of the paper: H1 768 biases and 12 kernels of 25, H2 192 biases and 12 kernels of 8 x 25, H3 30 units
    # of 192 inputs, 10 outputs of 30.
    weights = weights_of(of_1989)
    assert weights == {"h1": 1_068, "h2": 2_592, "h3": 5_790, "output": 310}
    assert sum(weights.values()) == 9_760
    h1 = of_1989.backbone.h1(tf.zeros([1, 16, 16, 1]))
    h2 = of_1989.backbone.h2(h1)
    units = {"h1": int(tf.size(h1)), "h2": int(tf.size(h2)), "h3": 30, "output": 10}
    assert units == {"h1": 768, "h2": 192, "h3": 30, "output": 10}
    assert 16 * 16 + sum(units.values()) == 1_256
    # A unit has a connection for each input, and one for its bias.
    inputs = {"h1": 25, "h2": 25 * 8, "h3": 192, "output": 30}
    connections = {layer: units[layer] * (inputs[layer] + 1) for layer in units}
    assert connections == {"h1": 19_968, "h2": 38_592, "h3": 5_790, "output": 310}
    assert sum(connections.values()) == 64_660


def test_a_unit_of_h2_changes_with_8_maps_of_h1_and_with_no_other(of_1989):
    # The outputs of ones in one map of H1 alone, less those of zeros, are not 0 where a map of H2 sees it.
    h2 = of_1989.backbone.h2
    reaches = np.stack([np.any(h2(one) != h2(tf.zeros([1, 8, 8, 12])), axis=(0, 1, 2)) for one in _one_map_each()])
    assert reaches.shape == (12, 12)
    assert np.all(reaches.sum(axis=0) == 8), "each of H2 sees 8 of H1"
    assert np.all(reaches.sum(axis=1) == 8), "each of H1 is seen by 8 of H2"
    np.testing.assert_array_equal(reaches, lenet.H2_SEES)


def _one_map_each():
    for number in range(12):
        yield tf.one_hot(tf.fill([1, 8, 8], number), 12)


def test_beyond_the_edge_of_an_image_is_background(of_1989):
    # A black image goes on beyond its edge: each unit of a map sees 25 times -1, and has no bias yet.
    h1 = of_1989.backbone.h1(of_1989.backbone.normalize(tf.zeros([1, 16, 16, 3]))).numpy()
    sums = of_1989.backbone.h1.kernel.numpy().sum(axis=(0, 1))
    np.testing.assert_allclose(h1[0], np.broadcast_to(-sums, [8, 8, 12]), atol=1e-6)


def test_partial_connections_are_those_of_a_loop_over_them():
    maps = lenet.Maps(lenet.C3_SEES, stride=2, pad=1, background=-0.5, name="maps")
    x = tf.random.stateless_normal([2, 7, 9, 6], (1, 2))
    got = maps(x).numpy()
    padded = np.pad(x.numpy(), [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-0.5)
    expected = np.zeros_like(got)
    for connection, (i, o) in enumerate(np.argwhere(lenet.C3_SEES)):
        for y in range(got.shape[1]):
            for column in range(got.shape[2]):
                window = padded[:, 2 * y : 2 * y + 5, 2 * column : 2 * column + 5, i]
                expected[:, y, column, o] += np.sum(window * maps.kernel.numpy()[..., connection], axis=(1, 2))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(("name", "side"), [("lecun1989", 16), ("lenet5", 28)])
def test_weights_start_uniform_within_2_4_over_the_inputs_of_their_unit(name, side):
    model = build(name, side)
    layers = {
        "lecun1989": {"h1": 25, "h2": 200, "h3": 192, "output": 30},
        # A map of C3 sees 3, 4 or 6 maps.
        "lenet5": {"c1": 25, "c3": 25 * 3, "c5": 400, "f6": 120, "output": 84},
    }[name]
    for variable in model.trainable_variables:
        layer, leaf = variable.path.split("/")[-2:]
        values = variable.numpy()
        if leaf == "bias":
            assert not values.any()
        elif leaf == "kernel":
            limit = 2.4 / layers[layer]
            assert 0.9 * limit < np.abs(values).max() <= limit
    if name == "lenet5":
        of_all = model.backbone.c3.kernel.numpy()[..., np.argwhere(lenet.C3_SEES)[:, 1] == 15]
        assert of_all.shape[-1] == 6 and np.abs(of_all).max() <= 2.4 / (25 * 6)


def test_the_outputs_of_1989_can_be_their_targets():
    np.testing.assert_allclose(lenet.squash(tf.constant([-1.0, 0.0, 1.0])), [-1, 0, 1], atol=1e-4)
    # Its second derivative is largest there, so that the targets do not drive weights to where it is flat.
    x = np.linspace(0, 3, 3001)
    bend = np.abs(np.gradient(np.gradient(1.7159 * np.tanh(2 / 3 * x), x), x))
    assert x[bend.argmax()] == pytest.approx(1, abs=0.02)
    far = build("lecun1989", 16)
    for variable in far.trainable_variables:
        variable.assign(100 * tf.random.stateless_normal(variable.shape, (1, 2)))
    assert np.abs(far.logits(picture(16))).max() == pytest.approx(1.7159), "outputs are squashed too"


def test_lenet_5_has_the_papers_weights_and_an_output_layer():
    # Section II.B of the paper, layer by layer, which are 60,000; and 10 outputs of 84.
    weights = weights_of(build("lenet5", 28))
    assert weights.pop("output") == 850
    assert weights == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert sum(weights.values()) == 60_000


def test_lenet_5_starts_by_averaging_cells():
    s2 = lenet.Subsample(name="s2")
    np.testing.assert_allclose(s2(tf.reshape(tf.range(16.0), [1, 4, 4, 1]))[0, ..., 0], [[2.5, 4.5], [10.5, 12.5]])


@pytest.mark.parametrize("name", LENETS)
def test_black_and_white_are_the_ends_of_the_range_and_colours_are_their_mean(name):
    low, high = (-0.1, 1.175) if name == "lenet5" else (-1, 1)
    normalize = classifier.build(ClassifierConfig(name=name), 10).backbone.normalize
    ends = normalize(tf.constant([[[0.0, 0, 0], [255, 255, 255], [255, 0, 0]]])[None])
    np.testing.assert_allclose(tf.squeeze(ends), [low, high, low + (high - low) / 3], atol=1e-6)


@pytest.mark.parametrize(("name", "side"), [("lecun1989", 16), ("lenet5", 28), ("lenet_modern", 28)])
def test_one_step_of_gradients_reaches_every_weight(name, side):
    model = build(name, side)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.logits(picture(side), training=True)[:, 3])
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.any(gradient), variable.path
