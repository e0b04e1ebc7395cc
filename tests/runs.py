"""Trainings by the real entry point, and what they leave behind."""

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
