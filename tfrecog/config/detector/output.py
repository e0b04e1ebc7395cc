"""Settings of the detections."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, Fraction, NonNegative, Positive, When

_OF_MASKS = When("detector.masks", True, refused=False)


@dataclass(frozen=True)
class OutputConfig:
    """From scores to detections."""

    min_score: Annotated[float, "Detections with a lower score are dropped.", Fraction()] = 0.05
    nms_iou: Annotated[float, "IoU threshold of NMS, within a class.", Fraction()] = 0.5
    max_detections: Annotated[int, "Detections per image at most.", Positive("detections")] = 100
    min_size: Annotated[float, "Detections with a shorter side are dropped.", NonNegative("pixels")] = 1e-2
    mask_threshold: Annotated[
        float, "Pixels with a higher probability than this belong to the mask.", Fraction(), _OF_MASKS
    ] = 0.5
    paste: Annotated[
        Literal["torchvision", "detectron2"],
        "How a mask is resized to its box: the box rounded to whole pixels (torchvision), or sampled at pixel centres "
        "(detectron2).",
        _OF_MASKS,
        BakedInto("mask/", slightly=True),
    ] = "torchvision"
