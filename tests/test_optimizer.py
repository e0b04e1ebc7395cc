"""SGD with the field's semantics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog import replicas
from tfrecog.config import OptimConfig
from tfrecog.optimizer import Optimizer, decays

PLAIN = OptimConfig(momentum=0.9, weight_decay=0.0, clip_norm=0.0)


def trajectory(config, start, gradients, rates, strategy=None, name="kernel"):
    """Values of one variable after each of a sequence of steps; gradients[step][replica]."""
    strategy = strategy or replicas.strategy(1)
    with strategy.scope():
        variable = keras.Variable(np.float32(start), name=name)
        optimizer = Optimizer([variable], config)

    @tf.function
    def step(gradient, rate, count):
        strategy.run(lambda g: optimizer.apply([tf.reshape(g, np.shape(start))], rate, count), args=(gradient,))

    values = []
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        batch = {"gradient": tf.constant(np.stack(gradient), tf.float32)}
        step(replicas.share(strategy, batch)["gradient"], tf.constant(rate, tf.float32), tf.constant(count, tf.int64))
        values.append(variable.numpy())
    return np.array(values)


def test_the_velocity_does_not_contain_the_rate():
    # By hand, from w = 1, g = 1: u = 1, 1.9, 2.71; with rates 0.1, 0.1, 0.01: w = 0.9, 0.71, 0.6829.
    got = trajectory(PLAIN, 1.0, [[1.0]] * 3, [0.1, 0.1, 0.01])
    np.testing.assert_allclose(got, [0.9, 0.71, 0.6829], rtol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_sequence_is_that_of_torch(nesterov):
    # torch.optim.SGD: g += decay · w; u = g at first, then momentum · u + g; step: u, or (Nesterov) g + momentum · u.
    random = np.random.default_rng(0)
    w, u = random.normal(size=5), np.zeros(5)
    gradients, rates, want = random.normal(size=(20, 5)), np.r_[np.full(10, 0.1), np.full(10, 0.01)], []
    start = w.copy()
    for g, rate in zip(gradients, rates, strict=True):
        g = g + 0.01 * w
        u = 0.9 * u + g
        w = w - rate * (g + 0.9 * u if nesterov else u)
        want.append(w)
    config = OptimConfig(momentum=0.9, nesterov=nesterov, weight_decay=0.01)
    np.testing.assert_allclose(trajectory(config, start, gradients[:, None], rates), want, rtol=1e-5, atol=1e-6)


def test_weight_decay_goes_through_the_momentum():
    # 50 steps of zero gradient, rate 0.1, decay 0.1, momentum 0.9. The recursion w'' - (1.9 - 0.01) w' + 0.9 w = 0 has
    # complex roots, so that w overshoots zero: the sign tells it from decoupled decay, which leaves 0.99^50 = 0.605.
    want, u = 1.0, 0.0
    for _ in range(50):
        u = 0.9 * u + 0.1 * want
        want -= 0.1 * u
    assert want < 0
    got = trajectory(OptimConfig(momentum=0.9, weight_decay=0.1), 1.0, [[0.0]] * 50, [0.1] * 50)
    assert got[-1] == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("kernel", OptimConfig(), True),
        ("bias", OptimConfig(decay_biases=True), True),
        ("bias", OptimConfig(decay_biases=False), False),
        ("gamma", OptimConfig(decay_norm=False), False),
        ("beta", OptimConfig(decay_norm=False), False),
        ("gamma", OptimConfig(decay_norm=True), True),
    ],
)
def test_decay_is_chosen_by_the_variables_own_name(name, config, expected):
    assert decays(keras.Variable(1.0, name=name), config) is expected
    moved = trajectory(config, 1.0, [[0.0]], [1.0], name=name)[0] != 1
    assert moved == expected


def test_two_replicas_step_as_one_does_with_the_sum(two_replicas):
    random = np.random.default_rng(1)
    gradients = random.normal(size=(6, 2, 4))
    config = OptimConfig(momentum=0.9, weight_decay=0.01, clip_norm=1.0)
    start = random.normal(size=4)
    one = trajectory(config, start, gradients.sum(1, keepdims=True), [0.1] * 6)
    two = trajectory(config, start, gradients, [0.1] * 6, two_replicas)
    np.testing.assert_allclose(two, one, rtol=1e-6, atol=1e-7)


def test_clipping_comes_after_the_all_reduce(two_replicas):
    # The replicas' gradients [3, 0] and [0, 4] sum to norm 5; clipped to 1: [0.6, 0.8]. Clipped apart they would be
    # [1, 0] + [0, 1]. A gradient of opposite parts sums to 0 and is not clipped at all.
    config = OptimConfig(momentum=0.0, weight_decay=0.0, clip_norm=1.0)
    got = trajectory(config, [0.0, 0.0], [[[3, 0], [0, 4]], [[5, 0], [-5, 0]]], [1.0, 1.0], two_replicas)
    np.testing.assert_allclose(got, [[-0.6, -0.8]] * 2, rtol=1e-6)


def test_a_small_gradient_is_not_clipped():
    config = OptimConfig(momentum=0.0, weight_decay=0.0, clip_norm=1.0)
    np.testing.assert_allclose(trajectory(config, [0.0, 0.0], [[[0.3, 0.4]]], [1.0])[0], [-0.3, -0.4], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    # Neither w nor u: the third step is as if the second had not been. By hand: u = 1, then 1.9.
    got = trajectory(PLAIN, 1.0, [[1.0], [bad], [1.0]], [0.1] * 3)
    np.testing.assert_allclose(got, [0.9, 0.9, 0.71], rtol=1e-6)
