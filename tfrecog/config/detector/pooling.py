"""Settings that several branches of a detector have."""

from typing import Annotated

from tfrecog.cli.facts import BakedInto, NonNegative, When

IN_REGIONS = BakedInto("trunk/", "mask/", "keypoint/")  # weights that see pooled features

SamplingRatio = Annotated[
    int,
    "RoIAlign: sampling points per bin, along each axis. 0: as many as the bin has cells, rounded up (detectron2's "
    "weights).",
    NonNegative("points"),
    When("detector.pool", "roi_align"),
]

Samples = Annotated[
    int,
    "Training: positives per image that the branch sees, a random sample of those among box.samples. 0: all, as in the "
    "paper.",
    NonNegative("rois"),
]
