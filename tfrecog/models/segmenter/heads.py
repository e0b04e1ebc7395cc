"""From a backbone's features to the logits of every pixel: the skips of Long et al. 2015, and torchvision's head."""

import keras
import tensorflow as tf

from tfrecog.config import SegmenterConfig
from tfrecog.models.layers import Composite, Conv, dropout
from tfrecog.ops import upsampling

# Levels whose features are scored (figure 3 of the paper): level l has stride 2**l, and 3 to 5 are pool3 to pool5.
LEVELS = {"fcn32s": (5,), "fcn16s": (5, 4), "fcn8s": (5, 4, 3)}
# Of the random numbers of dropout.
_PURPOSES = {"fc6": 2000, "fc7": 2001, "head": 2002, "aux": 2003}


class SkipHead(Composite):
    """Scores of the last map, upsampled step by step and added to those of finer maps, up to the image's size.

    Where cells lie, in pixel indices. Of a network whose strides are those of odd convolutions and poolings, k x k
    padded by k // 2 (a ResNet), cell i of level l is centred at pixel 2**l * i, whatever the image's size, and there
    are ceil(H / 2**l) cells: each layer maps cell i to 2 i of the layer before. With poolings of 2x2 (VGG16) cell i
    covers the pixels from 2**l * i on, so its centre is 2**l * i + (2**l - 1) / 2. Zeros around the image shift all
    that, and fc6, which is not padded then, begins fc_size // 2 cells later. `call` keeps account of the centre of
    each map's first cell, and what it crops follows: of the paper's network 19 pixels of FCN-32s, 5 and 27 of 16s, 5,
    9 and 31 of 8s, as in the authors' definitions.

    Args:
        zeros: pixels around the image. 0: maps cover the image, and their borders are repeated to interpolate there;
            else deconvolutions see zeros around a map, as the paper's.
    """

    def __init__(
        self, config: SegmenterConfig, backbone: keras.layers.Layer, num_classes: int, zeros: int, name: str = "head"
    ):
        super().__init__(name=name)
        self.config, self.zeros, self.half_pixels = config, zeros, backbone.half_pixels
        score = {"initializer": keras.initializers.Zeros()}
        finer = LEVELS[config.name][1:]
        self.hidden = _hidden(config, pad=not zeros) if config.fc_channels else []
        self.score = Conv(num_classes, 1, **score, name="score")
        self.skips = {level: Conv(num_classes, 1, **score, name=f"score_pool{level}") for level in finer}
        # The last one stays bilinear, in the paper too.
        names = ("upscore2", "upscore_pool4")[: len(finer) if config.upsampling == "learned" else 0]
        edge = not zeros
        self.upscores = [Upsampling(2, self.half_pixels, edge, name=name) for name in names]

    def call(self, features, size, training=False, seed=None):
        """Logits [B, H, W, K] for an image of that size from features {level: [B, h, w, C]}."""
        level, *finer = LEVELS[self.config.name]
        x, first = features[level], self._centre(level)
        for conv in self.hidden:
            x = conv(x, training=training)
            first += 0 if conv.pad or conv.size == 1 else 2**level * (conv.size // 2)
            if training and self.config.dropout:
                x = _dropped(x, seed, self.config.dropout, conv.name)
        scores = tf.cast(self.score(x), tf.float32)
        for step, (level, scale) in enumerate(zip(finer, self.config.skip_scales, strict=False)):
            skip = tf.cast(self.skips[level](features[level]), tf.float32)
            if scale != 1:  # The features' factor, after the fact: in 16 bits a ten-thousandth of one would be lost.
                skip = scale * skip + (1 - scale) * tf.cast(self.skips[level].bias, tf.float32)
            grown = self.upscores[step](scores) if self.upscores else self._upsample(scores, 2)
            first = self._centre_after(first, 2 ** (level + 1), 2)
            ahead = round((first - self._centre(level)) / 2**level)  # cells that `skip` begins earlier
            scores, skip = grown[:, max(0, -ahead) :, max(0, -ahead) :], skip[:, max(0, ahead) :, max(0, ahead) :]
            height, width = (tf.minimum(tf.shape(scores)[axis], tf.shape(skip)[axis]) for axis in (1, 2))
            scores = scores[:, :height, :width] + skip[:, :height, :width]
        grown = self._upsample(scores, 2**level)
        start = round(-self._centre_after(first, 2**level, 2**level))
        return grown[:, start : start + size[0], start : start + size[1]]

    def _centre(self, level):
        """Pixel index of the centre of the first cell of a level of the backbone."""
        return ((2**level - 1) / 2 if self.half_pixels else 0) - self.zeros

    def _centre_after(self, first, stride, factor):
        """The same of a map with that centre and stride after `_upsample`."""
        cell = stride // factor
        if self.zeros:  # The first cell is centred at (2 * factor - 1) / 2 of the new ones.
            return first - cell * (factor - 0.5)
        return first - (stride - cell) / 2 if self.half_pixels else first

    def _upsample(self, scores, factor):
        if self.zeros:
            return upsampling.resize_in_zeros(scores, factor)
        return upsampling.resize(scores, factor, self.half_pixels)


class Upsampling(keras.layers.Layer):
    """A deconvolution that starts as bilinear interpolation and learns; see `upsampling.deconvolve`.

    Args:
        half_pixels: how cells lie; see `upsampling`.
        edge: of `deconvolve`.
    """

    def __init__(self, factor: int, half_pixels: bool, edge: bool, name: str):
        super().__init__(name=name, autocast=False)  # Scores are float32, whatever the network computes in.
        self.factor, self.half_pixels, self.edge = factor, half_pixels, edge

    def build(self, input_shape):
        start = upsampling.bilinear(self.factor, self.half_pixels, input_shape[-1])
        self.kernel = self.add_weight(
            name="kernel", shape=start.shape, initializer=keras.initializers.Constant(start), autocast=False
        )

    def call(self, x):
        return upsampling.deconvolve(x, tf.convert_to_tensor(self.kernel), self.factor, self.edge)


class ConvHead(Composite):
    """A 3x3 convolution to a quarter of the channels, then a logit for each class, resized to the image bilinearly.

    Args:
        level: of the features that it reads.
    """

    def __init__(self, config: SegmenterConfig, backbone: keras.layers.Layer, level: int, num_classes: int, name: str):
        super().__init__(name=name)
        self.config, self.level = config, level
        channels = backbone.channels[level]
        # ResNet-50's 2048 are a quarter of all its products.
        self.conv = Conv(channels // 4, 3, relu=True, many=channels >= 1024, **_norm(config), name="conv")
        self.logits = Conv(num_classes, 1, name="logits")

    def call(self, features, size, training=False, seed=None):
        """Logits [B, H, W, K] for an image of that size from features {level: [B, h, w, C]}."""
        x = self.conv(features[self.level], training=training)
        if training and self.config.dropout:
            x = _dropped(x, seed, self.config.dropout, self.name)
        scores = tf.cast(self.logits(x), tf.float32)
        return tf.raw_ops.ResizeBilinear(images=scores, size=size, half_pixel_centers=True)


def _dropped(x, seed, rate, layer):
    gains = tf.ensure_shape(dropout(seed, rate, tf.shape(x)[1:], _PURPOSES[layer]), x.shape)
    return x * tf.cast(gains, x.dtype)


def _hidden(config, pad):
    """fc6 and fc7 as convolutions (section 3.1)."""
    channels, norm = config.fc_channels, _norm(config)
    return [
        Conv(channels, config.fc_size, pad=pad, relu=True, **norm, name="fc6"),
        Conv(channels, 1, relu=True, **norm, name="fc7"),
    ]


def _norm(config):
    """Normalisation of a head's convolutions: the backbone's, but not frozen, for they start anew. VGG16 has none."""
    section = config.backbone
    norm = "batch" if section.norm == "frozen" else section.norm
    return {"norm": "none" if section.name == "vgg16" else norm, "epsilon": section.norm_epsilon}
