"""Trainings by the real entry point, and what they leave behind."""

import re
import shutil

import numpy as np
import tensorflow as tf

from tests import tiny
from tests.processes import run
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.data import info
from tfrecog.runs import checkpoints


def train(recipe, records, workdir, *flags):
    """Output of a training from a smoke recipe, in a process of its own."""
    places = (f"--data.records={records}", f"--workdir={workdir}")
    return run("tfrecog.train", f"--flagfile=configs/smoke/{recipe}.flags", *places, *flags)


def assert_continues_bit_for_bit(workdir, step, into):
    """A copy of a finished run, as it was when its checkpoint of `step` had just been written, ends like the run.

    The flagfile that the run has written is all that it takes, wherever its folder is.
    """
    shutil.copytree(workdir, into)
    for later in checkpoints.steps(into):
        if later > step:
            shutil.rmtree(into / checkpoints.FOLDER / f"step-{later:08d}")
    again = (f"--flagfile={into}/experiment.flags", f"--workdir={into}", "--train.evaluate_epochs=0")
    assert f"continuing from the checkpoint of step {step} of " in run("tfrecog.train", *again)
    one, other = weights(into), weights(workdir)
    assert len(one) > 10 and one["step"] > step
    assert_same(one, other)


def assert_two_replicas_with_two_parts_take_the_step_of_one(experiment, unseen=(), relative=1e-5):
    """The update of each weight is the same, and most are more than roundings.

    One step: rounding then moves a proposal over a threshold here or there, and the two choose other samples.

    `unseen` are paths of variables that the loss does not see, whose updates are roundings alone; `relative` is how far
    apart the two may be, of each variable's largest update.
    """
    dataset, found = info.load(experiment.data.records), []
    for changes in ([], ["--train.replicas=2", "--train.accumulate_steps=2"]):
        changed = flags.change(experiment, changes)
        task = tasks.build(changed, dataset)
        take, model = tiny.steps(task, changed, lambda _: tf.constant(1.0))  # Much more than a weight's last bit.
        for i, variable in enumerate(model.trainable_variables):
            if (
                not variable.numpy().any()
            ):  # Layers of zeros, such as a segmenter's last, would let no gradient through.
                variable.assign(0.1 * tf.random.stateless_normal(variable.shape, (i, 0)))
        before = {variable.path: variable.numpy() for variable in model.trainable_variables}
        (terms,), _ = take(list(task.data().batches(0, 1)), 0)
        updates = {variable.path: variable.numpy() - before[variable.path] for variable in model.trainable_variables}
        found.append(updates | {name: np.float32(value) for name, value in terms.items()})
    one, two = found
    learned = 0
    for name, update in one.items():
        # Sums of thousands of gradients, in another order; with shares that weigh otherwise it would be some percent.
        size = np.abs(update).max()
        last_bit = np.spacing(np.abs(before.get(name, np.float32(0))).max())
        tolerance = 1e-6 if name in unseen else relative * size + last_bit
        np.testing.assert_allclose(two[name], update, rtol=0, atol=tolerance, err_msg=name)
        learned += size > 100 * tolerance
    assert learned > len(one) / 2  # Else all of this would be of roundings.


def weights(workdir, step=None):
    """Section and path, such as model/out/kernel, → all that a checkpoint holds, of a step or the latest."""
    path = workdir / "checkpoints" / f"step-{step:08d}" if step else checkpoints.latest(workdir)
    reader = tf.train.load_checkpoint(str(path / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if not name.startswith("_")]
    return {
        name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE").replace(".S", "/"): reader.get_tensor(name) for name in names
    }


def section(workdir, name="model", step=None):
    """Path of a variable → its numbers, of a section of a checkpoint."""
    found = weights(workdir, step).items()
    return {path.removeprefix(f"{name}/"): value for path, value in found if path.startswith(f"{name}/")}


def assert_same(one, other, **tolerance):
    """Two checkpoints hold the same, bit for bit or to the tolerance."""
    assert one.keys() == other.keys() and "step" in one
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
