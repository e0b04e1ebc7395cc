"""Averaged weights: their rule, who sees them, and that a run goes on with its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tests.matrices import representatives
from tests.runs import assert_same, section, weights
from tfrecog.runs import checkpoints, warm_start
from tfrecog.training.ema import Averages

EMA = 0.6


def train(workdir, *changes, ema=EMA, **options):
    tiny.train(workdir, f"--optim.ema={ema}", *changes, task=tiny.Normed, keep_checkpoints=99, **options)


def assert_has(model, values):
    for variable in model.variables:
        np.testing.assert_array_equal(variable.numpy(), values[variable.path])


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """Workdir of a run with averages, and a checkpoint of each step."""
    workdir = tmp_path_factory.mktemp("averaged")
    train(workdir, checkpoint_epochs=0.25)
    return workdir


def test_the_average_follows_its_rule_over_all_numbers_of_the_model(averaged):
    # By hand from the weights after each step: a = d a + (1 - d) w, d = min(0.6, (1 + t) / (10 + t)), from the start.
    average = {v.path: v.numpy() for v in tiny.Normed().build().variables}
    for t in range(12):
        decay = min(EMA, (1 + t) / (10 + t))
        average = {name: decay * average[name] + (1 - decay) * w for name, w in section(averaged, step=t + 1).items()}
        saved = section(averaged, "averages", step=t + 1)
        assert saved.keys() == average.keys() and any("moving_variance" in name for name in saved)
        for name in saved:
            np.testing.assert_allclose(saved[name], average[name], rtol=1e-5, atol=1e-6)


def test_the_weights_are_those_of_a_run_without_an_average_though_it_is_evaluated(tmp_path):
    seen = []

    def evaluate(model, strategy, step):
        assert_has(model, section(tmp_path, "averages"))
        seen.append(step)
        return {"box_AP": 0.1}

    train(tmp_path, evaluate_epochs=1.0, replicas=2, evaluate=evaluate)
    assert seen == [4, 8, 12]
    train(tmp_path / "none", ema=0.0, replicas=2)
    ours, theirs = section(tmp_path), section(tmp_path / "none")
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


# The least and the most that a rule remembers and computes.
@pytest.mark.parametrize(
    ("rule", "parts"), representatives([("sgd", 2), ("lars", 1), ("adamw", 1), ("lamb", 1)], ("sgd", 2), ("lamb", 1))
)
def test_a_run_goes_on_to_the_same_weights_average_and_memory_bit_for_bit(tmp_path, rule, parts):
    def go(name, before=lambda step: None):
        rates = (f"--optim.name={rule}", "--optim.learning_rate=0.02", "--optim.trust_coefficient=0.1")
        train(tmp_path / name, *rates, batches=tiny.data(before), accumulate_steps=parts)

    go("straight")
    with pytest.raises(ZeroDivisionError):
        go("killed", tiny.raises(ZeroDivisionError, at=7))
    assert checkpoints.steps(tmp_path / "killed")[-1] == 6
    go("killed")
    straight = weights(tmp_path / "straight")
    assert_same(weights(tmp_path / "killed"), straight)
    # All that there is to go on from: 6 variables and their averages, and of the 4 that learn a memory or two.
    kinds = [name.split("/")[0] for name in straight]
    counts = {"model": 6, "averages": 6, "momenta": 4} | ({} if rule in ("sgd", "lars") else {"squares": 4})
    assert {kind: kinds.count(kind) for kind in kinds if kind != "step"} == counts


def test_evaluation_and_a_new_run_start_from_the_average_and_a_resume_does_not(averaged):
    path, average = checkpoints.latest(averaged), section(averaged, "averages")
    evaluated, started, resumed = (tiny.Normed().build() for _ in range(3))
    checkpoints.restore(path, evaluated)
    assert_has(evaluated, average)
    assert "6 of 6 variables start from" in warm_start.load_weights(path, started)
    assert_has(started, average)
    checkpoints.restore(path, resumed, Averages(resumed.variables, EMA))
    assert_has(resumed, section(averaged))


def test_a_new_average_begins_with_the_weights_that_the_run_starts_from(averaged, tmp_path):
    stays = "--optim.learning_rate=1e-30"
    train(tmp_path, stays, "--schedule.epochs=0.25", start_from=str(averaged))
    start, now = section(averaged, "averages"), section(tmp_path, "averages")
    np.testing.assert_allclose(now["normed/out/kernel"], start["normed/out/kernel"], rtol=1e-6)


def test_a_step_that_changes_nothing_leaves_the_average_as_it_is():
    variable = keras.Variable(np.float32([1.0, 2.0]), name="w")
    averages = Averages([variable], 0.5)
    variable.assign([3.0, 4.0])
    averages.update(tf.constant(0), tf.constant(False))
    np.testing.assert_array_equal(averages.values[0], [1.0, 2.0])
    averages.update(tf.constant(0), tf.constant(True))  # d = 1 / 10
    np.testing.assert_allclose(averages.values[0], [2.8, 3.8], rtol=1e-6)
