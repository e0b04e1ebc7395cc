"""Settings that choose a detector of the family, and the rules between its parts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, Positive, Range, Resumable, Unless, When
from tfrecog.config.backbone import KERAS_NETWORKS, SINGLE_MAP, BackboneConfig
from tfrecog.config.classifier import SMALLEST_CROP
from tfrecog.config.detector.box import BoxConfig
from tfrecog.config.detector.fpn import FpnConfig
from tfrecog.config.detector.keypoint import KeypointConfig
from tfrecog.config.detector.mask import MaskConfig
from tfrecog.config.detector.output import OutputConfig
from tfrecog.config.detector.pooling import IN_REGIONS
from tfrecog.config.detector.rpn import RpnConfig

_OF_FEATURES = Unless(".pool", "warp")  # R-CNN has no features before it has a roi.


@dataclass(frozen=True)
class DetectorConfig:
    """The R-CNN family: R-CNN, SPP-net, Fast, Faster, Mask and Keypoint R-CNN."""

    masks: Annotated[bool, "Predict masks: Mask R-CNN."] = False
    keypoints: Annotated[bool, "Predict keypoints: Keypoint R-CNN; with masks too if both are set."] = False
    proposals: Annotated[
        Literal["rpn", "record"],
        "Source of the rois: the RPN (Faster R-CNN), or proposals in the records (of pipelines.proposals), as in "
        "R-CNN, SPP-net and Fast R-CNN.",
    ] = "rpn"
    neck: Annotated[
        Literal["fpn", "c4", "single"],
        "fpn: a feature pyramid. c4: the stride-16 map, with res5 as the trunk. single: one map, with fully connected "
        "layers as the trunk.",
        _OF_FEATURES,
    ] = "fpn"
    level: Annotated[
        int,
        "Level of the single map: 4 (stride 16, conv5 of VGG) or 5 (stride 32, of ResNets).",
        Range(4, 5),
        BakedInto("trunk/"),
        When(".neck", "single"),
        _OF_FEATURES,
    ] = 4
    pool: Annotated[
        Literal["roi_align", "roi_pool", "pyramid", "warp"],
        "How the features of a roi are pooled, for boxes and masks. pyramid: spatial pyramid pooling (SPP-net). warp: "
        "R-CNN, in which the image itself is cropped and resized to box.size, and the whole network is the trunk.",
        IN_REGIONS,
    ] = "roi_align"
    pyramid: Annotated[
        tuple[int, ...],
        "Spatial pyramid pooling: bins along each side, of each level (He et al. 2014).",
        Positive("bins"),
        BakedInto("trunk/"),
        When(".pool", "pyramid"),
    ] = (1, 2, 3, 6)
    aligned: Annotated[
        bool,
        "RoIAlign: shift rois by half a cell (`aligned` in detectron2); torchvision's weights need it off.",
        IN_REGIONS,
        When(".pool", "roi_align"),
    ] = False
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fpn: Annotated[FpnConfig, When(".neck", "fpn"), _OF_FEATURES] = field(default_factory=FpnConfig)
    rpn: Annotated[RpnConfig, When(".proposals", "rpn")] = field(default_factory=RpnConfig)
    box: BoxConfig = field(default_factory=BoxConfig)
    mask: Annotated[MaskConfig, When(".masks", True, refused=False)] = field(default_factory=MaskConfig)
    keypoint: Annotated[KeypointConfig, When(".keypoints", True, refused=False)] = field(default_factory=KeypointConfig)
    output: Annotated[OutputConfig, Resumable("evaluation")] = field(default_factory=OutputConfig)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        name = self.backbone.name
        if self.pool == "warp":
            yield from self._conflicts_of_crops()
        elif name in SINGLE_MAP and self.neck != "single":
            yield "backbone.name", f"{name} has one map, conv5: add --detector.neck=single, not {self.neck}"
        elif self.neck == "single" and name == "mobilenet_v3_large":
            yield "backbone.name", "has two last maps of one size; on a single map use one of Keras'"
        elif self.neck == "single" and name in SINGLE_MAP and self.level != 4:
            yield "level", f"{name} on a single map has the level 4"
        elif self.neck == "c4" and (name in KERAS_NETWORKS or name == "mobilenet_v3_large"):
            yield "neck", f"its trunk is the res5 of a ResNet of this library; with {name} choose fpn"
        elif name == "mobilenet_v3_large" and len(self.rpn.anchor_sizes) == 1 and not self.rpn.every_size:
            yield "rpn.anchor_sizes", f"{name} has two levels: give each a size, or add --detector.rpn.every_size"
        if self.pool in ("pyramid", "warp"):
            for part in ("masks", "keypoints"):
                if getattr(self, part):
                    yield part, f"--detector.pool={self.pool} leaves no map of a roi to draw {part} on; use roi_align"
            if self.box.convs:
                yield "box.convs", f"--detector.pool={self.pool} leaves no map of a roi for them; leave it at 0"
        if self.pool == "pyramid" and self.neck == "c4":
            yield "pool", "res5, the trunk of --detector.neck=c4, needs a square of cells; choose single or fpn"

    def _conflicts_of_crops(self):
        """What R-CNN cannot do."""
        name, size = self.backbone.name, self.box.size
        if self.proposals == "rpn":
            yield "pool", "R-CNN has no features for an RPN; add --detector.proposals=record"
        smallest = max(32, SMALLEST_CROP.get(name, 0))
        if size < smallest:
            yield "box.size", f"--detector.pool=warp resizes a roi to this many pixels, and {name} needs {smallest}"
        elif name in KERAS_NETWORKS and size % 32:
            yield "box.size", f"{name} needs a multiple of 32 with --detector.pool=warp"
        elif 2 * self.box.context >= size:
            yield "box.context", f"leaves nothing of --detector.box.size={size} for the roi"
