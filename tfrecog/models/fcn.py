"""Fully convolutional networks (Long, Shelhamer, Darrell 2015; Shelhamer, Long, Darrell 2017)."""

import keras
import tensorflow as tf

from tfrecog.config import SegmenterConfig
from tfrecog.models import backbone
from tfrecog.models.conv import Conv
from tfrecog.ops import upsampling

# Levels whose features are scored (figure 3 of the paper): level l has stride 2**l, and 3 to 5 are pool3 to pool5.
LEVELS = {"fcn32s": (5,), "fcn16s": (5, 4), "fcn8s": (5, 4, 3)}
# Sets the random numbers of dropout apart from those that the reader draws from an image's seed.
_PURPOSE = 2000


class Segmenter(keras.Model):
    """Logits [B, H, W, K] of images [B, H, W, 3] in 0..255, of any size; channel k is of label k + 1.

    The backbone has the name, and so its variables the paths, that it has in a classifier: one starts from the other.

    Args:
        config: what it was built from.
        head: turns the backbone's features into logits.
    """

    def __init__(
        self, config: SegmenterConfig, backbone: keras.layers.Layer, head: keras.layers.Layer, name: str = "segmenter"
    ):
        super().__init__(name=name, autocast=False)  # Pixels stay float32 until they are normalised.
        self.config, self.backbone, self.head = config, backbone, head

    def logits(self, image, training=False, seed=None):
        """{"main": [B, H, W, K] float32}.

        A layer that is first called here has a path without the segmenter's name in it.

        Args:
            seed: [B, 2] int32, of the dropout of each image; needed where there is dropout in training.
        """
        x, pad = self.backbone.normalize(image), self.config.padding - 1  # The first convolution pads by 1 itself.
        if pad > 0:
            x = tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        features = self.backbone(x, training=training)
        return {"main": self.head(features, tf.shape(image)[1:3], training=training, seed=seed)}

    def call(self, image, training=False):
        return self.logits(image, training)["main"]


class SkipHead(keras.layers.Layer):
    """Scores of the last map, upsampled step by step and added to those of finer maps, up to the image's size.

    Where the maps lie: of a network whose strides are those of odd convolutions and poolings of k x k that are padded
    by k // 2 (a ResNet), cell i of level l is centred at pixel 2**l * i, whatever the image's size, and there are
    ceil(H / 2**l) cells; with poolings of 2x2 (VGG16), at 2**l * i + (2**l - 1) / 2. So upsampling twofold
    puts the cells of level l + 1 exactly on those of level l; what sticks out at the end, where a size is odd, is cut.
    """

    def __init__(self, config: SegmenterConfig, backbone: keras.layers.Layer, num_classes: int, name: str = "head"):
        super().__init__(name=name)
        self.config, self.half_pixels = config, backbone.half_pixels
        zeros = keras.initializers.Zeros()
        self.hidden = []
        if config.fc_channels:
            norm = {"norm": config.backbone.norm, "epsilon": config.backbone.norm_epsilon}
            self.hidden = [
                Conv(config.fc_channels, config.fc_size, relu=True, **norm, name="fc6"),
                Conv(config.fc_channels, 1, relu=True, **norm, name="fc7"),
            ]
        self.score = Conv(num_classes, 1, initializer=zeros, name="score")
        self.skips = [Conv(num_classes, 1, initializer=zeros, name=f"score_pool{l}") for l in LEVELS[config.name][1:]]

    def call(self, features, size, training=False, seed=None):
        """Logits [B, H, W, K] for an image of that size from features {level: [B, h, w, C]}."""
        level, *finer = LEVELS[self.config.name]
        x = features[level]
        for place, conv in enumerate(self.hidden):
            x = conv(x, training=training)
            if training and self.config.dropout:
                x = dropout(x, seed, self.config.dropout, _PURPOSE + place)
        scores = tf.cast(self.score(x), tf.float32)
        for level, conv, scale in zip(finer, self.skips, self.config.skip_scales, strict=False):
            skip = tf.cast(conv(features[level] * scale), tf.float32)
            scores = upsampling.resize(scores, 2, self.half_pixels)
            scores = scores[:, : tf.shape(skip)[1], : tf.shape(skip)[2]] + skip
        return upsampling.resize(scores, 2**level, self.half_pixels)[:, : size[0], : size[1]]


def dropout(x, seed, rate, purpose):
    """x [B, h, w, C] in which a share of the units is 0, and the others make up for it.

    An image's depend on its seed alone, and not on how a batch is spread over devices.
    """
    if seed is None:
        raise ValueError("dropout needs the seed of each image")
    draws = tf.map_fn(
        lambda one: tf.random.stateless_uniform(tf.shape(x)[1:], tf.random.fold_in(one, purpose)),
        seed,
        fn_output_signature=tf.TensorSpec(x.shape[1:], tf.float32),
    )
    return tf.where(draws < rate, tf.zeros([], x.dtype), x / (1 - rate))


def build(config: SegmenterConfig, num_classes: int) -> Segmenter:
    """The network that `config.name` names; its variables come with the first image."""
    network = backbone.build(config.backbone)
    return Segmenter(config, network, SkipHead(config, network, num_classes))
