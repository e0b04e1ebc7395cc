"""A moving average of all weights of a model, which wavers less than the weights (Polyak and Juditsky 1992)."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from tfrecog.runs import checkpoint_reader


class Averages:
    """a = d a + (1 - d) w after each update, of every number of a model, moving statistics too; none if d is 0.

    The t-th update, counted from 0, has the decay min(d, (1 + t) / (10 + t)): a short training is not an average of its
    first weights (TensorFlow's ExponentialMovingAverage). Make it in the strategy's scope.
    """

    def __init__(self, variables: Sequence[keras.Variable], decay: float):
        self.decay = decay
        self.variables = [v for v in variables if decay and v.value.dtype.is_floating]
        self.values = [
            tf.Variable(v.value, trainable=False, name=f"{v.name}_average", dtype=v.value.dtype) for v in self.variables
        ]

    @property
    def memory(self) -> dict[str, dict[str, tf.Variable]]:
        """What a checkpoint keeps of it."""
        return (
            {checkpoint_reader.AVERAGES: checkpoint_reader.by_path(self.variables, self.values)} if self.values else {}
        )

    def restart(self) -> None:
        """Begins with the weights as they are now."""
        for average, variable in zip(self.values, self.variables, strict=True):
            average.assign(variable.value)

    def update(self, updates: tf.Tensor, taken: tf.Tensor) -> None:
        """After each step, in a replica: the number of updates [] before it, and whether it changed the weights []."""
        if not self.values:
            return
        t = tf.cast(updates, tf.float32)
        share = tf.where(taken, 1 - tf.minimum(self.decay, (1 + t) / (10 + t)), 0.0)
        for average, variable in zip(self.values, self.variables, strict=True):
            average.assign_add(tf.cast(share, average.dtype) * (variable.value - average))

    @contextlib.contextmanager
    def swapped_in(self, strategy: tf.distribute.Strategy) -> Iterator[None]:
        """A context in which the model has the averages; afterwards its own weights again, to the bit."""
        self._exchange(strategy)
        try:
            yield
        finally:
            self._exchange(strategy)

    def _exchange(self, strategy):
        for average, variable in zip(self.values, self.variables, strict=True):
            pairs = (strategy.experimental_local_results(each) for each in (average, variable.value))
            for one, other in zip(*pairs, strict=True):  # Replicas may differ, in the statistics of their batch norm.
                held = tf.identity(one)
                one.assign(other)
                other.assign(held)
