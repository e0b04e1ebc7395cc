"""How gradients change weights: SGD as the field's recipes mean it, LARS, AdamW and LAMB.

Keras' SGD has the rate inside the momentum, and its decay skips the momentum: with it the published recipes train
something else (Goyal et al. 2017, section 3, remarks 1 and 2). `optim.momentum_correction=false` is that momentum.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfrecog.config import OptimConfig
from tfrecog.runs import checkpoint_reader


class Optimizer:
    """Updates Keras variables under a strategy. Build it in the strategy's scope, call `apply` in a replica.

    `slots` is what it remembers of each variable, by the name of the memory.
    """

    def __init__(self, variables: Sequence[keras.Variable], config: OptimConfig):
        self.config = config
        self.variables = list(variables)
        self._rule, names = RULES[config.name]
        self.slots = {
            name: [
                tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name=f"{variable.name}_{name}")
                for variable in self.variables
            ]
            for name in names
        }

    @property
    def memory(self) -> dict[str, dict[str, tf.Variable]]:
        """What a checkpoint keeps of it: the slots, by the paths of the variables."""
        return {name: checkpoint_reader.by_path(self.variables, slot) for name, slot in self.slots.items()}

    def apply(
        self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, step: tf.Tensor, valid: tf.Tensor = True
    ) -> tf.Tensor:
        """One update from every replica's gradients, which are summed.

        Args:
            gradients: this replica's, one for each variable.
            rate: [], the learning rate.
            step: [], updates before this one.
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
        replica.merge_call(self._update, args=(gradients, rate, tf.cast(step, tf.float32) + 1, valid))
        return norm

    def _update(self, strategy, gradients, rate, count, valid):
        """Updates each variable on all its replicas; runs once, between the replicas."""
        for variable, gradient, *memory in zip(self.variables, gradients, *self.slots.values(), strict=True):
            adapts = decays(variable, self.config)
            strategy.extended.update(variable.value, self._one, args=(gradient, rate, count, valid, adapts, *memory))

    def _one(self, w, g, rate, count, valid, adapts, *memory):
        """w and its memory after the gradient g, on one replica."""
        decay = self.config.weight_decay if adapts else 0.0
        rate = tf.cast(rate, w.dtype)
        change, after = self._rule(self.config, tf.convert_to_tensor(w), g, rate, count, decay, adapts, memory)
        # tf.where and not a product: 0 · NaN is NaN.
        for slot, value in zip(memory, after, strict=True):
            slot.assign(tf.where(valid, value, slot))
        w.assign_sub(tf.where(valid, change, tf.zeros_like(change)))


def decays(variable: keras.Variable, config: OptimConfig) -> bool:
    """Whether a variable takes part in weight decay; by its own name, which Keras' layers give it."""
    if variable.name == "bias":
        return config.decay_biases
    if variable.name in ("gamma", "beta"):
        return config.decay_norm
    return True


def _sgd(config, w, g, rate, count, decay, adapts, memory):
    """u = m u + g + decay w; w = w - rate u. Without momentum correction v = m v + rate (g + decay w); w = w - v."""
    (u,), m = memory, config.momentum
    g = g + decay * w if decay else g
    if not config.momentum_correction:
        g = rate * g
    u = m * u + g
    direction = g + m * u if config.nesterov else u
    return (rate * direction if config.momentum_correction else direction), (u,)


def _lars(config, w, g, rate, count, decay, adapts, memory):
    """SGD of gradients that are scaled to a share of their weight's norm (You et al. 2017, algorithm 1).

    What takes no part in weight decay (biases, norms) is not scaled, as in the large-batch recipes.
    """
    if adapts:
        weight, gradient = tf.norm(w), tf.norm(g)
        share = config.trust_coefficient * weight / (gradient + decay * weight)
        share = tf.where((weight > 0) & (gradient > 0), share, 1.0)
        g = share * (g + decay * w)
    return _sgd(config, w, g, rate, count, 0.0, adapts, memory)


def _adam(config, g, count, memory):
    """The step of Adam (Kingma and Ba 2015, algorithm 1), before the rate."""
    (m, v), one, two = memory, config.momentum, config.beta2
    m, v = one * m + (1 - one) * g, two * v + (1 - two) * tf.square(g)
    mean, square = m / (1 - tf.pow(one, count)), v / (1 - tf.pow(two, count))
    return mean / (tf.sqrt(square) + config.epsilon), (m, v)


def _adamw(config, w, g, rate, count, decay, adapts, memory):
    """Adam, and a decay of rate · decay · w beside it (Loshchilov and Hutter 2019, algorithm 2)."""
    step, after = _adam(config, g, count, memory)
    return rate * (step + decay * w), after


def _lamb(config, w, g, rate, count, decay, adapts, memory):
    """AdamW whose step has the norm of its weight (You et al. 2020, algorithm 2); not of what does not decay."""
    step, after = _adam(config, g, count, memory)
    step = step + decay * w
    weight, length = tf.norm(w), tf.norm(step)
    if adapts:
        step = step * tf.where((weight > 0) & (length > 0), tf.math.divide_no_nan(weight, length), 1.0)
    return rate * step, after


# Name → the rule, and what it remembers of a variable.
RULES: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "sgd": (_sgd, ("momenta",)),
    "lars": (_lars, ("momenta",)),
    "adamw": (_adamw, ("momenta", "squares")),
    "lamb": (_lamb, ("momenta", "squares")),
}
