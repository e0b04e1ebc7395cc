"""Which inputs of ReLUs are positive: where one is zero but for rounding, two libraries have different gradients.

`run.peer` has torchvision's decisions of the first step; given to ours, what is left of a difference is of other rules.
"""

from unittest import mock

import numpy as np
import tensorflow as tf

ALIKE = 0.99  # share of the decisions of a ReLU that the two libraries have in common


class Given:
    """torchvision's decisions in the place of ours, and how many of them are others.

    Whose they are is told by their shape and by how alike they are: libraries call their branches in different orders.
    So are rois: ours has empty slots among them, whose decisions remain its own.
    """

    def __init__(self, found):
        """Reads what `run.peer` found."""
        self.left = [_unpacked(found, key) for key in sorted(found) if key.startswith("decisions/")]
        self.count, self.different = 0, 0

    def relu(self, x):
        """`tf.nn.relu` of an input [B, ..., C], decided by torchvision."""
        own = _rows(x.numpy() > 0)
        found = [_alike(own, other) for other in self.left]
        shares = [np.mean(alike) for _, alike in found]
        best = int(np.argmax(shares))
        assert shares[best] >= ALIKE, f"no ReLU of torchvision decides like one of the shape {x.shape}"
        rows, other = found[best][0], self.left.pop(best)
        self.count, self.different = self.count + other.size, self.different + int(np.sum(own[rows] != other))
        own[rows] = other
        return tf.where(tf.constant(own.reshape(x.shape)), x, 0)


def _rows(decided):
    """[R, N]: a row for each image or roi, of a layer that is fully connected [B, R, N] or not [R, H, W, C]."""
    return decided.reshape(-1, decided.shape[-1]) if decided.ndim < 4 else decided.reshape(len(decided), -1)


def _alike(own, other):
    """Of each row of `other` [Q, N] the most alike row of `own` [R, N], and the share that is: 0 of another N."""
    if own.shape[1] != other.shape[1]:
        return np.zeros(len(other), int), np.zeros(len(other))
    mine, theirs = (np.where(values, np.float32(1), np.float32(-1)) for values in (own, other))
    alike = theirs @ mine.T
    return alike.argmax(1), (alike.max(1) / own.shape[1] + 1) / 2


def apart(found, other):
    """How many ReLUs are decided otherwise in two results of `run.peer`."""
    keys = [key for key in found if key.startswith("decisions/")]
    return sum(int(np.sum(_unpacked(found, key) != _unpacked(other, key))) for key in keys)


def gradients(training, batch, given=None):
    """{path: gradient} of a batch at the case's weights, in no graph; `given` are another's decisions."""
    training.restart()
    with mock.patch.object(tf.nn, "relu", given.relu if given else tf.nn.relu), tf.GradientTape() as tape:
        loss = training.loss(batch)
    variables = training.model.trainable_variables
    found = tape.gradient(loss, variables)
    return {variable.path: gradient.numpy() for variable, gradient in zip(variables, found, strict=True)}


def _unpacked(found, key):
    """[R, N] as of `_rows`, of the bits of a [B, C, H, W] or [B, C]."""
    shape = found[key.replace("decisions/", "decided/")]
    decided = np.unpackbits(found[key], count=int(np.prod(shape))).reshape(shape).astype(bool)
    return _rows(np.moveaxis(decided, 1, -1))
