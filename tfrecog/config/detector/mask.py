"""Settings of the mask branch."""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import BakedInto, Freezes, NonNegative, Positive, Unless
from tfrecog.config.backbone import Norm
from tfrecog.config.detector.pooling import Samples, SamplingRatio

_OF_OWN = Unless("detector.neck", "c4")  # On C4 the convolutions are res5's (He et al. 2017, figure 4, left).
_IN_MASK = BakedInto("mask/")


@dataclass(frozen=True)
class MaskConfig:
    """Mask branch (He et al. 2017, section 3)."""

    # pooled region
    size: Annotated[int, "Side of the pooled region; masks have twice this side.", Positive("cells"), _IN_MASK] = 14
    sampling_ratio: Annotated[SamplingRatio, _IN_MASK] = 2

    # head
    channels: Annotated[int, "Channels of the convolutions and the deconvolution.", Positive("channels")] = 256
    convs: Annotated[int, "Number of 3x3 convolutions.", NonNegative("convolutions"), _OF_OWN] = 4
    norm: Annotated[
        Norm,
        "Normalisation after each 3x3 convolution.",
        _OF_OWN,
        Unless(".convs", 0),
        Freezes("mask/", instead=("group",)),
    ] = "none"

    # loss
    samples: Samples = 0
