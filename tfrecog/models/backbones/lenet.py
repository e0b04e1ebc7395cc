"""Networks that read digits: that of LeCun et al. 1989, LeNet-5 (LeCun et al. 1998), and one of its form today.

1989 is "Backpropagation applied to handwritten zip code recognition", 1998 "Gradient-based learning applied to document
recognition". Here are the convolutions; what is fully connected, H3 and the output or C5, F6 and the output, is in the
classifier.
"""

import keras
import numpy as np
import tensorflow as tf

from tfrecog.models.layers import Backbone, Conv

# H1's 12 maps are three groups of four, and so are H2's, each of which sees all groups but one. 1989 says that a map of
# H2 sees 8 of H1, "according to a scheme" that it leaves open; in this one each map of H1 is seen by 8 of H2.
H2_SEES = np.kron(1 - np.eye(3, dtype=int), np.ones([4, 4], int))

# Table I of 1998: rows are the maps of S2, columns those of C3.
C3_SEES = np.array(
    [
        [1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1],
        [1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1],
        [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1],
        [0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1],
        [0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0, 1],
        [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1],
    ]
)


class Maps(keras.layers.Layer):
    """Feature maps of shared 5x5 kernels, each of which sees some of the maps before: [B, H, W, I] to [B, h, w, O].

    Args:
        sees: [I, O], 1 where an input map is seen by an output map. Only these connections have weights.
        pad: cells around the input; `background` is their value.
        bias_of_units: each unit has a bias of its own, as in 1989, and not each map.
    """

    def __init__(
        self,
        sees: np.ndarray,
        stride: int = 1,
        *,
        pad: int = 0,
        background: float = 0.0,
        bias_of_units: bool = False,
        name: str,
    ):
        super().__init__(name=name)
        self.sees, self.stride, self.pad, self.background = np.asarray(sees), stride, pad, background
        self.bias_of_units = bias_of_units

    def build(self, input_shape):
        inputs, outputs = self.sees.shape
        side = [(cells + 2 * self.pad - 5) // self.stride + 1 for cells in input_shape[1:3]]
        seen, seeing = np.nonzero(self.sees)
        limit = 25 * self.sees.sum(axis=0)[seeing]
        self.kernel = self.add_weight(name="kernel", shape=(5, 5, len(seen)), initializer=by_fan_in(limit))
        self.bias = self.add_weight(
            name="bias", shape=(*side, outputs) if self.bias_of_units else (outputs,), initializer="zeros"
        )
        # One connection a row, with a 1 at its place in the kernel of all connections.
        self.place = np.eye(inputs * outputs, dtype=np.float32)[seen * outputs + seeing]

    def call(self, x):
        kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        # A product with zeros and ones is quick both ways on all devices, and always the same; a scatter is not.
        full = tf.matmul(tf.reshape(kernel, [25, -1]), tf.constant(self.place, kernel.dtype))
        full = tf.reshape(full, [5, 5, *self.sees.shape])
        around = [self.pad, self.pad]
        if self.pad:
            x = tf.pad(x, [[0, 0], around, around, [0, 0]], constant_values=self.background)
        return tf.nn.conv2d(x, full, self.stride, "VALID") + bias


class _Gray(Backbone):
    def normalize(self, image):
        """Images [B, H, W, 3] in 0..255, bright on dark, to the mean of their channels [B, H, W, 1] in -1..1."""
        return _mean(image) / 127.5 - 1


class LeCun1989(_Gray):
    """Images [B, 16, 16, 3] to H2 {2: [B, 4, 4, 12]}: two layers of 12 maps, 5x5 kernels of stride 2, no pooling.

    With H3, of 30 units, and 10 outputs these are the paper's 1,256 units, 64,660 connections and 9,760 weights. What
    lies beyond an edge is background, -1; 1989 says so of the image, and here H1's edge is the same.
    """

    def __init__(self, name: str = "backbone"):
        super().__init__(name=name)
        form = {"stride": 2, "pad": 2, "background": -1.0, "bias_of_units": True}
        self.h1 = Maps(np.ones([1, 12], int), **form, name="h1")
        self.h2 = Maps(H2_SEES, **form, name="h2")
        self.channels, self.strides = {2: 12}, {2: 4}

    def call(self, image, training=False):
        return {2: squash(self.h2(squash(self.h1(image))))}


class Subsample(keras.layers.Layer):
    """[B, H, W, C] to [B, H / 2, W / 2, C]: sums of 2x2 cells, times a coefficient and plus a bias of each map (1998).

    It starts as the mean.
    """

    def build(self, input_shape):
        shape = input_shape[-1:]
        self.gain = self.add_weight(name="gain", shape=shape, initializer=keras.initializers.Constant(0.25))
        self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")

    def call(self, x):
        sums = 4 * tf.nn.avg_pool2d(x, 2, 2, "VALID")
        return sums * tf.convert_to_tensor(self.gain) + tf.convert_to_tensor(self.bias)


class LeNet5(Backbone):
    """Images [B, 28, 28, 3] to S4 {2: [B, 5, 5, 16]}: C1, S2, C3 and S4 of 1998, with its partial connections.

    The image lies in a field of 32 x 32. With C5, of 120 units, and F6, of 84, it has the paper's 60,000 weights. The
    paper's outputs are distances from pictures of the characters; here they are logits, of a softmax cross entropy.
    """

    def __init__(self, name: str = "backbone"):
        super().__init__(name=name)
        self.c1 = Maps(np.ones([1, 6], int), pad=2, background=-0.1, name="c1")
        self.s2 = Subsample(name="s2")
        self.c3 = Maps(C3_SEES, name="c3")
        self.s4 = Subsample(name="s4")
        self.channels, self.strides = {2: 16}, {2: 4}

    def normalize(self, image):
        """Images [B, H, W, 3] in 0..255, bright on dark, to [B, H, W, 1] in -0.1..1.175, about mean 0, deviation 1."""
        return _mean(image) * (1.275 / 255) - 0.1

    def call(self, image, training=False):
        x = squash(self.s2(squash(self.c1(image))))
        return {2: squash(self.s4(squash(self.c3(x))))}


class LeNetModern(_Gray):
    """Images [B, H, W, 3] to {2: [B, H / 4, W / 4, 64]}: LeNet-5's form with padding, norm, ReLU and max pooling.

    Args:
        norm: as of `conv.Conv`.
    """

    def __init__(self, norm: str = "batch", epsilon: float = 1e-5, name: str = "backbone"):
        super().__init__(name=name)
        self.conv1 = Conv(32, 5, norm=norm, epsilon=epsilon, relu=True, name="conv1")
        self.conv2 = Conv(64, 5, norm=norm, epsilon=epsilon, relu=True, name="conv2")
        self.channels, self.strides = {2: 64}, {2: 4}

    def call(self, image, training=False):
        x = tf.nn.max_pool2d(self.conv1(image, training=training), 2, 2, "VALID")
        return {2: tf.nn.max_pool2d(self.conv2(x, training=training), 2, 2, "VALID")}


def _mean(image):
    return tf.reduce_mean(image, axis=-1, keepdims=True)


def squash(x):
    """1.7159 tanh(2/3 x): 1 at 1 and -1 at -1, the targets, where its second derivative is largest (1998, appendix A).

    1989 says that its tanh is scaled and its targets are in the middle part of the range, but no numbers.
    """
    return 1.7159 * tf.tanh(x * (2 / 3))


def by_fan_in(inputs=None):
    """Initializer: uniform within 2.4 / F, of F inputs of a unit (1989); by default as many as the kernel has rows."""

    def initialize(shape, dtype=None):
        limit = 2.4 / np.asarray(shape[0] if inputs is None else inputs, np.float32)
        return keras.initializers.RandomUniform(-1.0, 1.0)(shape, dtype) * tf.constant(limit, dtype)

    return initialize
