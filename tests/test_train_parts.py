"""The same steps, however a batch is worked through: on replicas, in parts, by XLA, several steps a call."""

import contextlib
import io
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tests import processes, tiny
from tests.runs import assert_same, assert_same_but_for_rounding, assert_same_losses, losses_of, section, weights
from tfrecog.cli import signals
from tfrecog.config import ClassifierConfig, Experiment
from tfrecog.data.batches import Data, in_calls
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runs import checkpoints
from tfrecog.tasks.classification import Classification
from tfrecog.training import loop

DIGITS = DatasetInfo(tuple(Category(str(digit), digit + 1) for digit in range(10)), {})
SIDE = 12
# The longest sums are those of a kernel: over the pixels of a batch, and over five steps.
SUMMED = 5 * 64 * SIDE**2


def classifier(workdir, batch_size=64, name="lenet5", **options):
    """A classifier without batch norm, of five steps at the full rate."""
    base = Experiment(task="classification", workdir=str(workdir))
    options = {"evaluate_epochs": 0.0, "summary_images": 0, "replicas": 1, "log_steps": 1} | options
    return replace(
        base,
        classifier=ClassifierConfig(name=name, crop=SIDE, norm="batch" if name == "lenet_modern" else "group"),
        data=replace(base.data, batch_size=batch_size),
        optim=replace(base.optim, learning_rate=0.1, base_batch_size=64, nesterov=True),
        schedule=replace(base.schedule, epochs=1.0, warmup="none"),
        train=replace(base.train, **options),
    )


def pictures(batch_size=64, steps=5, damaged=3):
    """Random pictures and labels; of some the label is 0, so that parts count differently."""

    def batches(start, total):
        for step in range(start, total):
            random = np.random.default_rng(step)
            label = random.integers(1, 11, batch_size, np.int32)
            label[:damaged] = 0
            image = random.uniform(0, 255, [batch_size, SIDE, SIDE, 3]).astype(np.float32)
            yield {
                "image": tf.constant(image),
                "label": tf.constant(label),
                "seed": tf.zeros([batch_size, 2], tf.int32),
            }

    return Data(steps, batches)


def run(experiment, data):
    loop.run(Classification(experiment, DIGITS), experiment, data)
    return weights(experiment.workdir)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights of a run that sees the whole batch at once, and the losses that it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        found = run(classifier(tmp_path_factory.mktemp("whole")), pictures())
    return found, losses_of(printed.getvalue())


@pytest.mark.parametrize("way", [{"replicas": 2}, {"accumulate_steps": 4}])
def test_replicas_and_parts_make_the_same_steps_and_print_the_same_loss(whole, tmp_path, capsys, way):
    assert_same_but_for_rounding(run(classifier(tmp_path, **way), pictures()), whole[0], SUMMED)
    assert_same_losses(losses_of(capsys.readouterr().out), whole[1])
    assert len(whole[1]) == 5


@pytest.mark.long
def test_four_replicas_make_them_too(whole, tmp_path):
    # They have a process of their own: their sums would meet those of two.
    out = processes.run("tests.test_train_parts", tmp_path)
    assert "16 on each of 4 replicas" in out and len(losses_of(out)) == 5
    assert_same_but_for_rounding(weights(tmp_path), whole[0], SUMMED)


def main(workdir):
    """Trains on four replicas."""
    from tfrecog.runtime import distribution

    distribution.reserve(4)
    run(classifier(workdir, replicas=4), pictures())


def test_xla_makes_the_same_steps(whole, tmp_path):
    found = run(classifier(tmp_path, jit_compile=True, accumulate_steps=4), pictures())
    assert_same_but_for_rounding(found, whole[0], SUMMED)


@pytest.mark.parametrize("way", [{"accumulate_steps": 4}, {"steps_per_execution": 2}])
def test_no_gradient_of_a_loop_depends_on_the_trace(tmp_path, way):
    """See `pooling.same_gradients`."""
    experiment = classifier(tmp_path, name="lenet_modern", **way)
    take, _ = tiny.steps(Classification(experiment, DIGITS), experiment)
    function, _ = take.graph(list(pictures().batches(0, 1)))
    graph = function.get_concrete_function().graph.as_graph_def()
    operations = {node.op for inner in graph.library.function for node in inner.node_def}
    assert "MaxPoolGradV2" in operations and "MaxPoolGrad" not in operations


def test_xla_really_compiles(tmp_path):
    experiment = classifier(tmp_path, jit_compile=True)
    take, _ = tiny.steps(Classification(experiment, DIGITS), experiment)
    function, _ = take.graph(list(pictures().batches(0, 1)))
    graph = function.get_concrete_function().graph.as_graph_def()
    inner = [function for function in graph.library.function if "_XlaMustCompile" in function.attr]
    assert any(node.op.startswith("Conv2DBackprop") for function in inner for node in function.node_def)


class Counted(tiny.Task):
    """A task whose counts depend on the network, as a detector's do."""

    def losses(self, model, batch):
        said = model(batch["x"])[:, 0]
        near, error = tf.cast(said < 0.2, tf.float32), tf.square(said - batch["y"])
        return {
            "near": (tf.reduce_sum(near * error), tf.reduce_sum(near)),
            "all": (tf.reduce_sum(error), tf.size(said)),
        }


def test_parts_have_the_counts_of_the_whole_batch_where_these_depend_on_the_network(tmp_path):
    ways = {"whole": {}, "parts": {"accumulate_steps": 4}, "both": {"accumulate_steps": 2, "replicas": 2}}
    for name, options in ways.items():
        tiny.train(tmp_path / name, task=Counted, **options)
        # Twelve batches, each of whose gradients momentum adds ten times in all.
        assert_same_but_for_rounding(weights(tmp_path / name), weights(tmp_path / "whole"), 10 * 12 * tiny.BATCH)


def test_the_pass_that_counts_leaves_no_trace_in_the_statistics_of_batch_norm(tmp_path):
    # One step of two parts, momentum 0.5: by hand m = 0.5 · 0 + 0.5 · mean of the first four, then
    # m = 0.5 m + 0.5 · mean of the last four. With the counting pass it would go on from 0.75 of them.
    tiny.train(tmp_path, "--schedule.epochs=0.25", task=tiny.Normed, accumulate_steps=2)
    x = tiny.batch(0)["x"].numpy()
    (mean,) = (value for name, value in section(tmp_path).items() if "moving_mean" in name)
    np.testing.assert_allclose(mean, 0.25 * x[:4].mean(0) + 0.5 * x[4:].mean(0), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"accumulate_steps": 2}, {"steps_per_execution": 2}])
def test_each_step_has_the_terms_of_its_own_batch_whatever_batches_came_between(options, tmp_path):
    class Choosy(tiny.Task):
        """A task with another term where the batch has what it is of."""

        def losses(self, model, batch):
            terms = super().losses(model, batch)
            if "extra" in batch:
                terms = {"extra": (tf.reduce_sum(batch["extra"]), tf.size(batch["extra"]))} | terms
            return terms

    take, _ = tiny.steps(Choosy(), tiny.experiment(tmp_path, **options))
    plain = tiny.batch(0)
    first, other, again = (take([batch], 0)[0][0] for batch in (plain, plain | {"extra": tf.ones([8])}, plain))
    assert list(first) == ["loss", "square", "mean", "learning_rate", "gradient_norm"]
    assert set(other) == {"extra", *first} and other["extra"] == 1
    assert again == first  # At a rate of 0 the weights have stayed.


@pytest.fixture(scope="module")
def singly(tmp_path_factory):
    """Workdir of a run that comes back to Python after every step, and the losses that it prints."""
    workdir = tmp_path_factory.mktemp("singly")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tiny.train(workdir, log_steps=1)
    return workdir, losses_of(printed.getvalue())


@pytest.mark.parametrize("several", [3, 100])
def test_several_steps_in_a_call_are_the_same_to_the_bit_and_in_print(singly, tmp_path, several, capsys):
    workdir, losses = singly
    tiny.train(tmp_path, log_steps=1, steps_per_execution=several, checkpoint_epochs=1.0)
    assert losses_of(capsys.readouterr().out) == losses and len(losses) == 12
    assert_same(weights(tmp_path), weights(workdir))
    assert checkpoints.steps(tmp_path) == [8, 12]  # A call ends where a checkpoint is due.


def test_calls_end_where_they_must_and_where_the_shape_changes():
    shapes = [2, 2, 2, 2, 3, 3, 2, 2]
    batches = [{"x": tf.zeros([side])} for side in shapes]
    calls = list(in_calls(batches, 10, 3, lambda step: step == 12))
    assert [len(call) for call in calls] == [2, 2, 2, 2]
    assert [call[0]["x"].shape[0] for call in calls] == [2, 2, 3, 2]


def test_batches_before_one_that_cannot_be_made_are_used():
    def broken():
        yield from ({"x": tf.zeros([])} for _ in range(5))
        raise ValueError("broken")

    calls = in_calls(broken(), 0, 3, lambda step: False)
    assert len(next(calls)) == 3 and len(next(calls)) == 2
    with pytest.raises(ValueError, match="broken"):
        next(calls)


def test_a_loss_that_is_not_finite_ends_the_call_at_its_step(singly, tmp_path):
    def spoil(step, batch):
        return {**batch, "y": batch["y"] * np.float32("nan")} if step == 9 else batch

    calls = {"steps_per_execution": 100, "checkpoint_epochs": 2.0}  # of 8 and 4 steps
    with pytest.raises(loop.NonFiniteLoss, match=r"(?s)step 10: loss is nan.*9000, 9001.*step 8"):
        tiny.train(tmp_path, batches=tiny.data(change=spoil), **calls)
    tiny.train(tmp_path, **calls)  # What was good in that call comes again.
    assert_same(weights(tmp_path), weights(singly[0]))


def test_a_signal_in_a_call_of_several_steps_waits_for_its_end(singly, tmp_path):
    calls = {"steps_per_execution": 4, "checkpoint_epochs": 0.0}
    with pytest.raises(signals.Stopped):
        tiny.train(tmp_path, batches=tiny.data(tiny.sends(signal.SIGTERM, at=5)), **calls)
    assert checkpoints.steps(tmp_path) == [8]
    tiny.train(tmp_path, **calls)
    assert_same(weights(tmp_path), weights(singly[0]))


if __name__ == "__main__":
    main(sys.argv[1])
