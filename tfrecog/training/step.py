"""One training step: the gradient of the whole batch, on all replicas and in parts, and what follows from it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfrecog.config import OptimConfig, TrainConfig
from tfrecog.ops import pooling
from tfrecog.runtime import distribution
from tfrecog.runtime.mixed_precision import LossScale
from tfrecog.training.ema import Averages
from tfrecog.training.optimizer import Optimizer

_SUM = tf.distribute.ReduceOp.SUM


class TrainState:
    """What a training changes beside the weights. Make it in the strategy's scope."""

    def __init__(self, model: keras.Model, optim: OptimConfig, train: TrainConfig):
        self.optimizer = Optimizer(model.trainable_variables, optim)
        self.averages = Averages(model.variables, optim.ema)
        self.scale = LossScale(train.precision)

    @property
    def memory(self) -> dict[str, dict[str, tf.Variable]]:
        """What a checkpoint keeps of it: section → key → variable."""
        return self.optimizer.memory | self.averages.memory | self.scale.memory


class TrainStep:
    """Takes a step for each of some batches: an update from the gradient of the whole batch.

    A loss term is the total over the whole batch / the count over the whole batch: an example weighs the same on every
    replica and in every part, however they are spread.

    Args:
        task: see `loop.run`. If it has `counts(batch)` → name: count, those of `losses` must be the same; otherwise
            a batch in parts takes a forward pass more, for the counts alone.
        model, state: made in the strategy's scope.
        rate: step [] int64 → learning rate [].
        options: its `accumulate_steps` is the number of parts; with `jit_compile` the task needs `counts`.
    """

    def __init__(
        self,
        task: Any,
        model: keras.Model,
        state: TrainState,
        rate: Callable,
        strategy: tf.distribute.Strategy,
        options: TrainConfig,
    ):
        self.task, self.model, self.state, self.rate = task, model, state, rate
        self.strategy, self.options = strategy, options
        self.weights = [variable.value for variable in state.optimizer.variables]
        self._graphs, self._sums = {}, []
        if options.accumulate_steps > 1:
            with strategy.scope():
                self._sums = [tf.Variable(tf.zeros(w.shape, w.dtype), trainable=False) for w in self.weights]

    def __call__(self, batches: Sequence[dict], first: int) -> tuple[list[dict[str, float]], bool]:
        """Takes the steps `first`, `first` + 1, ... with batches of one shape [B, ...].

        Returns:
            The terms of each step: `loss`, the task's, `learning_rate`, `gradient_norm`, and `loss_scale` in float16.
            There are fewer than batches if one is not finite: the last of them. It has left the weights as they were.
            And whether a graph was traced, as happens once for each shape of batch.
        """
        graph, traced = self.graph(batches)
        with tf.device("CPU:0"):  # Where the batches are: on a GPU there is no room for what waits.
            if self.options.steps_per_execution > 1:
                batch = {name: tf.stack([batch[name] for batch in batches]) for name in batches[0]}
            else:
                (batch,) = batches
            terms = graph(batch, tf.constant(first, tf.int64))
        columns = tf.stack([*terms.values()]).numpy()  # One copy from the device.
        return [dict(zip(terms, row, strict=True)) for row in columns.T.tolist()], traced

    def knows(self, batches: Sequence[dict]) -> bool:
        """Whether the graph of batches of this shape is there."""
        return _shapes(batches) in self._graphs

    def graph(self, batches: Sequence[dict]) -> tuple[Any, bool]:
        """The function of steps with batches of this shape: batch, first step → terms [steps]; whether it is new."""
        key = _shapes(batches)
        new = key not in self._graphs
        if new:
            several = self.options.steps_per_execution > 1
            some = [None] if several else []
            specs = {name: tf.TensorSpec([*some, *shape], dtype, name) for name, (shape, dtype) in key}
            of = self._several if several else self._single
            self._graphs[key] = tf.function(of, autograph=False, input_signature=[specs, tf.TensorSpec([], tf.int64)])
        return self._graphs[key], new

    def _single(self, batch, step):
        """Terms [1] of one step."""
        terms, _ = self._one(batch, step)
        return {name: value[None] for name, value in terms.items()}

    def _several(self, batches, first):
        """Terms [steps] of the steps of batches [n, B, ...], up to the first that is not finite."""

        def one(i):
            return self._one({name: value[i] for name, value in batches.items()}, first + tf.cast(i, tf.int64))

        return _looped(one, tf.shape(next(iter(batches.values())))[0])

    def _one(self, batch, step):
        """Terms [] of one step, between the replicas, and whether they are sound [] bool."""
        if self.options.accumulate_steps == 1:
            outcome = self.strategy.run(self._whole, (distribution.per_replica(self.strategy, batch), step))
        else:
            means = self._over_parts(batch, self._add, self._counts(batch))
            outcome = self.strategy.run(self._update_by_sums, (means, step))
        return self._local(outcome)

    def _over_parts(self, batch, function, *more):
        """Sums of the terms [] that a replica's function says of each part of a batch; the same on every replica."""
        parts = self.options.accumulate_steps
        with tf.device("CPU:0"):
            batch = {name: tf.reshape(x, [parts, x.shape[0] // parts, *x.shape[1:]]) for name, x in batch.items()}

        def one(i):
            part = distribution.per_replica(self.strategy, {name: value[i] for name, value in batch.items()})
            return self._local(self.strategy.run(function, (part, *more))), True

        return {name: tf.reduce_sum(values) for name, values in _looped(one, parts).items()}

    def _counts(self, batch):
        """Counts [] of the terms over the whole batch."""
        if hasattr(self.task, "counts"):
            return self._local(self.strategy.run(self._known_counts, (distribution.per_replica(self.strategy, batch),)))
        return self._over_parts(batch, self._counts_in_passing)

    def _local(self, values):
        """Of what is the same on every replica, the first one's."""
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], values)

    # From here on: in a replica.

    def _whole(self, batch, step):
        counts = self._known_counts(batch) if hasattr(self.task, "counts") else None
        gradients, shares = self._compiled(batch, counts)
        return self._update(gradients, _summed(shares), step)

    def _add(self, batch, counts):
        gradients, shares = self._compiled(batch, counts)
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)
        return _summed(shares)

    def _update_by_sums(self, means, step):
        outcome = self._update([tf.convert_to_tensor(total) for total in self._sums], means, step)
        for total in self._sums:
            total.assign(tf.zeros(total.shape, total.dtype))
        return outcome

    def _known_counts(self, batch):
        return _summed(self.task.counts(batch))

    def _counts_in_passing(self, batch):
        with keras.StatelessScope():  # The pass leaves no trace in the statistics of batch norm.
            return _summed(_counts_of(self.task.losses(self.model, batch)))

    def _compiled(self, batch, counts):
        if not self.options.jit_compile:
            return self._gradients(batch, counts)
        return tf.function(self._gradients, autograph=False, jit_compile=True)(batch, counts)

    def _gradients(self, batch, counts):
        """Gradients of the batch's loss by this replica's examples, and their shares in the terms."""
        terms = self.task.losses(self.model, batch)
        counts = _summed(_counts_of(terms)) if counts is None else counts
        shares = {
            name: tf.cast(total, tf.float32) / tf.maximum(tf.stop_gradient(counts[name]), 1.0)
            for name, (total, _) in terms.items()
        }
        # Where gradients meet they are added two by two, in a fixed order. GradientTape would use one AddN of them all,
        # whose order of summation depends on which of its inputs is free to be overwritten: on the threads.
        gradients = tf.gradients(
            self.state.scale.scaled(self._loss(shares)),
            self.weights,
            unconnected_gradients="zero",
            aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE,
        )
        return [tf.convert_to_tensor(gradient) for gradient in gradients], shares

    def _loss(self, terms):
        """Sum [] of the terms that are part of the loss, without those that are only shown."""
        shown = getattr(self.task, "metrics", ())
        return tf.reduce_sum(tf.stack([value for name, value in terms.items() if name not in shown]))

    def _update(self, gradients, means, step):
        """Changes the weights; returns the terms [] and whether the training can go on."""
        state, rate = self.state, self.rate(step)
        updates, scale = state.scale.updates(step), state.scale.shown()
        finite = tf.reduce_all(tf.math.is_finite(tf.stack([*means.values()])))
        norm = state.optimizer.apply(state.scale.unscaled(gradients), rate, updates, valid=finite)
        bounded = tf.math.is_finite(norm)
        state.averages.update(updates, tf.logical_and(finite, bounded))
        sound = state.scale.adapt(finite, bounded)
        terms = {"loss": self._loss(means)} | means | {"learning_rate": rate, "gradient_norm": norm} | scale
        return {name: tf.cast(value, tf.float32) for name, value in terms.items()}, sound


def _shapes(batches):
    """What a graph is made for: name, shape and type of each part of the batches."""
    return tuple((name, (value.shape, value.dtype)) for name, value in batches[0].items())


def _counts_of(terms):
    return {name: count for name, (_, count) in terms.items()}


def _summed(terms):
    """Terms [] summed over all replicas, all of them at once."""
    stacked = tf.stack([tf.cast(value, tf.float32) for value in terms.values()])
    total = tf.distribute.get_replica_context().all_reduce(_SUM, stacked)
    return dict(zip(terms, tf.unstack(total), strict=True))


def _looped(function, count):
    """Terms [n] of function(0), function(1), …, which gives terms [] and whether to go on [] bool; n is at most count.

    A loop and no row of copies: one pass's activations at a time, and a graph of one pass's size.
    """
    names = []  # of the terms, which the loop carries as one row [T]: known when its body is traced

    def body(i, _, rows):
        with pooling.same_gradients():
            terms, sound = function(i)
        names[:] = terms
        return i + 1, sound, rows.write(i, tf.stack([*terms.values()]))

    start = 0, True, tf.TensorArray(tf.float32, count)
    done, _, rows = tf.while_loop(lambda i, sound, _: (i < count) & sound, body, start, parallel_iterations=1)
    columns = tf.unstack(rows.gather(tf.range(done)), len(names), axis=1)
    return dict(zip(names, columns, strict=True))
