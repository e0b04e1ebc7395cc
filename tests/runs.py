"""Trainings by the real entry point, and what they leave behind."""

import re
import shutil

import numpy as np
import tensorflow as tf

from tests.folders import REPOSITORY
from tests.processes import Process
from tfrecog.runs import checkpoints


def train(recipe, records, workdir, *flags, kill_at=None):
    """The process of a training from a smoke recipe; with `kill_at` it does not live to see that step."""
    program = ("tfrecog.train",) if kill_at is None else (REPOSITORY / "tests" / "kill.py", kill_at)
    places = (f"--data.records={records}", f"--workdir={workdir}")
    return Process(*program, f"--flagfile=configs/smoke/{recipe}.flags", *places, *flags)


def stopped(workdir, step, into):
    """A copy of a finished run as it was when its checkpoint of `step` had just been written."""
    shutil.copytree(workdir, into, dirs_exist_ok=True)
    for later in checkpoints.steps(into):
        if later > step:
            shutil.rmtree(into / checkpoints.FOLDER / f"step-{later:08d}")
    return into


def weights(workdir, step=None):
    """Name → all that a checkpoint holds, of a step or the latest."""
    path = workdir / "checkpoints" / f"step-{step:08d}" if step else checkpoints.latest(workdir)
    reader = tf.train.load_checkpoint(str(path / "variables"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if not name.startswith("_")}


def assert_same(one, other, **tolerance):
    """Two checkpoints hold the same, bit for bit or to the tolerance."""
    assert one.keys() == other.keys() and "step/.ATTRIBUTES/VARIABLE_VALUE" in one
    for name in one:
        np.testing.assert_allclose(one[name], other[name], err_msg=name, **tolerance or {"rtol": 0, "atol": 0})


def rounding(size, terms):
    """How far apart two float32 sums of `terms` numbers may be that add them in another order; `size` is of the sums.

    Each addition rounds by up to 2**-24 of the sum so far, which adds up as a random walk, and on either side its own.
    """
    return 2**-23 * np.sqrt(terms) * size


def assert_same_but_for_rounding(one, other, terms):
    """Two checkpoints hold the same to the rounding of sums of `terms` numbers, as large as the largest weight."""
    largest = max(np.abs(value).max() for name, value in other.items() if name.startswith("model/"))
    assert_same(one, other, rtol=0, atol=rounding(largest, terms))


def losses_of(output):
    """The losses that a training prints, to 4 places."""
    return [float(loss) for loss in re.findall(r"^step .*?loss ([0-9.]+)", output, re.MULTILINE)]


def assert_same_losses(one, other):
    """Printed losses are the same, but for a last place that rounding may turn either way."""
    assert len(one) == len(other)
    np.testing.assert_allclose(one, other, rtol=0, atol=1.01e-4)
