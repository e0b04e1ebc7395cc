"""Mixed precision (Micikevicius et al. 2018): a network computes in 16 bits, and all that adds up is float32.

Weights, gradients of weights, normalisation's statistics, losses, boxes and suppression stay float32; so a checkpoint
of one precision serves the others.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

START = 2.0**15  # of the scale
PATIENCE = 2000  # steps without an overflow after which the scale is doubled


@contextlib.contextmanager
def layers(precision: str) -> Iterator[None]:
    """A context; the layers that are made in it compute in `precision`, with weights of float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class LossScale:
    """The factor of a loss in float16, whose gradients would else vanish (section 3.2); 1 in other precisions.

    It is doubled after `patience` steps without an overflow, and halved by each step with one, which is skipped. Make
    it in the strategy's scope, use it in a replica.
    """

    def __init__(self, precision: str, patience: int = PATIENCE):
        self.active, self.patience = precision == "float16", patience
        if self.active:
            self.value = tf.Variable(START, trainable=False, name="loss_scale")
            self.good = tf.Variable(0, dtype=tf.int64, trainable=False, name="good_steps")
            self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False, name="skipped_steps")

    @property
    def memory(self) -> dict[str, dict[str, tf.Variable]]:
        """What a checkpoint keeps of it."""
        parts = {"value": self.value, "good": self.good, "skipped": self.skipped} if self.active else {}
        return {"loss_scale": parts} if parts else {}

    def shown(self) -> dict[str, tf.Tensor]:
        """Terms of a step that a person sees."""
        return {"loss_scale": tf.identity(self.value)} if self.active else {}

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss [] to differentiate."""
        return loss * self.value if self.active else loss

    def unscaled(self, gradients: list) -> list:
        """Gradients of `scaled` → those of the loss; exact, for the scale is a power of two."""
        return [gradient / self.value for gradient in gradients] if self.active else gradients

    def updates(self, step: tf.Tensor) -> tf.Tensor:
        """How many updates there were before a step []."""
        return step - self.skipped if self.active else step

    def adapt(self, loss_finite: tf.Tensor, gradient_finite: tf.Tensor) -> tf.Tensor:
        """After each step; returns whether the training can go on.

        It cannot if the loss is not finite, nor if the gradient is not and no smaller scale is left.
        """
        if not self.active:
            return tf.logical_and(loss_finite, gradient_finite)
        good = tf.where(gradient_finite, self.good + 1, 0)
        doubled = tf.where(good >= self.patience, 2 * self.value, self.value)
        value = tf.where(gradient_finite, doubled, self.value / 2)
        # As the weights are: unchanged by a step without a loss.
        self.value.assign(tf.where(loss_finite, value, self.value))
        self.good.assign(tf.where(loss_finite, good % self.patience, self.good))
        self.skipped.assign_add(tf.cast(tf.logical_and(loss_finite, tf.logical_not(gradient_finite)), tf.int64))
        return tf.logical_and(loss_finite, value >= 1)
