"""The rules of update: against formulas in float64, and against Keras."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrecog.config import OptimConfig
from tfrecog.runtime import distribution
from tfrecog.training.optimizer import Optimizer, decays

PLAIN = OptimConfig(momentum=0.9, weight_decay=0.0, clip_norm=0.0)


def trajectory(config, start, gradients, rates, strategy=None, name="kernel"):
    """Values of one variable after each of a sequence of steps; gradients[step][replica]."""
    strategy = strategy or distribution.strategy(1)
    with strategy.scope():
        variable = keras.Variable(np.float32(start), name=name)
        optimizer = Optimizer([variable], config)

    @tf.function
    def step(gradient, rate, count):
        strategy.run(lambda g: optimizer.apply([tf.reshape(g, np.shape(start))], rate, count), args=(gradient,))

    values = []
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True)):
        batch = {"gradient": tf.constant(np.stack(gradient), tf.float32)}
        step(
            distribution.per_replica(strategy, batch)["gradient"],
            tf.constant(rate, tf.float32),
            tf.constant(count, tf.int64),
        )
        values.append(variable.numpy())
    return np.array(values)


@pytest.mark.parametrize(("corrected", "third"), [(True, 0.6829), (False, 0.529)])
def test_the_velocity_contains_the_rate_only_without_correction(corrected, third):
    # By hand, from w = 1, g = 1, with rates 0.1, 0.1, 0.01: u = 1, 1.9, 2.71, of which the last moves w by 0.0271;
    # without correction v = 0.1, 0.19, then 0.9 · 0.19 + 0.01 = 0.181.
    config = OptimConfig(momentum=0.9, weight_decay=0.0, momentum_correction=corrected)
    got = trajectory(config, 1.0, [[1.0]] * 3, [0.1, 0.1, 0.01])
    np.testing.assert_allclose(got, [0.9, 0.71, third], rtol=1e-6)


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


def test_clipping_comes_after_the_all_reduce(two_replicas):
    # The replicas' gradients [3, 0] and [0, 4] sum to norm 5; clipped to 1: [0.6, 0.8]. Clipped apart they would be
    # [1, 0] + [0, 1]. A gradient of opposite parts sums to 0 and is not clipped at all, nor is one shorter than 1.
    config = OptimConfig(momentum=0.0, weight_decay=0.0, clip_norm=1.0)
    gradients = [[[3, 0], [0, 4]], [[5, 0], [-5, 0]], [[0.3, 0], [0, 0.4]]]
    got = trajectory(config, [0.0, 0.0], gradients, [1.0] * 3, two_replicas)
    np.testing.assert_allclose(got, [[-0.6, -0.8], [-0.6, -0.8], [-0.9, -1.2]], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_changes_nothing(bad):
    # Neither w nor u: the third step is as if the second had not been. By hand: u = 1, then 1.9.
    got = trajectory(PLAIN, 1.0, [[1.0], [bad], [1.0]], [0.1] * 3)
    np.testing.assert_allclose(got, [0.9, 0.9, 0.71], rtol=1e-6)


def of_keras(optimizer, start, gradients, rates):
    """Values of one variable after each step by an optimizer of Keras; gradients[step]."""
    variable, values = keras.Variable(np.float32(start), name="kernel"), []
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.learning_rate = rate
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        values.append(variable.numpy())
    return np.array(values)


def numbers(steps=12, size=5):
    """A start [size], gradients [steps, size] and rates [steps] that fall in the middle."""
    random = np.random.default_rng(3)
    rates = np.r_[np.full(steps // 2, 0.1), np.full(steps - steps // 2, 0.01)]
    return random.normal(size=size), random.normal(size=(steps, size)), rates


KERAS = {
    "the rate inside the momentum": (
        {"momentum_correction": False},
        lambda: keras.optimizers.SGD(0.1, 0.9),
    ),
    "the same by Nesterov": (
        {"momentum_correction": False, "nesterov": True},
        lambda: keras.optimizers.SGD(0.1, 0.9, nesterov=True),
    ),
    "AdamW": (
        {"name": "adamw", "beta2": 0.99, "weight_decay": 0.05},
        lambda: keras.optimizers.AdamW(0.1, 0.05, 0.9, 0.99, 1e-8),
    ),
    # Keras decays beside the trust ratio and the paper within it, so without decay here.
    "LAMB": ({"name": "lamb", "beta2": 0.99}, lambda: keras.optimizers.Lamb(0.1, 0.9, 0.99, 1e-8)),
}


@pytest.mark.parametrize("rule", KERAS)
@pytest.mark.parametrize("count", [1, 2])
def test_the_sequence_is_that_of_keras_on_any_number_of_replicas(rule, count):
    # Float32 against float32, in another order of the same operations: 1e-5.
    options, make = KERAS[rule]
    start, gradients, rates = numbers()
    config = OptimConfig(**{"momentum": 0.9, "weight_decay": 0.0, **options})
    parts = [[gradient] if count == 1 else [0.25 * gradient, 0.75 * gradient] for gradient in gradients]
    found = trajectory(config, start, parts, rates, distribution.strategy(count))
    np.testing.assert_allclose(found, of_keras(make(), start, gradients, rates), rtol=1e-5, atol=1e-5)


def sgd(w, g, rate, t, u, _, nesterov=False):
    """torch.optim.SGD: g += decay · w; u = momentum · u + g; the step is u, or (Nesterov) g + momentum · u."""
    g = g + 0.01 * w
    u = 0.9 * u + g
    return w - rate * (g + 0.9 * u if nesterov else u), u, 0


def lars(w, g, rate, t, u, _):
    """You et al. 2017, algorithm 1: share = trust |w| / (|g| + decay |w|); u = m u + share (g + decay w)."""
    share = 0.02 * np.linalg.norm(w) / (np.linalg.norm(g) + 0.01 * np.linalg.norm(w))
    u = 0.9 * u + share * (g + 0.01 * w)
    return w - rate * u, u, 0


def lamb(w, g, rate, t, m, v):
    """You et al. 2020, algorithm 2, which decays within the trust ratio."""
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
    step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8) + 0.05 * w
    return w - rate * np.linalg.norm(w) / np.linalg.norm(step) * step, m, v


PAPERS = {
    "SGD": ({"weight_decay": 0.01}, sgd),
    "Nesterov": ({"weight_decay": 0.01, "nesterov": True}, functools.partial(sgd, nesterov=True)),
    "LARS": ({"name": "lars", "trust_coefficient": 0.02, "weight_decay": 0.01}, lars),
    "LAMB": ({"name": "lamb", "beta2": 0.99, "weight_decay": 0.05}, lamb),
}


@pytest.mark.parametrize("rule", PAPERS)
@pytest.mark.parametrize("count", [1, 2])
def test_the_sequence_is_that_of_the_paper_in_float64(rule, count):
    options, step = PAPERS[rule]
    start, gradients, rates = numbers()
    w, memory, want = start, (0, 0), []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        w, *memory = step(w, g, rate, t, *memory)
        want.append(w)
    parts = [[gradient / count] * count for gradient in gradients]
    found = trajectory(OptimConfig(momentum=0.9, **options), start, parts, rates, distribution.strategy(count))
    rtol, atol = (1e-4, 1e-5) if rule == "LAMB" else (1e-5, 1e-6)
    np.testing.assert_allclose(found, want, rtol=rtol, atol=atol)


def test_lars_first_step_does_not_depend_on_the_size_of_the_gradient():
    # Without decay: rate · trust · |w| along g, whatever |g|. By hand, |w| = 5: 0.1 · 0.02 · 5 = 0.01 along [1, 0].
    config = OptimConfig(name="lars", trust_coefficient=0.02, weight_decay=0.0)
    for size in (1e-6, 1.0, 1e6):
        got = trajectory(config, [3.0, 4.0], [[[size, 0.0]]], [0.1])
        np.testing.assert_allclose(got[0], [2.99, 4.0], rtol=1e-6)


@pytest.mark.parametrize("name", ["lars", "lamb"])
@pytest.mark.parametrize("variable", ["bias", "gamma", "beta"])
def test_biases_and_norms_that_do_not_decay_are_not_scaled_by_their_norm_either(name, variable):
    # Then LARS is SGD and LAMB is Adam: their steps do not know how large the variable is.
    config = OptimConfig(name=name, weight_decay=0.05, decay_biases=False, decay_norm=False)
    small, large = (
        trajectory(config, [size, size], [[[0.3, -0.4]]] * 3, [0.1] * 3, name=variable) - size for size in (1.0, 16.0)
    )
    np.testing.assert_allclose(small, large, atol=1e-5)
    kernels = [trajectory(config, [size, size], [[[0.3, -0.4]]], [0.1])[0] - size for size in (1.0, 16.0)]
    assert np.abs(kernels[1] - kernels[0]).max() > 1e-3


@pytest.mark.parametrize("name", ["lars", "adamw", "lamb"])
def test_a_weight_or_a_gradient_of_zeros_makes_no_nan(name):
    for start, gradient in (([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])):
        assert np.isfinite(trajectory(OptimConfig(name=name), start, [[gradient]] * 3, [0.1] * 3)).all()


@pytest.mark.parametrize("name", ["lars", "adamw", "lamb"])
def test_a_gradient_that_is_not_finite_changes_no_memory_of_other_rules(name):
    # The bad step counts for none: the rest is as if it had not been, but for Adam's count of steps.
    config = OptimConfig(name=name, momentum=0.0, weight_decay=0.0)
    got = trajectory(config, [3.0, 4.0], [[[1.0, 0.5]], [[np.nan, 1.0]]], [0.1] * 2)
    np.testing.assert_array_equal(got[1], got[0])
