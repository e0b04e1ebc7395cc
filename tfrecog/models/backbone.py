"""The network under a detector, by its name."""

import keras

from tfrecog.config import BackboneConfig
from tfrecog.models import resnet


def build(config: BackboneConfig, last: int = 5) -> keras.layers.Layer:
    """The backbone that `config.name` names, up to the level `last`.

    It turns normalised images [B, H, W, 3] into {level: [B, h, w, C]}. Its `channels` and `strides` are
    {level: C} and {level: pixels from cell to cell}; `normalize` turns images in 0..255 into what it expects.
    """
    return resnet.ResNet(config, last)
