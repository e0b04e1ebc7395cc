"""The network under a detector or an FCN, by its name."""

import keras

from tfrecog.config import BackboneConfig
from tfrecog.models import keras_backbone, mobilenet_v3, resnet
from tfrecog.models.vgg import Vgg16


def build(config: BackboneConfig, last: int = 5, dilated: bool = False) -> keras.layers.Layer:
    """The backbone that `config.name` names, up to the level `last` where it has levels to leave out.

    It turns normalised images [B, H, W, 3] into {level: [B, h, w, C]}. Its `channels` and `strides` are
    {level: C} and {level: pixels from cell to cell}; `normalize` turns images in 0..255 into what it expects.
    `dilated` is as of `resnet.ResNet`. VGG16 is as of `vgg.Vgg16`, pooled, and has no normalisation.
    """
    if config.name in resnet.BLOCKS:
        return resnet.ResNet(config, last, dilated=dilated)
    if config.name == "vgg16":
        return Vgg16(pooled=True, frozen_stages=config.frozen_stages)
    if config.name == "mobilenet_v3_large":
        return mobilenet_v3.MobileNetV3(config)
    if config.name in keras_backbone.NETWORKS:
        return keras_backbone.KerasBackbone(config, last)
    raise ValueError(f"{config.name!r} is not a network that this version can build")
