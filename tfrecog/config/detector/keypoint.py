"""Settings of the branch that finds keypoints."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, NonNegative, Positive, Resumable, Unless
from tfrecog.config.detector.pooling import Samples, SamplingRatio

_IN_KEYPOINT = BakedInto("keypoint/")


@dataclass(frozen=True)
class KeypointConfig:
    """Keypoint branch (He et al. 2017, section 5)."""

    # pooled region
    size: Annotated[
        int, "Side of the pooled region; heat maps have four times this side.", Positive("cells"), _IN_KEYPOINT
    ] = 14
    sampling_ratio: Annotated[SamplingRatio, _IN_KEYPOINT] = 2
    margin: Annotated[
        float,
        "Margin around a roi that the branch sees too, on each side, as a fraction of the roi's side; 0 in the paper. "
        "For keypoints on an object's outline, which a slightly small roi cuts off.",
        NonNegative(),
        _IN_KEYPOINT,
    ] = 0.0

    # head
    convs: Annotated[int, "Number of 3x3 convolutions.", NonNegative("convolutions")] = 8
    channels: Annotated[int, "Channels of the convolutions.", Positive("channels"), Unless(".convs", 0)] = 512

    # loss
    samples: Samples = 0
    min_visible: Annotated[
        int, "Objects with fewer labelled keypoints do not count in the loss.", NonNegative("keypoints")
    ] = 1
    normalize: Annotated[
        Literal["visible", "slots"],
        "The loss is divided by the number of visible keypoints, or by the largest number that a batch can hold "
        "(box.samples * box.positive_fraction * keypoints, per image; with fewer samples, samples * keypoints).",
    ] = "visible"
    loss_weight: Annotated[float, "Weight of the loss; 4 is a good value with `slots`.", NonNegative()] = 1.0

    # from heat maps to keypoints
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
