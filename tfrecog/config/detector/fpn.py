"""Settings of the feature pyramid."""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import Freezes, Positive
from tfrecog.config.backbone import Norm


@dataclass(frozen=True)
class FpnConfig:
    """Feature pyramid network (Lin et al. 2017)."""

    channels: Annotated[int, "Channels of every level.", Positive("channels")] = 256
    norm: Annotated[Norm, "Normalisation after each convolution.", Freezes("fpn/", instead=("group",))] = "none"
