"""Stochastic gradient descent as the field's recipes mean it.

u = momentum · u + g + decay · w;  w = w − rate · u. Keras' SGD has the rate inside u, and its decay skips the momentum:
with it the published recipes train something else (Goyal et al. 2017, section 3, remarks 1 and 2).
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfrecog.config import OptimConfig


class SGD:
    """Updates Keras variables under a strategy. Build it in the strategy's scope, call `apply` in a replica."""

    def __init__(self, variables: Sequence[keras.Variable], config: OptimConfig):
        self.config = config
        self.variables = list(variables)
        self.momenta = [
            tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name=f"{variable.name}_momentum")
            for variable in self.variables
        ]

    def apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, valid: tf.Tensor = True) -> tf.Tensor:
        """One update from every replica's gradients, which are summed.

        Args:
            gradients: this replica's, one for each variable.
            rate: [], the learning rate.
            valid: [] bool, the same on every replica; False leaves all as it is. So does a gradient that is not finite.

        Returns:
            [], the norm of the summed gradient, before clipping.
        """
        replica = tf.distribute.get_replica_context()
        # The all-reduce asks where a gradient lies, which not every one that `tf.gradients` makes can say.
        gradients = [tf.identity(tf.convert_to_tensor(gradient)) for gradient in gradients]
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        if self.config.clip_norm > 0:
            # After the all-reduce: the norm is that of the whole batch's gradient, whatever the number of replicas.
            scale = self.config.clip_norm / tf.maximum(norm, self.config.clip_norm)
            gradients = [g * tf.cast(scale, g.dtype) for g in gradients]
        valid = tf.logical_and(valid, tf.math.is_finite(norm))
        replica.merge_call(self._update, args=(gradients, rate, valid))
        return norm

    def _update(self, strategy, gradients, rate, valid):
        """Updates each variable on all its replicas; runs once, between the replicas."""
        for variable, momentum, gradient in zip(self.variables, self.momenta, gradients, strict=True):
            decay = self.config.weight_decay if decays(variable, self.config) else 0.0
            strategy.extended.update(variable.value, self._step, args=(momentum, gradient, rate, valid, decay))

    def _step(self, w, u, g, rate, valid, decay):
        """w and u after the gradient g, on one replica."""
        g = g + decay * w if decay else g
        new_u = self.config.momentum * u + g
        direction = g + self.config.momentum * new_u if self.config.nesterov else new_u
        change = tf.cast(rate, w.dtype) * direction
        # tf.where and not a product: 0 · NaN is NaN.
        u.assign(tf.where(valid, new_u, u))
        w.assign_sub(tf.where(valid, change, tf.zeros_like(change)))


def decays(variable: keras.Variable, config: OptimConfig) -> bool:
    """Whether a variable takes part in weight decay; by its own name, which Keras' layers give it."""
    if variable.name == "bias":
        return config.decay_biases
    if variable.name in ("gamma", "beta"):
        return config.decay_norm
    return True
