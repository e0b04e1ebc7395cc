"""Settings of anchors and proposals."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, Fraction, NonNegative, Positive, Resumable, When

_IN_RPN = BakedInto("rpn/objectness/", "rpn/deltas/")


@dataclass(frozen=True)
class ProposalConfig:
    """Proposals kept by the RPN (Ren et al. 2015, section 3.3)."""

    per_level: Annotated[int, "Highest scoring anchors of each level, before NMS.", Positive("proposals")] = 2000
    total: Annotated[int, "Proposals per image, after NMS.", Positive("proposals")] = 2000


@dataclass(frozen=True)
class RpnConfig:
    """Region proposal network (Ren et al. 2015); conventions of torchvision."""

    # anchors
    anchor_sizes: Annotated[
        tuple[int, ...], "Side of the square anchor of each level, finest level first.", Positive("pixels"), _IN_RPN
    ] = (32, 64, 128, 256, 512)
    anchor_ratios: Annotated[
        tuple[float, ...], "Height / width of the anchors at each position.", Positive(), _IN_RPN
    ] = (0.5, 1.0, 2.0)
    every_size: Annotated[
        bool,
        "Every level of a pyramid has anchors of all sizes, instead of one size each.",
        When("detector.neck", "fpn"),
        _IN_RPN,
    ] = False
    anchor_rule: Annotated[
        Literal["torchvision", "detectron2"],
        "Anchors are rounded to whole pixels and their stride is image / map, rounded down (torchvision); or neither "
        "is rounded and strides are powers of two (detectron2).",
        _IN_RPN,
    ] = "torchvision"

    # head
    convs: Annotated[int, "Number of 3x3 convolutions.", Positive("convolutions")] = 1
    channels: Annotated[
        int, "Channels of the 3x3 convolutions. 0: as many as the features have.", NonNegative("channels")
    ] = 0

    # loss
    positive_iou: Annotated[float, "Anchors with at least this IoU with an object are positive.", Fraction()] = 0.7
    negative_iou: Annotated[float, "Anchors with a lower IoU than this are negative.", Fraction()] = 0.3
    samples: Annotated[int, "Anchors sampled per image for the loss.", Positive("anchors")] = 256
    positive_fraction: Annotated[float, "Positives among them: at most this fraction.", Fraction()] = 0.5
    smooth_l1_beta: Annotated[
        float, "Smooth L1 loss of the boxes: quadratic below this difference, linear above. 0: L1.", NonNegative()
    ] = 1 / 9

    # proposals
    nms_iou: Annotated[float, "IoU threshold of NMS, within a level.", Fraction()] = 0.7
    min_size: Annotated[float, "Proposals with a shorter side are dropped.", NonNegative("pixels")] = 1e-3
    min_score: Annotated[float, "Proposals with a lower objectness (after the sigmoid) are dropped.", Fraction()] = 0.0
    train: ProposalConfig = field(default_factory=ProposalConfig)
    infer: Annotated[ProposalConfig, Resumable("evaluation")] = field(
        default_factory=lambda: ProposalConfig(1000, 1000)
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.negative_iou > self.positive_iou:
            yield "negative_iou", f"must not exceed --detector.rpn.positive_iou={self.positive_iou}"
