"""ResNet (He et al. 2015) and ResNeXt (Xie et al. 2017), as torchvision and detectron2 have them."""

import tensorflow as tf

from tfrecog.config import BackboneConfig
from tfrecog.models.layers import Backbone, Composite, Conv, padded

# Blocks of res2..res5, and whether a block is a bottleneck (table 1 of both papers).
BLOCKS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
    "resnet152": ((3, 8, 36, 3), True),
    "resnext50_32x4d": ((3, 4, 6, 3), True),
}
# Groups of a bottleneck's 3x3 convolution, which is twice as wide where there are several.
GROUPS = {"resnext50_32x4d": 32}


class Block(Composite):
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 with four times the channels, beside a shortcut (figure 5).

    Args:
        channels: of the 3x3 convolutions, before ResNeXt's widening.
        bottleneck: the second of these forms.
        project: the shortcut is a 1x1 convolution.
        groups: of a bottleneck's 3x3 convolution.
        stride_in_1x1: a bottleneck's stride is in its first convolution.
        norm: `norm` and `epsilon` of every convolution.
        dilation: of its 3x3 convolutions.
        zero_gamma: it starts as the identity, or as its shortcut (Goyal et al. 2017, section 5.1).
    """

    def __init__(
        self,
        channels: int,
        stride: int,
        bottleneck: bool,
        project: bool,
        norm: dict,
        name: str,
        groups: int = 1,
        stride_in_1x1: bool = False,
        zero_gamma: bool = False,
        dilation: int = 1,
    ):
        super().__init__(name=name)
        if bottleneck:
            first, second = (stride, 1) if stride_in_1x1 else (1, stride)
            width = channels if groups == 1 else 2 * channels
            # The dilated res5. At 256 channels it gains nothing yet.
            many = dilation > 1 and groups == 1 and width >= 512
            self.convs = [
                Conv(width, 1, first, relu=True, **norm, name="conv1"),
                Conv(width, 3, second, dilation=dilation, many=many, groups=groups, relu=True, **norm, name="conv2"),
                Conv(4 * channels, 1, zero_gamma=zero_gamma, **norm, name="conv3"),
            ]
        else:
            self.convs = [
                Conv(channels, 3, stride, dilation=dilation, relu=True, **norm, name="conv1"),
                Conv(channels, 3, dilation=dilation, zero_gamma=zero_gamma, **norm, name="conv2"),
            ]
        out = self.convs[-1].filters
        self.shortcut = Conv(out, 1, stride, **norm, name="shortcut") if project else None

    def call(self, x, training=False):
        y = x
        for conv in self.convs:
            y = conv(y, training=training)
        return tf.nn.relu(y + (x if self.shortcut is None else self.shortcut(x, training=training)))


class Stage(Composite):
    """A row of blocks of one resolution; the first has the stride and, where it is needed, the projection.

    Args:
        dilations: of the first block, and of the others; where the others' is greater, there is no stride.
    """

    def __init__(
        self,
        blocks: int,
        channels: int,
        stride: int,
        bottleneck: bool,
        name: str,
        dilations: tuple[int, int] = (1, 1),
        **options,
    ):
        super().__init__(name=name)
        project = bottleneck or stride > 1
        if dilations[1] > dilations[0]:
            stride = 1
        self.blocks = [
            Block(
                channels,
                stride if i == 0 else 1,
                bottleneck,
                project and i == 0,
                name=f"block{i + 1}",
                dilation=dilations[min(i, 1)],
                **options,
            )
            for i in range(blocks)
        ]
        self.channels = self.blocks[-1].convs[-1].filters

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x, training=training)
        return x


class ResNet(Backbone):
    """[B, H, W, 3] to {level: [B, H / 2**level, W / 2**level, C]} for the levels 2 to `last`.

    The first `config.frozen_stages` stages do not learn, and their batch norm runs on its moving statistics.

    Args:
        zero_gamma: as of `Block`.
        dilated: res4 and res5 have no stride, and what comes behind the stride that they lack is dilated by as much:
            all maps from level 3 on have stride 8 (torchvision's fcn_resnet50).
    """

    half_pixels = False  # Cell i of level l is centred at pixel 2**l * i: every stride is of an odd, padded window.

    def __init__(
        self,
        config: BackboneConfig,
        last: int = 5,
        name: str = "backbone",
        zero_gamma: bool = False,
        dilated: bool = False,
    ):
        super().__init__(name=name)
        norm = {"norm": config.norm, "epsilon": config.norm_epsilon}
        self.stem = Conv(config.width, 7, 2, relu=True, **norm, name="stem")
        dilations = {4: (1, 2), 5: (2, 4)} if dilated else {}
        self.stages = [stage(config, level, zero_gamma, dilations.get(level, (1, 1))) for level in range(2, last + 1)]
        self.channels = {level: layer.channels for level, layer in enumerate(self.stages, start=2)}
        self.strides = {level: 8 if level in dilations else 2**level for level in self.channels}
        for frozen in [self.stem, *self.stages][: config.frozen_stages]:
            frozen.trainable = False

    def call(self, image, training=False):
        x = self.stem(image, training=training)
        # Zeros are the smallest values after a ReLU, so padding with them changes no maximum.
        x = padded(tf.nn.max_pool2d, x, 3, 2, pad=1, learns=training and self.stem.trainable)
        features = {}
        for level, layer in enumerate(self.stages, start=2):
            x = features[level] = layer(x, training=training)
        return features


def stage(config: BackboneConfig, level: int, zero_gamma: bool = False, dilations: tuple[int, int] = (1, 1)) -> Stage:
    """The stage res`level`, of level 2 to 5; `dilations` as of `Stage`."""
    blocks, bottleneck = BLOCKS[config.name]
    return Stage(
        blocks[level - 2],
        config.width * 2 ** (level - 2),
        1 if level == 2 else 2,
        bottleneck,
        name=f"res{level}",
        dilations=dilations,
        groups=GROUPS.get(config.name, 1),
        stride_in_1x1=config.stride_in_1x1,
        zero_gamma=zero_gamma,
        norm={"norm": config.norm, "epsilon": config.norm_epsilon},
    )
