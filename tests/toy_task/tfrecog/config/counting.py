"""Settings of a network that counts."""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import ImageSize, Positive


@dataclass(frozen=True)
class CountingConfig:
    """A network that says how many objects are in an image."""

    side: Annotated[int, "Side of the square to which an image is resized.", Positive("pixels"), ImageSize()] = 224
    channels: Annotated[int, "Channels of the convolutions.", Positive("channels")] = 64
