"""What the detectors of the family differ in: the network that makes features, their levels, and the trunk of a roi."""

from typing import NamedTuple

import keras

from tfrecog.config import DetectorConfig
from tfrecog.models.backbones import build as backbone
from tfrecog.models.backbones import resnet
from tfrecog.models.detector.fpn import Fpn
from tfrecog.models.detector.heads import DenseTrunk, Res5


class Parts(NamedTuple):
    """Of one detector."""

    backbone: keras.layers.Layer
    neck: keras.layers.Layer | None
    trunk: keras.layers.Layer
    strides: dict[int, int]  # of the levels of the features, pixels from cell to cell
    pooled_levels: tuple[int, ...]  # those that rois are pooled from
    channels: int  # that the RPN sees, if there is one


def build(config: DetectorConfig) -> Parts:
    """The parts that `config.pool` and `config.neck` name."""
    if config.pool == "warp":
        return Parts(backbone.of_crops(config.backbone), None, DenseTrunk(config.box), {}, (), 0)
    return {"fpn": _fpn, "c4": _c4, "single": _single}[config.neck](config)


def _fpn(config):
    """A feature pyramid (Lin et al. 2017)."""
    sizes, every = len(config.rpn.anchor_sizes), config.rpn.every_size
    network = backbone.build(config.backbone, last=5 if every else 1 + min(4, sizes))
    extra = 1 if every else sizes - len(network.strides)
    neck = Fpn(config.fpn, dict(network.strides), extra)
    # Equation 1 knows one level of each stride; MobileNetV3's second map of stride 32 is for the RPN alone.
    pooled = tuple(level for level, stride in network.strides.items() if stride == 2**level)
    return Parts(network, neck, DenseTrunk(config.box), dict(neck.strides), pooled, config.fpn.channels)


def _c4(config):
    """The map of stride 16 of a ResNet, with its last stage as the trunk (He et al. 2016)."""
    network = backbone.build(config.backbone, last=4)
    trunk = Res5(resnet.stage(config.backbone, 5))
    return Parts(network, None, trunk, {4: 16}, (4,), network.channels[4])


def _single(config):
    """One map, with fully connected layers as the trunk (Girshick 2015, Ren et al. 2015)."""
    level, network = config.level, backbone.single(config.backbone, config.level)
    return Parts(network, None, DenseTrunk(config.box), {level: 2**level}, (level,), network.channels[level])
