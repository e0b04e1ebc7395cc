"""What the R-CNN family does with the pooled features of a roi: trunks, box predictor, mask and keypoint heads."""

import math

import keras
import tensorflow as tf

from tfrecog.config import BoxConfig, KeypointConfig, MaskConfig
from tfrecog.models.backbones.resnet import Stage
from tfrecog.models.layers import Composite, Conv, Dense, dropout

_PURPOSE = 1000  # of the random numbers of dropout


class DenseTrunk(keras.layers.Layer):
    """3x3 convolutions, then fully connected layers: [B, R, ...] to [B, R, units] (Lin et al. 2017, section 5.2).

    Two dense layers and no convolution in the paper; Wu and He 2018 have four convolutions and one dense layer. With
    `config.svd` each dense layer is the second of two, with no nonlinearity between them (Girshick 2015, section 3.1).
    """

    def __init__(self, config: BoxConfig, name: str = "trunk"):
        super().__init__(name=name)
        self.rate = config.dropout
        self.convs = [
            Conv(config.channels, 3, norm=config.norm, relu=True, name=f"conv{i + 1}") for i in range(config.convs)
        ]
        self.narrow = [Dense(rank, use_bias=False, name=f"dense{i + 1}_svd") for i, rank in enumerate(config.svd)]
        self.dense = [
            Dense(config.hidden_units, activation="relu", name=f"dense{i + 1}") for i in range(config.hidden_layers)
        ]

    def build(self, input_shape):
        size = math.prod(input_shape[2:4]) * self.convs[-1].filters if self.convs else math.prod(input_shape[2:])
        self.units = self.dense[-1].units if self.dense else size

    def call(self, pooled, training=False, seed=None):
        """`seed` [B, 2] int32 is needed where there is dropout in training."""

        def convolved(x):
            for conv in self.convs:
                x = conv(x, training=training)
            return x

        x, gains = of_each_roi(convolved, pooled), None
        x = tf.reshape(x, [*_leading(x), math.prod(x.shape[2:])])
        if training and self.dense and self.rate:
            units = [_leading(x)[1], sum(dense.units for dense in self.dense)]
            gains = tf.split(dropout(seed, self.rate, units, _PURPOSE), len(self.dense), axis=2)
        for i, dense in enumerate(self.dense):
            x = dense(self.narrow[i](x) if self.narrow else x)
            x = tf.cast(gains[i], x.dtype) * x if gains else x
        return x


class Res5(Composite):
    """The last stage of a ResNet on every roi: [B, R, S, S, C] to [B, R, S / 2, S / 2, C'] (He et al. 2016)."""

    def __init__(self, res5: Stage, name: str = "trunk"):
        super().__init__(name=name)
        self.res5 = res5

    def call(self, pooled, training=False, seed=None):
        return of_each_roi(lambda x: self.res5(x, training=training), pooled)


class BoxPredictor(Composite):
    """Class logits [B, R, K + 1], background first, and deltas [B, R, K, 4] of trunk outputs (Girshick 2015)."""

    def __init__(self, num_classes: int, name: str = "box"):
        super().__init__(name=name)
        normal = keras.initializers.RandomNormal
        self.num_classes = num_classes
        self.logits = keras.layers.Dense(num_classes + 1, kernel_initializer=normal(stddev=0.01), name="logits")
        self.deltas = keras.layers.Dense(4 * num_classes, kernel_initializer=normal(stddev=0.001), name="deltas")

    def call(self, x):
        if len(x.shape) == 5:  # C4: global average pooling of res5.
            x = tf.reduce_mean(tf.cast(x, tf.float32), axis=[2, 3])
        logits, deltas = tf.cast(self.logits(x), tf.float32), tf.cast(self.deltas(x), tf.float32)
        return logits, tf.reshape(deltas, [*_leading(x), self.num_classes, 4])


class MaskHead(Composite):
    """Convolutions, a deconvolution, and a mask for each class: [B, R, S, S, C] to logits [B, R, 2 S, 2 S, K]."""

    def __init__(self, config: MaskConfig, num_classes: int, layers: int, name: str = "mask"):
        super().__init__(name=name)
        self.convs = [Conv(config.channels, 3, norm=config.norm, relu=True, name=f"conv{i + 1}") for i in range(layers)]
        he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        # Kernel 2, stride 2: no two inputs meet in an output, so it is a 1x1 convolution to four pixels.
        self.deconv = keras.layers.Conv2DTranspose(
            config.channels, 2, 2, activation="relu", kernel_initializer=he, name="deconv"
        )
        self.logits = Conv(num_classes, 1, name="logits")

    def call(self, pooled, training=False):
        def logits(x):
            for conv in self.convs:
                x = conv(x, training=training)
            return tf.cast(self.logits(self.deconv(x)), tf.float32)

        return of_each_roi(logits, pooled)


class KeypointHead(Composite):
    """Convolutions, a deconvolution and a bilinear x2: [B, R, S, S, C] to heat maps (logits) [B, R, 4 S, 4 S, J].

    (He et al. 2017, section 5.)
    """

    def __init__(self, config: KeypointConfig, num_keypoints: int, name: str = "keypoint"):
        super().__init__(name=name)
        self.convs = [Conv(config.channels, 3, relu=True, name=f"conv{i + 1}") for i in range(config.convs)]
        he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        # Kernel 4, stride 2: "same" cuts one row or column on each side, which makes 2 S of them (PyTorch's padding=1).
        self.deconv = keras.layers.Conv2DTranspose(
            num_keypoints, 4, 2, padding="same", kernel_initializer=he, name="deconv"
        )

    def call(self, pooled):
        def logits(x):
            for conv in self.convs:
                x = conv(x)
            x = tf.cast(self.deconv(x), tf.float32)
            return tf.image.resize(x, [2 * x.shape[1], 2 * x.shape[2]], "bilinear")

        return of_each_roi(logits, pooled)


def of_each_roi(function, pooled):
    """[B, R, ...] of a function of [n, ...], on what is pooled of rois [B, R, S, S, C]."""
    x = function(tf.reshape(pooled, [-1, *pooled.shape[2:]]))
    return tf.reshape(x, [*_leading(pooled), *x.shape[1:]])


def _leading(x) -> list:
    """The first two dimensions, static where known."""
    return [tf.shape(x)[i] if x.shape[i] is None else x.shape[i] for i in (0, 1)]
