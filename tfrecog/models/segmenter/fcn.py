"""Fully convolutional networks (Long, Shelhamer, Darrell 2015; Shelhamer, Long, Darrell 2017)."""

import keras
import tensorflow as tf

from tfrecog.config import SegmenterConfig
from tfrecog.models.backbones import build as backbone
from tfrecog.models.segmenter.heads import ConvHead, SkipHead


class Segmenter(keras.Model):
    """Logits [B, H, W, K] of images [B, H, W, 3] in 0..255, of any size; channel k is of label k + 1.

    The backbone has the name, and so its variables the paths, that it has in a classifier: one starts from the other.

    Args:
        config: what it was built from.
        head: turns the backbone's features into logits.
        aux: does so too, in training alone.
        zeros: so many pixels of them are put around the normalised image.
    """

    def __init__(
        self,
        config: SegmenterConfig,
        backbone: keras.layers.Layer,
        head: keras.layers.Layer,
        aux: keras.layers.Layer | None = None,
        zeros: int = 0,
        name: str = "segmenter",
    ):
        super().__init__(name=name, autocast=False)  # Pixels stay float32 until they are normalised.
        self.config, self.backbone, self.head, self.aux, self.zeros = config, backbone, head, aux, zeros

    def logits(self, image, training=False, seed=None):
        """{"main": [B, H, W, K] float32}, and in training "auxiliary" too where there is a second head.

        A layer that is first called here has a path without the segmenter's name in it.

        Args:
            seed: [B, 2] int32, of the dropout of each image; needed where there is dropout in training.
        """
        x, size = self.backbone.see(image), tf.shape(image)[1:3]
        if self.zeros:
            x = tf.pad(x, [[0, 0], [self.zeros] * 2, [self.zeros] * 2, [0, 0]])
        features = self.backbone(x, training=training)
        outputs = {"main": self.head(features, size, training=training, seed=seed)}
        if self.aux is not None and (training or not self.aux.built):
            outputs["auxiliary"] = self.aux(features, size, training=training, seed=seed)
        return outputs

    def call(self, image, training=False):
        return self.logits(image, training)["main"]


def build(config: SegmenterConfig, num_classes: int) -> Segmenter:
    """The network that `config.name` names; its variables come with the first image."""
    if config.name == "fcn_dilated":
        network = backbone.build(config.backbone, dilated=True)
        aux = ConvHead(config, network, 4, num_classes, name="aux") if config.auxiliary else None
        return Segmenter(config, network, ConvHead(config, network, 5, num_classes, name="head"), aux)
    network = backbone.build(config.backbone)
    # The paper's zeros are those of the first convolution, instead of the one that it adds itself.
    zeros = max(config.padding - 1, 0)
    return Segmenter(config, network, SkipHead(config, network, num_classes, zeros), zeros=zeros)
