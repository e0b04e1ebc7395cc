"""The learning rate."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfrecog import schedules
from tfrecog.config import OptimConfig, ScheduleConfig

PLAIN = ScheduleConfig(epochs=12.0, warmup_epochs=0.0, warmup_factor=0.001, drop_epochs=(8.0, 11.0), drop_factor=0.1)


def rates(optim, schedule, batch_size, steps_per_epoch, count):
    function = tf.function(schedules.learning_rate(optim, schedule, batch_size, steps_per_epoch))
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
    rate = schedules.learning_rate(OptimConfig(), schedule, 16, 1000)
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
