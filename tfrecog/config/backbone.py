"""Settings of the network under a detector or a segmenter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tfrecog.cli.facts import BakedInto, Freezes, NonNegative, Positive, Unless, When

Norm = Literal["none", "frozen", "batch", "sync_batch", "group"]
BackboneNorm = Literal["frozen", "batch", "sync_batch", "group"]
Network = Literal[
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "mobilenet_v3_large",
    "vgg16", "alexnet", "zf", "keras_resnet50", "keras_resnet101", "keras_vgg16", "keras_mobilenet_v2",
    "keras_mobilenet_v3_small", "keras_mobilenet_v3_large", "keras_efficientnet_v2_b0",
]  # fmt: skip

KERAS_NETWORKS = tuple(name for name in get_args(Network) if name.startswith("keras_"))
_PATHS = ("backbone/", "trunk/res5/")  # of variables
_IN_BACKBONE = BakedInto(*_PATHS)
SINGLE_MAP = ("alexnet", "vgg16", "zf")  # networks of one map, conv5, without normalisation


@dataclass(frozen=True)
class BackboneConfig:
    """The network under a detector or an FCN: a ResNet (He et al. 2015), MobileNetV3, VGG16, or one of Keras'."""

    name: Annotated[
        Network,
        "Network. Those without keras_ are torchvision's, except zf (Zeiler and Fergus 2014). vgg16 is for FCNs and, "
        "like alexnet and zf, for detectors on a single map.",
    ] = "resnet50"
    weights: Annotated[
        str,
        "Pretrained weights of a keras_ network: `imagenet` (downloaded into Keras' cache) or a weights file (.h5). "
        "Empty: random.",
        When(".name", *KERAS_NETWORKS),
    ] = ""
    norm: Annotated[
        BackboneNorm,
        "Normalisation: frozen batch norm (for pretrained weights), batch norm of each replica, batch norm over all "
        "replicas, or group norm.",
        Unless(".name", *SINGLE_MAP),
        Freezes(*_PATHS, instead=("group", "batch")),
    ] = "frozen"
    norm_epsilon: Annotated[
        float, "Added to the variance.", NonNegative(), Unless(".name", *SINGLE_MAP, *KERAS_NETWORKS), _IN_BACKBONE
    ] = 1e-5
    width: Annotated[
        int,
        "Channels of a ResNet's first stage; 64 in the paper.",
        Positive("channels"),
        Unless(".name", "mobilenet_v3_large", *SINGLE_MAP, *KERAS_NETWORKS),
    ] = 64
    stride_in_1x1: Annotated[
        bool,
        "A bottleneck's stride is in its first 1x1 convolution (the paper, detectron2), not in the 3x3 (torchvision).",
        When(".name", "resnet50", "resnet101", "resnet152", "resnext50_32x4d"),
        _IN_BACKBONE,
    ] = False
    frozen_stages: Annotated[
        int,
        "Stages that are not trained: 0 none, 1 the stem, 2 the stem and res2, ...",
        NonNegative("stages"),
        Freezes(*_PATHS, instead=(0,)),
    ] = 2

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        stages, most = "the stem and res2 to res5", 5
        if self.name == "mobilenet_v3_large":
            stages, most = "from the stem on", 6
        elif self.name in KERAS_NETWORKS:
            stages = "the levels 1 to 5"
        elif self.name in SINGLE_MAP:
            stages = "conv1 to conv5"
        if self.frozen_stages > most:
            yield "frozen_stages", f"{self.name} has {most}, {stages}"
        if self.name in KERAS_NETWORKS and self.norm == "group":
            yield "norm", f"{self.name} has batch norm: choose frozen, batch or sync_batch"
