"""The learning rate."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfrecog.cli import validate
from tfrecog.config import Experiment, OptimConfig, ScheduleConfig
from tfrecog.studies import learning_rates
from tfrecog.training import schedules

PLAIN = ScheduleConfig(epochs=12.0, warmup_epochs=0.0, warmup_factor=0.001, drop_epochs=(8.0, 11.0), drop_factor=0.1)


def rates(optim, schedule, batch_size, steps_per_epoch, count):
    function = tf.function(schedules.LearningRate(optim, schedule, batch_size, steps_per_epoch))
    return np.array([function(tf.constant(step, tf.int64)) for step in range(count)])


def test_the_rate_drops_at_the_first_step_of_each_drop_epoch():
    # 12 epochs of 10 steps; by hand: 0.02 in steps 0..79, a tenth in 80..109, a hundredth in 110..119.
    want = np.repeat([0.02, 0.002, 0.0002], [80, 30, 10])
    np.testing.assert_allclose(rates(OptimConfig(), PLAIN, 16, 10, 120), want, rtol=1e-6)


def test_the_warmup_grows_by_the_same_amount_at_every_step():
    # Goyal et al. 2017, 2.2: constant increments, so that the peak is reached after the warmup, here 10 steps.
    schedule = replace(PLAIN, warmup_epochs=0.5, warmup_factor=0.1)
    got = rates(OptimConfig(), schedule, 16, 20, 12)
    assert got[0] == pytest.approx(0.1 * 0.02)
    np.testing.assert_allclose(np.diff(got)[:10], 0.9 * 0.02 / 10, rtol=1e-4)
    assert got[10] == got[11] == pytest.approx(0.02)


def test_detectron2s_schedule_is_reproduced():
    # 90,000 steps of 16 images, drops at 60,000 and 80,000, warmup of 1,000 from 0.001; its formula at step s < 1000:
    # base · (0.001 · (1 - s/1000) + s/1000). An epoch of 1,000 steps makes its numbers whole.
    schedule = ScheduleConfig(epochs=90.0, warmup_epochs=1.0, warmup_factor=0.001, drop_epochs=(60.0, 80.0))
    rate = schedules.LearningRate(OptimConfig(), schedule, 16, 1000)
    want = {0: 2e-5, 500: 0.02 * (0.0005 + 0.5), 1000: 0.02, 59_999: 0.02, 60_000: 2e-3, 79_999: 2e-3, 80_000: 2e-4}
    for step, value in want.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(("scaling", "factor"), [("linear", 2.0), ("sqrt", 2**0.5), ("none", 1.0)])
def test_the_peak_follows_the_batch_size(scaling, factor):
    optim = OptimConfig(learning_rate=0.02, base_batch_size=16, scaling=scaling)
    assert schedules.peak(optim, 32) == pytest.approx(0.02 * factor)
    assert schedules.peak(optim, 16) == pytest.approx(0.02)


def test_a_training_without_drops_keeps_its_rate():
    np.testing.assert_allclose(rates(OptimConfig(), replace(PLAIN, drop_epochs=()), 16, 3, 9), 0.02, rtol=1e-6)


def test_half_a_step_is_rounded_up():
    # The built-in round would make 2 of 2.5.
    assert schedules.steps(0.25, 10) == 3
    assert schedules.total_steps(replace(PLAIN, epochs=1e-9), 10) == 1


# ImageNet in 1 Hour (Goyal et al. 2017): 0.1 for 256 images and so 0.1 k for k times 256.
ONE_HOUR = ScheduleConfig(
    epochs=90.0, warmup="gradual", warmup_epochs=5.0, warmup_from="base", drop_epochs=(30.0, 60.0, 80.0)
)
BASE = OptimConfig(learning_rate=0.1, base_batch_size=256, scaling="linear")


def every_rate(schedule):
    """The rate of every step of the training, [steps]: 1,281,167 images are seen in 157 batches of 8192."""
    steps = tf.range(schedules.total_steps(schedule, 157), dtype=tf.int64)
    return schedules.LearningRate(BASE, schedule, 8192, 157)(steps).numpy()


def test_imagenet_in_1_hour_grows_from_0_1_to_3_2_over_5_epochs_in_equal_increments_at_every_step():
    # The lecture: "start from LR of 0.1 and increase it by constant amount (0.003) at each iteration so that it is 3.2
    # after 5 epochs". 5 epochs are 5 * 157 = 785 steps, and (3.2 - 0.1) / 785 = 0.00395: its 0.003 is cut off. (With
    # 0.003 itself the rate would be 0.1 + 785 * 0.003 = 2.455, and not 3.2.)
    got = every_rate(ONE_HOUR)
    warmup = 5 * 157
    increment = 3.1 / 785
    assert increment == pytest.approx(0.003949, abs=1e-6)
    np.testing.assert_allclose(got[: warmup + 1], 0.1 + increment * np.arange(warmup + 1), rtol=2e-7)
    # Steps 30, 60, 80 of 90 epochs: 4,710, 9,420 and 12,560 of 14,130.
    assert len(got) == 14_130
    want = np.repeat([3.2, 0.32, 0.032, 0.0032], [4_710 - warmup, 4_710, 3_140, 1_570])
    np.testing.assert_allclose(got[warmup:], want, rtol=2e-7)


def test_a_constant_warmup_has_the_small_batchs_rate_for_5_epochs_and_none_has_the_peak_at_once():
    constant = every_rate(replace(ONE_HOUR, warmup="constant"))
    np.testing.assert_allclose(constant[: 5 * 157], 0.1, rtol=2e-7)
    none = every_rate(replace(ONE_HOUR, warmup="none"))
    np.testing.assert_allclose(none[: 30 * 157], 3.2, rtol=2e-7)
    np.testing.assert_array_equal(constant[5 * 157 :], none[5 * 157 :])


CURVES = {
    "cosine": lambda done: (1 + np.cos(np.pi * done)) / 2,
    "poly": lambda done: (1 - done) ** 0.9,
    "constant": np.ones_like,
}


@pytest.mark.parametrize("decay", CURVES)
def test_the_rate_follows_its_curve(decay):
    got = rates(OptimConfig(), replace(PLAIN, epochs=8.0, decay=decay), 16, 10, 80)
    np.testing.assert_allclose(got, 0.02 * CURVES[decay](np.arange(80) / 80), rtol=1e-6)


def test_a_cosine_under_a_gradual_warmup_is_their_product():
    # 80 steps, warmup over the first 20 from a tenth: at step 10 of it (0.1 + 0.9 / 2) (1 + cos(pi / 8)) / 2.
    schedule = replace(PLAIN, epochs=8.0, decay="cosine", warmup_epochs=2.0, warmup_factor=0.1)
    got = rates(OptimConfig(), schedule, 16, 10, 21)
    assert got[10] == pytest.approx(0.02 * 0.55 * (1 + math.cos(math.pi / 8)) / 2, rel=1e-6)
    assert got[20] == pytest.approx(0.02 * (1 + math.cos(math.pi / 4)) / 2, rel=1e-6)


LINE = replace(PLAIN, epochs=8.0, decay="linear", warmup_epochs=2.0, warmup_factor=0.1)


def test_a_line_falls_from_the_end_of_the_warmup_to_0_at_the_end():
    # 80 steps of 10 an epoch; 20 of warmup from a tenth, then 60 by 1/60 of the peak each: none is left for step 80.
    got = rates(OptimConfig(), LINE, 16, 10, 82)
    np.testing.assert_allclose(got[:21], 0.02 * (0.1 + 0.9 * np.arange(21) / 20), rtol=1e-6)
    np.testing.assert_allclose(got[20:], 0.02 * np.maximum(80 - np.arange(20, 82), 0) / 60, rtol=1e-6)


@pytest.mark.parametrize("end", [5.0, 7.0, 12.0])
def test_a_bend_aims_for_another_end_from_the_rate_that_the_line_has_come_to(end):
    # At epoch 5 (step 50) the line from 20 to 80 has come to a half; from there it is straight to the new end.
    bent = replace(LINE, bends=(5.0, end))
    last = schedules.total_steps(bent, 10)
    assert last == int(10 * end)
    got = rates(OptimConfig(), bent, 16, 10, last + 1)
    np.testing.assert_array_equal(got[:50], rates(OptimConfig(), LINE, 16, 10, 50))
    share = 0.5 * (last - np.arange(50, last + 1)) / max(last - 50, 1)
    np.testing.assert_allclose(got[50:], 0.02 * share, rtol=1e-6, atol=1e-12)


def test_bends_follow_each_other_and_one_in_the_warmup_holds_from_its_end():
    # To a half at step 50, from there to 60: at step 55 a quarter, from there to 75.
    got = rates(OptimConfig(), replace(LINE, bends=(5.0, 6.0, 5.5, 7.5)), 16, 10, 76)
    np.testing.assert_allclose(got[50:55] / 0.02, 0.5 * (60 - np.arange(50, 55)) / 10, rtol=1e-6)
    np.testing.assert_allclose(got[55:] / 0.02, 0.25 * (75 - np.arange(55, 76)) / 20, rtol=1e-6, atol=1e-12)
    early = rates(OptimConfig(), replace(LINE, bends=(1.0, 6.0)), 16, 10, 61)
    np.testing.assert_array_equal(early, rates(OptimConfig(), replace(LINE, epochs=6.0), 16, 10, 61))


def test_a_rate_that_is_bent_in_a_graph_is_that_of_the_schedule_with_the_bend():
    bent = replace(LINE, bends=(5.0, 7.0))
    rate = schedules.LearningRate(OptimConfig(), LINE, 16, 10)
    graph, steps = tf.function(rate), tf.range(70, dtype=tf.int64)
    np.testing.assert_array_equal(graph(steps), schedules.LearningRate(OptimConfig(), LINE, 16, 10)(steps))
    rate.bend(bent)
    np.testing.assert_array_equal(graph(steps), schedules.LearningRate(OptimConfig(), bent, 16, 10)(steps))


@pytest.mark.parametrize(
    ("bends", "reason"),
    [
        ((5.0,), "needs an end behind each epoch"),
        ((5.0, 7.0, 4.0, 8.0), "in the order of the epochs"),
        ((5.0, 4.0), "must not end before"),
        ((0.0, 0.0), "after epoch 0"),
    ],
)
def test_bends_that_cannot_be_are_refused(bends, reason):
    assert reason in validate.problems(Experiment(schedule=replace(LINE, bends=bends)))["schedule.bends"]


def test_bends_are_refused_where_nothing_reads_them():
    assert "schedule.bends" in validate.problems(Experiment(schedule=replace(PLAIN, bends=(5.0, 6.0))))


def test_the_figure_has_each_distinct_schedule_once():
    drawn = learning_rates.curves(Experiment(schedule=PLAIN), 100, (10, 20), ("linear",), ("none", "gradual"))
    assert list(drawn) == ["10, linear, none", "20, linear, none"]  # A gradual warmup of no epochs is none.
    epochs, rates = drawn["20, linear, none"]
    np.testing.assert_allclose(epochs, np.arange(60) / 5)  # 12 epochs of 5 steps
    np.testing.assert_allclose(rates[[0, 40, 59]], [0.025, 0.0025, 0.00025], rtol=1e-6)
    start, whole = learning_rates.figure(drawn, 2.0).axes
    # The start is 1.4 times as long as the warmup.
    assert [len(axes.lines[1].get_xdata()) for axes in (start, whole)] == [15, 60]
