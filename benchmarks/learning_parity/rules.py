"""What both sides train, and how: the standard library alone, for the peer's interpreter reads it too."""

import dataclasses
import json
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rules:
    """A Faster R-CNN on a ResNet-18 with a feature pyramid, trained from random weights with batch norm by SGD."""

    classes: int
    images: int  # to learn from
    short_side: int = 160
    long_side: int = 448
    aspect_ratio: float = 1.34  # of what our pictures are padded to; torchvision pads to the largest of a batch
    width: int = 24  # channels of the first stage; 64 in the paper
    channels: int = 64  # of the pyramid
    units: int = 256  # of the fully connected layers
    anchor_sizes: Sequence[int] = (12, 24, 48, 96, 192)
    anchor_samples: int = 128  # of an image
    proposals: int = 300  # of an image, before and after suppression
    roi_samples: int = 64  # of an image
    batch: int = 4
    rate: float = 0.02
    momentum: float = 0.9
    decay: float = 1e-4
    epochs: int = 40
    warmup: int = 5  # epochs
    warmup_factor: float = 1e-3
    drops: Sequence[int] = (30, 36)  # epochs, from which on the rate is a tenth
    every: int = 4  # epochs between evaluations

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image; the last one is filled up."""
        return -(-self.images // self.batch)

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.epochs * self.steps_per_epoch

    def to_json(self) -> str:
        """The rules as a line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """Those that `to_json` wrote."""
        return cls(**json.loads(text))
