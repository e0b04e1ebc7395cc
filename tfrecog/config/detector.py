"""Settings of the R-CNN family."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfrecog.cli.facts import (
    BakedInto,
    BelowOne,
    Fraction,
    Length,
    NonNegative,
    Positive,
    Range,
    Resumable,
    Unless,
    When,
)
from tfrecog.config.backbone import KERAS_NETWORKS, SINGLE_MAP, BackboneConfig, Norm
from tfrecog.config.classifier import SMALLEST_CROP

_IN_RPN = BakedInto("rpn/objectness/", "rpn/deltas/")
_IN_REGIONS = BakedInto("trunk/", "mask/", "keypoint/")

SamplingRatio = Annotated[
    int,
    "RoIAlign: sampling points per bin, along each axis. 0: as many as the bin has cells, rounded up (detectron2's "
    "weights).",
    NonNegative("points"),
    When("detector.pool", "roi_align"),
]


@dataclass(frozen=True)
class FpnConfig:
    """Feature pyramid network (Lin et al. 2017)."""

    channels: Annotated[int, "Channels of every level.", Positive("channels")] = 256
    norm: Annotated[Norm, "Normalisation after each convolution."] = "none"


@dataclass(frozen=True)
class ProposalConfig:
    """Proposals kept by the RPN (Ren et al. 2015, section 3.3)."""

    per_level: Annotated[int, "Highest scoring anchors of each level, before NMS.", Positive("proposals")] = 2000
    total: Annotated[int, "Proposals per image, after NMS.", Positive("proposals")] = 2000


@dataclass(frozen=True)
class RpnConfig:
    """Region proposal network (Ren et al. 2015); conventions of torchvision."""

    anchor_sizes: Annotated[
        tuple[int, ...], "Side of the square anchor of each level, finest level first.", Positive("pixels"), _IN_RPN
    ] = (32, 64, 128, 256, 512)
    anchor_ratios: Annotated[
        tuple[float, ...], "Height / width of the anchors at each position.", Positive(), _IN_RPN
    ] = (0.5, 1.0, 2.0)
    every_size: Annotated[
        bool, "Every level of a pyramid has anchors of all sizes, instead of one size each.", _IN_RPN
    ] = False
    anchor_rule: Annotated[
        Literal["torchvision", "detectron2"],
        "Anchors are rounded to whole pixels and their stride is image / map, rounded down (torchvision); or neither "
        "is rounded and strides are powers of two (detectron2).",
        _IN_RPN,
    ] = "torchvision"
    convs: Annotated[int, "Number of 3x3 convolutions.", Positive("convolutions")] = 1
    channels: Annotated[
        int, "Channels of the 3x3 convolutions. 0: as many as the features have.", NonNegative("channels")
    ] = 0
    positive_iou: Annotated[float, "Anchors with at least this IoU with an object are positive.", Fraction()] = 0.7
    negative_iou: Annotated[float, "Anchors with a lower IoU than this are negative.", Fraction()] = 0.3
    samples: Annotated[int, "Anchors sampled per image for the loss.", Positive("anchors")] = 256
    positive_fraction: Annotated[float, "Positives among them: at most this fraction.", Fraction()] = 0.5
    nms_iou: Annotated[float, "IoU threshold of NMS, within a level.", Fraction()] = 0.7
    min_size: Annotated[float, "Proposals with a shorter side are dropped.", NonNegative("pixels")] = 1e-3
    min_score: Annotated[float, "Proposals with a lower objectness (after the sigmoid) are dropped.", Fraction()] = 0.0
    smooth_l1_beta: Annotated[
        float, "Smooth L1 loss of the boxes: quadratic below this difference, linear above. 0: L1.", NonNegative()
    ] = 1 / 9
    train: ProposalConfig = field(default_factory=ProposalConfig)
    infer: Annotated[ProposalConfig, Resumable("evaluation")] = field(
        default_factory=lambda: ProposalConfig(1000, 1000)
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.negative_iou > self.positive_iou:
            yield "negative_iou", f"must not exceed --detector.rpn.positive_iou={self.positive_iou}"


@dataclass(frozen=True)
class BoxConfig:
    """Box branch (Girshick 2015; Lin et al. 2017, section 5.2)."""

    size: Annotated[
        int, "Side of the pooled region.", Positive("cells"), Unless("detector.pool", "pyramid"), BakedInto("trunk/")
    ] = 7  # fmt: skip
    sampling_ratio: Annotated[SamplingRatio, BakedInto("trunk/")] = 2
    convs: Annotated[int, "3x3 convolutions before the fully connected layers.", NonNegative("convolutions")] = 0
    channels: Annotated[int, "Channels of those convolutions.", Positive("channels")] = 256
    norm: Annotated[Norm, "Normalisation after each of those convolutions."] = "none"
    hidden_layers: Annotated[int, "Number of fully connected layers.", NonNegative("layers")] = 2
    hidden_units: Annotated[int, "Units of the fully connected layers.", Positive("units")] = 1024
    dropout: Annotated[
        float,
        "Training: dropout rate after each fully connected layer; 0.5 in Fast R-CNN's code.",
        BelowOne(),
        Unless("detector.neck", "c4"),
        Unless(".hidden_layers", 0),
    ] = 0.0
    svd: Annotated[
        tuple[int, ...],
        "Truncated SVD (Girshick 2015, section 3.1): each fully connected layer is split in two, with this many units "
        "between them. Set in runs that tfrecog.compress writes. Empty: none.",
        Positive("units"),
        Length(),
        Unless("detector.neck", "c4"),
        Unless(".hidden_layers", 0),
    ] = ()
    context: Annotated[
        int,
        "R-CNN: border of the warped region, on each side, that shows what is around the roi; 16 of 227 in the paper.",
        NonNegative("pixels"),
        When("detector.pool", "warp"),
        BakedInto("trunk/"),
    ] = 0
    scores: Annotated[
        Literal["softmax", "svm"],
        "Class scores: softmax, or sigmoids of the margins of one linear SVM per class (Girshick et al. 2014, appendix "
        "B). Set in runs that tfrecog.svm writes.",
    ] = "softmax"
    samples: Annotated[int, "Rois sampled per image for the loss.", Positive("rois")] = 512
    positive_fraction: Annotated[float, "Positives among them: at most this fraction.", Fraction()] = 0.25
    positive_iou: Annotated[
        float, "Rois with at least this IoU with an object are positive, others background.", Fraction()
    ] = 0.5
    negative_iou: Annotated[
        float,
        "Rois with a lower IoU than this are not sampled either; 0.1 in Fast R-CNN, whose background is near objects.",
        Fraction(),
    ] = 0.0
    delta_scale: Annotated[
        tuple[float, ...], "Factors of the box deltas dy, dx, dh, dw.", Positive(), Length(4), BakedInto("box/deltas/")
    ] = (10.0, 10.0, 5.0, 5.0)  # fmt: skip
    smooth_l1_beta: Annotated[
        float, "Smooth L1 loss of the boxes: quadratic below this difference, linear above. 0: L1.", NonNegative()
    ] = 1 / 9

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.svd and len(self.svd) != self.hidden_layers:
            yield "svd", f"needs a number for each of --detector.box.hidden_layers={self.hidden_layers}, or none"
        if self.negative_iou >= self.positive_iou:
            yield "negative_iou", f"must be less than --detector.box.positive_iou={self.positive_iou}"


@dataclass(frozen=True)
class MaskConfig:
    """Mask branch (He et al. 2017, section 3)."""

    size: Annotated[
        int, "Side of the pooled region; masks have twice this side.", Positive("cells"), BakedInto("mask/")
    ] = 14
    sampling_ratio: Annotated[SamplingRatio, BakedInto("mask/")] = 2
    channels: Annotated[int, "Channels of the convolutions.", Positive("channels")] = 256
    convs: Annotated[int, "Number of 3x3 convolutions.", NonNegative("convolutions")] = 4
    norm: Annotated[Norm, "Normalisation after each of them."] = "none"


@dataclass(frozen=True)
class KeypointConfig:
    """Keypoint branch (He et al. 2017, section 5)."""

    size: Annotated[
        int,
        "Side of the pooled region; heat maps have four times this side.",
        Positive("cells"),
        BakedInto("keypoint/"),
    ] = 14
    sampling_ratio: Annotated[SamplingRatio, BakedInto("keypoint/")] = 2
    margin: Annotated[
        float,
        "Margin around a roi that the branch sees too, on each side, as a fraction of the roi's side; 0 in the paper. "
        "For keypoints on an object's outline, which a slightly small roi cuts off.",
        NonNegative(),
        BakedInto("keypoint/"),
    ] = 0.0
    channels: Annotated[int, "Channels of the convolutions.", Positive("channels")] = 512
    convs: Annotated[int, "Number of 3x3 convolutions.", NonNegative("convolutions")] = 8
    min_visible: Annotated[
        int, "Objects with fewer labelled keypoints do not count in the loss.", NonNegative("keypoints")
    ] = 1
    normalize: Annotated[
        Literal["visible", "slots"],
        "The loss is divided by the number of visible keypoints, or by the largest number that a batch can hold "
        "(box.samples * box.positive_fraction * keypoints, per image).",
    ] = "visible"
    loss_weight: Annotated[float, "Weight of the loss; 4 is a good value with `slots`.", NonNegative()] = 1.0
    decode: Annotated[
        Literal["peak", "expected_oks"],
        "A keypoint is at the maximum of its heat map, as in the paper, or where the expected OKS is highest, given "
        "the heat map and the sigmas of dataset.json.",
        Resumable("evaluation"),
    ] = "peak"
    pixel_index: Annotated[
        bool,
        "The branch predicts pixel indices (torchvision's weights) instead of pixel centres, which are half a pixel of "
        "the original image farther.",
        BakedInto("keypoint/deconv/"),
    ] = False


@dataclass(frozen=True)
class OutputConfig:
    """From scores to detections."""

    min_score: Annotated[float, "Detections with a lower score are dropped.", Fraction()] = 0.05
    nms_iou: Annotated[float, "IoU threshold of NMS, within a class.", Fraction()] = 0.5
    max_detections: Annotated[int, "Detections per image at most.", Positive("detections")] = 100
    min_size: Annotated[float, "Detections with a shorter side are dropped.", NonNegative("pixels")] = 1e-2
    mask_threshold: Annotated[
        float,
        "Pixels with a higher probability than this belong to the mask.",
        Fraction(),
        When("detector.masks", True, refused=False),
    ] = 0.5
    paste: Annotated[
        Literal["torchvision", "detectron2"],
        "How a mask is resized to its box: the box rounded to whole pixels (torchvision), or sampled at pixel centres "
        "(detectron2).",
        When("detector.masks", True, refused=False),
        BakedInto("mask/", slightly=True),
    ] = "torchvision"


@dataclass(frozen=True)
class DetectorConfig:
    """The R-CNN family: R-CNN, SPP-net, Fast, Faster, Mask and Keypoint R-CNN."""

    masks: Annotated[bool, "Predict masks: Mask R-CNN."] = False
    keypoints: Annotated[bool, "Predict keypoints: Keypoint R-CNN; with masks too if both are set."] = False
    proposals: Annotated[
        Literal["rpn", "record"],
        "Source of the rois: the RPN (Faster R-CNN), or proposals in the records (of pipelines.proposals), as before.",
    ] = "rpn"
    neck: Annotated[
        Literal["fpn", "c4", "single"],
        "fpn: a feature pyramid. c4: the stride-16 map, with res5 as the trunk. single: one map, with fully connected "
        "layers as the trunk.",
        Unless(".pool", "warp"),
    ] = "fpn"
    level: Annotated[
        int,
        "Level of the single map: 4 (stride 16, conv5 of VGG) or 5 (stride 32, of ResNets).",
        Range(4, 5),
        BakedInto("trunk/"),
        When(".neck", "single"),
        Unless(".pool", "warp"),
    ] = 4
    pool: Annotated[
        Literal["roi_align", "roi_pool", "pyramid", "warp"],
        "How the features of a roi are pooled, for boxes and masks. pyramid: spatial pyramid pooling (SPP-net). warp: "
        "R-CNN, in which the image itself is cropped and resized to box.size, and the whole network is the trunk.",
        _IN_REGIONS,
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
        _IN_REGIONS,
        When(".pool", "roi_align"),
    ] = False
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fpn: Annotated[FpnConfig, When(".neck", "fpn"), Unless(".pool", "warp")] = field(default_factory=FpnConfig)
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
