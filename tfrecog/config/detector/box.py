"""Settings of the branch that classifies rois and moves their boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, BelowOne, Fraction, Freezes, Length, NonNegative, Positive, Unless, When
from tfrecog.config.backbone import Norm
from tfrecog.config.detector.pooling import SamplingRatio

_OF_OWN = Unless("detector.neck", "c4")  # On C4 the trunk is res5, which has no settings.
_DENSE = Unless(".hidden_layers", 0)
_CONVS = Unless(".convs", 0)
_IN_TRUNK = BakedInto("trunk/")


@dataclass(frozen=True)
class BoxConfig:
    """Box branch (Girshick 2015; Lin et al. 2017, section 5.2)."""

    # pooled region
    size: Annotated[
        int, "Side of the pooled region.", Positive("cells"), Unless("detector.pool", "pyramid"), _IN_TRUNK
    ] = 7  # fmt: skip
    sampling_ratio: Annotated[SamplingRatio, _IN_TRUNK] = 2
    context: Annotated[
        int,
        "R-CNN: border of the warped region, on each side, that shows what is around the roi; 16 of 227 in the paper.",
        NonNegative("pixels"),
        When("detector.pool", "warp"),
        _IN_TRUNK,
    ] = 0

    # trunk
    convs: Annotated[
        int, "3x3 convolutions before the fully connected layers.", NonNegative("convolutions"), _OF_OWN
    ] = 0  # fmt: skip
    channels: Annotated[int, "Channels of those convolutions.", Positive("channels"), _OF_OWN, _CONVS] = 256
    norm: Annotated[
        Norm,
        "Normalisation after each of those convolutions.",
        _OF_OWN,
        _CONVS,
        Freezes("trunk/conv", instead=("group",)),
    ] = "none"
    hidden_layers: Annotated[int, "Number of fully connected layers.", NonNegative("layers"), _OF_OWN] = 2
    hidden_units: Annotated[
        int,
        "Units of the fully connected layers.",
        Positive("units"),
        _OF_OWN,
        Unless(".hidden_layers", 0, refused=False),
    ] = 1024
    dropout: Annotated[
        float,
        "Training: dropout rate after each fully connected layer; 0.5 in Fast R-CNN's code.",
        BelowOne(),
        _OF_OWN,
        _DENSE,
    ] = 0.0
    svd: Annotated[
        tuple[int, ...],
        "Truncated SVD (Girshick 2015, section 3.1): each fully connected layer is split in two, with this many units "
        "between them. Set in runs that tfrecog.compress writes. Empty: none.",
        Positive("units"),
        Length(),
        _OF_OWN,
        _DENSE,
    ] = ()

    # outputs
    scores: Annotated[
        Literal["softmax", "svm"],
        "Class scores: softmax, or sigmoids of the margins of one linear SVM per class (Girshick et al. 2014, appendix "
        "B). Set in runs that tfrecog.svm writes.",
    ] = "softmax"
    delta_scale: Annotated[
        tuple[float, ...], "Factors of the box deltas dy, dx, dh, dw.", Positive(), Length(4), BakedInto("box/deltas/")
    ] = (10.0, 10.0, 5.0, 5.0)  # fmt: skip

    # loss
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
    smooth_l1_beta: Annotated[
        float, "Smooth L1 loss of the boxes: quadratic below this difference, linear above. 0: L1.", NonNegative()
    ] = 1 / 9

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        if self.svd and len(self.svd) != self.hidden_layers:
            yield "svd", f"needs a number for each of --detector.box.hidden_layers={self.hidden_layers}, or none"
        if self.negative_iou >= self.positive_iou:
            yield "negative_iou", f"must be less than --detector.box.positive_iou={self.positive_iou}"
