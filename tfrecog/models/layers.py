"""A convolution with its normalisation and ReLU: the brick of every network here."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfrecog.ops import dilated, target, winograd

_LEAST = 1.1754944e-38  # The smallest float32 that TensorFlow does not take for 0.
# Mean and standard deviation of ImageNet's pixels, RGB in 0..255, as torchvision's weights expect.
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
NORMS = ("none", "frozen", "batch", "sync_batch", "group")


class Conv(keras.layers.Layer):
    """Convolution, normalisation, ReLU: [B, H, W, C] to [B, H / stride, W / stride, filters].

    Pads `size // 2` zeros on every side, as PyTorch does: TensorFlow's "SAME" shifts a strided convolution by a pixel
    on even sizes, which published weights do not forgive. Batch norm that runs on its moving statistics (frozen, or at
    inference) is folded into the kernel, so it costs no pass over the features.

    Args:
        dilation: cells from one tap of the kernel to the next, which the padding grows with; of stride 1 alone (Yu and
            Koltun 2016).
        pad: no zeros are added where it is false, and the output is `size - 1` cells shorter; of stride 1, undilated.
        many: it is 3x3, of stride 1, and has so many channels that `winograd` saves more than it costs, on a CPU and in
            float32.
        groups: the channels fall into so many groups, and an output sees those of its own (Xie et al. 2017); as many
            as the input has channels make the convolution depthwise.
        norm: "none" (then there is a bias), "frozen", "batch", "sync_batch" or "group" (32 groups; Wu and He 2018).
        zero_gamma: start with gamma at 0, so that a residual block starts as the identity (Goyal et al. 2017, 5.1).
        initializer: of the kernel.
    """

    def __init__(
        self,
        filters: int,
        size: int = 1,
        stride: int = 1,
        *,
        dilation: int = 1,
        pad: bool = True,
        many: bool = False,
        groups: int = 1,
        norm: str = "none",
        epsilon: float = 1e-5,
        relu: bool = False,
        zero_gamma: bool = False,
        initializer: keras.initializers.Initializer | None = None,
        name: str,
    ):
        super().__init__(name=name)
        if norm not in NORMS:
            raise ValueError(f"norm: {norm!r} is none of {', '.join(NORMS)}")
        if sum([stride > 1, dilation > 1, not pad]) > 1:
            raise ValueError(f"{name}: a convolution has one of a stride, a dilation and no padding")
        self.filters, self.size, self.stride, self.groups, self.relu = filters, size, stride, groups, relu
        self.dilation, self.pad, self.many = dilation, size // 2 if pad else 0, many
        # He et al. 2015, over the outputs, as torchvision initialises its ResNets.
        self.initializer = initializer or keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        self.norm = None
        gamma = "zeros" if zero_gamma else "ones"
        if norm == "group":
            groups = next(g for g in range(min(32, filters), 0, -1) if filters % g == 0)
            self.norm = keras.layers.GroupNormalization(groups, epsilon=epsilon, gamma_initializer=gamma, name="norm")
        elif norm != "none":
            self.norm = keras.layers.BatchNormalization(
                momentum=0.9,
                epsilon=epsilon,
                gamma_initializer=gamma,
                synchronized=norm == "sync_batch",
                trainable=norm != "frozen",
                name="norm",
            )

    def build(self, input_shape):
        shape = (self.size, self.size, input_shape[-1] // self.groups, self.filters)
        # In float32 whatever the layer computes in: where batch norm is folded into it, it is rounded once.
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.initializer, autocast=False)
        if self.norm is None:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        else:
            self.norm.build((None, None, None, self.filters))

    def call(self, x, training=False):
        kernel, norm = tf.convert_to_tensor(self.kernel), self.norm
        learns = training and self.trainable
        if norm is None:
            x = tf.nn.bias_add(self._convolve(x, kernel, learns), tf.convert_to_tensor(self.bias))
        elif isinstance(norm, keras.layers.GroupNormalization):
            x = self._convolve(x, kernel, learns)
            x = _of_groups(norm, x) if target.target() == "tflite" else norm(x)
        elif training and norm.trainable:
            x = self._convolve(x, kernel, learns)
            x = norm(x, training=True) if norm.synchronized else _of_batch(norm, x)
        else:
            gain, shift = _as_affine(norm)
            x = tf.nn.bias_add(self._convolve(x, kernel * gain, learns), tf.cast(shift, x.dtype))
        return tf.nn.relu(x) if self.relu else x

    def _convolve(self, x, kernel, learns=False):
        pad, kernel = self.pad, tf.cast(kernel, x.dtype)
        if 1 < self.groups == self.filters == x.shape[-1]:  # TensorFlow has a faster operation for a depthwise one.
            # Not by explicit padding: with a bias behind it, TensorFlow 2.21 ends the process when it makes a graph.
            x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
            strides = [1, self.stride, self.stride, 1]
            return tf.nn.depthwise_conv2d(x, tf.transpose(kernel, [0, 1, 3, 2]), strides, "VALID")
        if self.groups > 1 and target.on_cpu() and not target.has_grouped_gradients():
            groups = zip(tf.split(x, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
            return tf.concat([self._convolve_together(*group, learns) for group in groups], -1)
        return self._convolve_together(x, kernel, learns)

    def _convolve_together(self, x, kernel, learns):
        if self.many and x.dtype == tf.float32 and target.on_cpu():
            return winograd.conv2d(x, kernel, self.dilation)
        if self.dilation > 1 and x.shape[-1] == kernel.shape[2] and target.on_cpu():
            return dilated.conv2d(x, kernel, self.dilation)
        if self.stride == 1 or self.pad == 0:
            return tf.nn.conv2d(x, kernel, self.stride, "SAME" if self.pad else "VALID", dilations=self.dilation)
        return padded(tf.nn.conv2d, x, kernel, self.stride, pad=self.pad, learns=learns)


def _of_groups(norm, x):
    """What Keras' group norm computes of x [B, H, W, C], in four dimensions: a phone's GPU has no more."""
    channels = x.shape[-1]
    each = channels // norm.groups

    def mean(values):
        """That of its group for each channel, [B, 1, 1, C]."""
        of_channels = tf.reduce_mean(values, axis=[1, 2], keepdims=True)
        of_groups = tf.reduce_mean(tf.reshape(of_channels, [-1, 1, norm.groups, each]), axis=3, keepdims=True)
        return tf.reshape(tf.tile(of_groups, [1, 1, 1, each]), [-1, 1, 1, channels])

    with tf.name_scope("norm_1"):  # as Keras names it, by which files of few bits leave it in float32
        x -= mean(x)
        gain = tf.math.rsqrt(mean(tf.square(x)) + norm.epsilon) * tf.convert_to_tensor(norm.gamma)
        return x * gain + tf.convert_to_tensor(norm.beta)


class Composite(keras.layers.Layer):
    """A layer of layers, which has no variables but theirs.

    Keras builds a layer that has no `build` by a trace of its call, and in that each such layer in it by a trace of its
    own: the convolutions of a stage of a backbone would be gone through four times. Their first call builds them.
    """

    def build(self, input_shape):
        pass


class Backbone(Composite):
    """The network below a detector, a segmenter or a classifier: images [B, H, W, 3] to {level: [B, h, w, C]}.

    Attributes:
        channels: {level: C}.
        strides: {level: pixels from cell to cell}.
    """

    channels: dict[int, int]
    strides: dict[int, int]

    def normalize(self, image):
        """RGB images [B, H, W, 3] in 0..255 to mean 0 and deviation 1 over ImageNet."""
        return (image - tf.constant(PIXEL_MEAN)) / tf.constant(PIXEL_STD)

    def see(self, image):
        """`normalize`; where all is rounded to eight bits as one convolution, which rounds once and an NPU has."""
        if not target.integers():
            return self.normalize(image)
        zero = self.normalize(tf.zeros([1, 1, 1, 3]))
        # What it makes of each colour alone: all of it is a weighted sum of a pixel's colours, and a shift.
        kernel = (self.normalize(255 * tf.eye(3)[:, None, None, :]) - zero) / 255
        return tf.nn.conv2d(image, tf.transpose(kernel, [1, 2, 0, 3]), 1, "VALID") + zero[0, 0, 0]


class Dense(keras.layers.Dense):
    """A fully connected layer with PyTorch's default initialisation: uniform within 1 / sqrt(inputs)."""

    def __init__(self, units: int, **options):
        options.setdefault("kernel_initializer", keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"))
        super().__init__(units, **options)


def dropout(seed, rate: float, shape, purpose: int):
    """Gains [B, *shape] of the units of images: 0 of a share `rate` of them, and of the others what makes up for it.

    Those of an image depend on its seed alone, and not on how a batch is spread over devices.

    Args:
        seed: [B, 2] int32, of each image.
        purpose: sets these random numbers apart from all others that are drawn from the seeds.
    """
    if seed is None:
        raise ValueError("dropout needs the seed of each image")
    draws = tf.map_fn(
        lambda one: tf.random.stateless_uniform(shape, tf.random.fold_in(one, purpose)),
        seed,
        fn_output_signature=tf.float32,
    )
    return tf.where(draws < rate, 0.0, 1 / (1 - rate))


def padded(operation: Callable, x, *arguments, pad: int, learns: bool):
    """A convolution or pooling of features x [B, H, W, C] with `pad` zeros on every side.

    Where there will be a gradient (`learns`), the zeros are added first: on a CPU, TensorFlow 2.21 has fast gradients
    (oneDNN) only of operations without explicit padding. Else the operation pads, which saves a copy of x; TensorFlow
    Lite's poolings cannot.
    """
    padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
    first = learns or target.target() == "tflite"
    return operation(tf.pad(x, padding), *arguments, "VALID") if first else operation(x, *arguments, padding)


def _of_batch(norm: keras.layers.BatchNormalization, x):
    """What `norm(x, training=True)` does to x [B, H, W, C], as one operation, which saves many passes over x."""
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.convert_to_tensor(norm.gamma),
        offset=tf.convert_to_tensor(norm.beta),
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=norm.epsilon,
    )
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)
    variance *= (count - 1) / count  # It comes as the unbiased estimate; Keras averages the batch's own.
    statistics: Any = (norm.moving_mean, mean), (norm.moving_variance, variance)
    for moving, value in statistics:
        moving.assign(tf.convert_to_tensor(moving) * norm.momentum + value * (1 - norm.momentum))
    return y


def _as_affine(norm: keras.layers.BatchNormalization):
    """Gain [C] and shift [C] that a batch norm on its moving statistics amounts to.

    Weights may have dead channels, whose variance has shrunk to almost nothing, which TensorFlow takes for 0. With no
    epsilon, such a channel is its shift.
    """
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    gamma, beta, mean, variance = (tf.convert_to_tensor(getattr(norm, name)) for name in names)
    variance += norm.epsilon
    alive = variance >= _LEAST
    gain = tf.where(alive, gamma * tf.math.rsqrt(tf.where(alive, variance, 1.0)), 0.0)
    return gain, beta - mean * gain
