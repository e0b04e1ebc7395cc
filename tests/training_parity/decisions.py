"""Which inputs of ReLUs are positive: where one is zero but for rounding, two libraries have different gradients.

`run.peer` has torchvision's decisions of the first step; given to ours, what is left of a difference is of other rules.
"""

from unittest import mock

import numpy as np
import tensorflow as tf

ALIKE = 0.999  # share of the decisions of a ReLU that the two libraries have in common


class Given:
    """torchvision's decisions in the place of ours, and how many of them are others.

    Whose they are is told by their shape and by how alike they are: libraries call their branches in different orders.
    """

    def __init__(self, found):
        """Reads what `run.peer` found."""
        self.left = [_unpacked(found, key) for key in sorted(found) if key.startswith("decisions/")]
        self.count, self.different = 0, 0

    def relu(self, x):
        """`tf.nn.relu` of an input [B, H, W, C], decided by torchvision."""
        own = x.numpy() > 0
        shares = [np.mean(own == other) if other.shape == own.shape else 0 for other in self.left]
        best = int(np.argmax(shares))
        assert shares[best] >= ALIKE, f"no ReLU of torchvision decides like one of the shape {own.shape}"
        other = self.left.pop(best)
        self.count, self.different = self.count + own.size, self.different + int(np.sum(own != other))
        return tf.where(tf.constant(other), x, 0)


def gradients(training, batch, given=None):
    """{path: gradient} of a batch at the case's weights, in no graph; `given` are another's decisions."""
    training.restart()
    with mock.patch.object(tf.nn, "relu", given.relu if given else tf.nn.relu), tf.GradientTape() as tape:
        loss = training.loss(batch)
    variables = training.model.trainable_variables
    found = tape.gradient(loss, variables)
    return {variable.path: gradient.numpy() for variable, gradient in zip(variables, found, strict=True)}


def _unpacked(found, key):
    """[B, H, W, C] of the bits of a [B, C, H, W]."""
    shape = found[key.replace("decisions/", "decided/")]
    return np.unpackbits(found[key], count=int(np.prod(shape))).reshape(shape).astype(bool).transpose(0, 2, 3, 1)
