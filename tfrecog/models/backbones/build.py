"""The network under a detector or an FCN, by its name, or that of a roi."""

import keras
import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models.backbones import keras_backbone, mobilenet_v3, resnet
from tfrecog.models.backbones.alexnet import AlexNet
from tfrecog.models.backbones.vgg import Vgg16
from tfrecog.models.backbones.zf import Zf

# Networks that end with a max pooling of so many cells and fully connected layers, and their map before it, conv5.
LAST_POOLING = {"alexnet": 3, "zf": 3, "vgg16": 2}


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
    return keras_backbone.KerasBackbone(config, last)


def single(config: BackboneConfig, level: int) -> keras.layers.Layer:
    """The backbone of a detector on the one map of `level`, whose cells are 2**level pixels apart.

    Of the networks that end with a pooling it is conv5 (stride 16; Girshick 2015).
    """
    return _with_conv5(config, centred=True) or build(config, last=level)


def of_crops(config: BackboneConfig) -> keras.layers.Layer:
    """The backbone of R-CNN, which sees a crop as a classifier does."""
    return _with_conv5(config, centred=False) or build(config)


def summary(config: BackboneConfig, features: dict):
    """What a classifier's fully connected layers see of a crop's features: [n, h, w, C] of {level: [n, H, W, C]}.

    The last map, max pooled as in the network's paper, or its mean over all places (ResNets).
    """
    x = features[max(features)]
    if config.name in LAST_POOLING:
        return tf.nn.max_pool2d(x, LAST_POOLING[config.name], 2, "VALID")
    if config.name == "keras_vgg16":  # Its last map is pooled.
        return x
    return tf.reduce_mean(tf.cast(x, tf.float32), axis=[1, 2], keepdims=True)


def _with_conv5(config, centred):
    if config.name == "vgg16":
        return Vgg16(frozen_stages=config.frozen_stages)
    if config.name == "alexnet":
        return AlexNet(centred, config.frozen_stages)
    return Zf(config.frozen_stages) if config.name == "zf" else None


# As their papers write them; of ResNets it follows from the name.
_TITLES = {
    "resnext50_32x4d": "ResNeXt-50",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "vgg16": "VGG-16",
    "alexnet": "AlexNet",
    "zf": "ZF",
    "keras_resnet50": "Keras' ResNet-50",
    "keras_resnet101": "Keras' ResNet-101",
    "keras_vgg16": "Keras' VGG-16",
    "keras_mobilenet_v2": "Keras' MobileNetV2",
    "keras_mobilenet_v3_small": "Keras' MobileNetV3-Small",
    "keras_mobilenet_v3_large": "Keras' MobileNetV3-Large",
    "keras_efficientnet_v2_b0": "Keras' EfficientNetV2-B0",
}


def title(name: str) -> str:
    """A backbone's name for people: `ResNet-50` of resnet50."""
    return _TITLES.get(name, name.replace("resnet", "ResNet-"))
