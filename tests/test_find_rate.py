"""The learning-rate finder: its sweep, what it reads from the curve, and that it leaves the run alone."""

import csv
import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import tiny
from tests.test_train_precision import detector, scene
from tfrecog import find_rate
from tfrecog.cli.errors import UserError
from tfrecog.data.batches import Data
from tfrecog.training import rate_finder

SEARCH = {"steps": 51, "smoothing": 0.5, "diverged": 4.0}


def test_the_rate_grows_by_the_same_factor_from_the_lowest_to_the_highest():
    rate = rate_finder.growing(1e-4, 10.0, 51)
    rates = np.array([rate(tf.constant(step, tf.int64)) for step in range(51)])
    assert rates[0] == pytest.approx(1e-4)
    assert rates[-1] == pytest.approx(10.0)
    np.testing.assert_allclose(rates[1:] / rates[:-1], 10 ** (5 / 50), rtol=1e-5)


def swept(loss_of, search=SEARCH):
    """The points of a sweep over a known curve, and the steps that it took."""
    taken = []

    def losses(step):
        taken.append(step)
        rate = 1e-4 * 10 ** (5 * step / 50)
        return loss_of(rate), rate

    return rate_finder.sweep(losses, **search), taken


def valley(rate):
    """2 far below a rate of 0.01, falls fastest there, is lowest about 0.3, and runs away beyond."""
    return 1 + 1 / (1 + rate / 0.01) + (rate / 2) ** 4


def test_the_steepest_and_the_lowest_place_of_a_known_curve_are_found():
    # In the logarithm of the rate 1 / (1 + r / 0.01) is a logistic curve: steepest at 0.01. Lowest: r⁴ / 4 = about
    # 0.01 / r, so r = 0.04 ^ (1/5) = 0.53. A step of the sweep is a factor of 1.26.
    points, _ = swept(valley, SEARCH | {"smoothing": 0.0})
    found = rate_finder.suggest(points)
    assert found.steepest == pytest.approx(0.01, rel=0.4)
    assert found.lowest == pytest.approx(0.04**0.2, rel=0.3)


def test_the_sweep_ends_when_the_loss_runs_away_or_is_not_finite():
    # Without smoothing, beyond 4 times the lowest, 1.03: (r / 2)⁴ = 3.1 or so, at r = 2.66; the step after it is 3.16.
    points, taken = swept(valley, SEARCH | {"smoothing": 0.0})
    assert points[-1].rate == pytest.approx(10 ** (-4 + 45 / 10), rel=1e-6)
    assert taken == list(range(46))
    points, taken = swept(lambda rate: math.nan if rate > 0.11 else 1.0)
    assert (len(points), len(taken)) == (31, 32)


def test_smoothing_keeps_a_line_straight_in_its_middle_and_does_not_lag():
    line = np.linspace(5.0, 1.0, 101)
    smooth = np.array(rate_finder.smooth(list(line), 0.8))
    np.testing.assert_allclose(smooth[50], line[50], rtol=1e-6)
    np.testing.assert_allclose(rate_finder.smooth([3.0] * 7, 0.9), 3.0)
    np.testing.assert_allclose(rate_finder.smooth(list(line), 0.0), line)


@pytest.mark.parametrize("loss_of", [lambda rate: 1.0, lambda rate: 1 + rate])
def test_a_loss_that_never_falls_gives_no_rate(loss_of):
    points, _ = swept(loss_of, SEARCH | {"smoothing": 0.0})
    with pytest.raises(ValueError, match="the loss never fell"):
        rate_finder.suggest(points)


def test_real_steps_are_those_of_the_training_with_another_rate(tmp_path):
    # A rate of 0 changes nothing: the losses are those of the first weights on each batch.
    task, experiment = tiny.Task(), tiny.experiment(tmp_path / "run")
    losses = rate_finder.losses_of(task, experiment, tiny.data(), lambda step: tf.constant(0.0), 3)
    model = task.build()
    for step in range(3):
        loss, rate = losses(step)
        terms = task.losses(model, tiny.batch(step)).values()
        assert rate == 0
        assert loss == pytest.approx(sum(float(total / count) for total, count in terms), rel=1e-5)
    assert not (tmp_path / "run").exists()


def test_a_detector_has_a_rate_too():
    # Two images again and again: its loss falls, if its steps are taken.
    task, experiment = detector("float32")
    rate = rate_finder.growing(1e-3, 1e-1, 12)
    losses = rate_finder.losses_of(task, experiment, Data(1, lambda start, total: [scene()] * total), rate, 12)
    points = rate_finder.sweep(losses, **SEARCH | {"steps": 12})
    want = [1e-3 * 100 ** (step / 11) for step in range(len(points))]
    np.testing.assert_allclose([point.rate for point in points], want, rtol=1e-5)
    assert rate_finder.suggest(points).lowest > 2e-3


def test_the_curve_is_written_and_the_advice_is_flags_for_this_batch(tmp_path):
    points, _ = swept(valley, SEARCH | {"smoothing": 0.0})
    rate_finder.write(points, rate_finder.suggest(points), tmp_path)
    lines = list(csv.DictReader((tmp_path / "rates.csv").open()))
    assert [float(line["rate"]) for line in lines] == [point.rate for point in points]
    with Image.open(tmp_path / "rates.png") as picture:
        assert picture.format == "PNG"
    said = rate_finder.advice(rate_finder.Found(0.012, 0.5), 64)
    assert "--optim.learning_rate=0.012 --optim.base_batch_size=64" in said
    assert "--optim.learning_rate=0.05 --optim.base_batch_size=64" in said


def test_a_search_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(UserError, match="--lowest=2 must be less than --highest=1"):
        find_rate.main(find_rate.Flags(lowest=2.0, highest=1.0, out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
