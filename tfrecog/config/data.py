"""Settings of the records, of their images, and of what a classifier's training does to these."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import urls
from tfrecog.cli.facts import (
    Ascending,
    BakedInto,
    Exported,
    For,
    Fraction,
    ImageSize,
    Length,
    NonNegative,
    Positive,
    Range,
    Resumable,
    Unless,
    Urls,
    When,
)

STRIDE = 32  # canvases are multiples of it, so every level of a pyramid divides them


@dataclass(frozen=True)
class DataConfig:
    """Where the records are, and what happens to an image on its way into a batch."""

    records: Annotated[str, "Folder with dataset.json and the TFRecord shards; also at gs://.", Urls(urls.READ)] = ""
    train_split: Annotated[str, "Split to train on."] = "train"
    eval_split: Annotated[str, "Split to evaluate on.", Resumable("evaluation")] = "val"
    batch_size: Annotated[int, "Training: batch size, over all replicas together.", Positive("images")] = 16
    eval_batch_size: Annotated[
        int, "Evaluation: batch size, over all replicas together.", Positive("images"), Resumable()
    ] = 8
    short_side: Annotated[
        tuple[int, ...],
        "Training: the short side is resized to one of these, at random (multi-scale). 0: not resized (segmentation).",
        NonNegative("pixels"),
        When("augment.crop", "scale", task="classification"),
        ImageSize("detection"),
    ] = (800,)
    eval_short_side: Annotated[
        int,
        "Evaluation: the short side is resized to this. 0: not resized (segmentation).",
        NonNegative("pixels"),
        Resumable("evaluation"),
        Exported(),
    ] = 800
    long_side: Annotated[
        int,
        "Upper bound of the long side after resizing; the short side becomes shorter for it.",
        Positive("pixels"),
        For("detection", "segmentation"),
        ImageSize("detection"),
        Exported(),
    ] = 1333
    resize: Annotated[
        Literal["bilinear", "pillow"],
        "How images are resized: bilinearly (torchvision's detectors), or bilinearly with antialiasing, as Pillow does "
        "(detectron2; classifiers).",
        BakedInto("", slightly=True),
        Exported(),
    ] = "bilinear"
    size_rounding: Annotated[
        Literal["floor", "nearest"],
        "How a resized side is rounded to whole pixels: down (torchvision) or to the nearest (detectron2).",
        BakedInto("", slightly=True),
        For("detection", "segmentation"),
        Exported(),
    ] = "floor"
    scale_jitter: Annotated[
        tuple[float, ...],
        "Training: range of a random extra scale; what exceeds the padded size is cropped. 1,1: off.",
        Positive(),
        Length(2),
        Ascending(),
        For("detection", "segmentation"),
    ] = (1.0, 1.0)
    aspect_ratios: Annotated[
        tuple[float, ...],
        "Long side / short side of the padded sizes, each in landscape and portrait; an image is padded to the "
        "smallest that holds it, and all images of a batch have the same.",
        Positive(),
        For("detection"),
    ] = (1.36, 1.67)
    pad_to_batch_max: Annotated[
        bool,
        "Evaluation and prediction: pad a batch to the next multiple of 32 of its largest image, instead of to one of "
        "the fixed sizes; published weights were measured so, with --data.eval_batch_size=1.",
        For("detection"),
        Resumable("evaluation"),
        Exported(),
    ] = False
    flip: Annotated[float, "Training: probability of a horizontal flip.", Fraction()] = 0.5
    photometric: Annotated[
        float,
        "Training: strength of brightness, contrast, saturation and hue jitter. 0: off.",
        NonNegative(),
        For("detection", "segmentation"),
    ] = 0.0
    max_instances: Annotated[
        int, "Ground-truth objects per image; more are reported and left out.", Positive("objects"), For("detection")
    ] = 100
    difficult: Annotated[
        bool, "Training: use objects that are marked as difficult (Pascal VOC) too.", For("detection")
    ] = True
    max_proposals: Annotated[
        int,
        "Proposals that are read from a record, the best first; 2000 in the papers.",
        Positive("proposals"),
        For("detection"),
        When("detector.proposals", "record"),
        Exported(),
    ] = 2000
    mask_size: Annotated[
        int,
        "Resolution of a ground-truth mask: side of the square that covers its box.",
        Positive("pixels"),
        For("detection"),
        When("detector.masks", True, refused=False),
    ] = 112
    skip_empty: Annotated[bool, "Training: leave out images without any (non-crowd) box.", For("detection")] = True
    min_keypoints: Annotated[
        int,
        "Training of keypoints: leave out images with fewer labelled keypoints, over all their objects.",
        NonNegative("keypoints"),
        For("detection"),
        When("detector.keypoints", True, refused=False),
    ] = 1
    skip_damaged: Annotated[
        bool, "Training: skip damaged records and images, naming each. Off: stop at the first.", Resumable()
    ] = True
    workers: Annotated[
        int, "Images prepared in parallel. 0: as many as tf.data finds useful.", NonNegative("images"), Resumable()
    ] = 0


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation in the training of a classifier; `data.flip` and `data.resize` apply too."""

    crop: Annotated[
        Literal["inception", "scale", "centre", "whole"],
        "Crop that is resized to classifier.crop: of random area and aspect ratio (Szegedy et al. 2015); a random "
        "square after the short side was resized to a random one of data.short_side (He et al. 2015); the centre, as "
        "in evaluation; or the whole image, stretched.",
    ] = "inception"
    area: Annotated[
        tuple[float, ...],
        "Range of the crop's area, as a fraction of the image's.",
        Range(0, 1, ends="(]"),
        Length(2),
        Ascending(),
        When(".crop", "inception"),
    ] = (0.08, 1.0)
    aspect: Annotated[
        tuple[float, ...],
        "Range of the crop's width / height.",
        Positive(),
        Length(2),
        Ascending(),
        When(".crop", "inception"),
    ] = (3 / 4, 4 / 3)
    shift: Annotated[
        int, "Random translation of the crop, each way at most; the border is filled with 0.", NonNegative("pixels")
    ] = 0
    jitter: Annotated[
        tuple[float, ...],
        "Strength of brightness, contrast and saturation jitter, in random order. 0,0,0: off.",
        NonNegative(),
        Length(3),
    ] = (0.0, 0.0, 0.0)
    lighting: Annotated[
        float,
        "Standard deviation of PCA colour noise (AlexNet's); 0.1 in Krizhevsky et al. 2012. 0: off.",
        NonNegative(),
    ] = 0.0
    layers: Annotated[
        int, "RandAugment (Cubuk et al. 2020): operations per image. 0: off.", NonNegative("operations")
    ] = 0
    magnitude: Annotated[float, "RandAugment: strength of the operations.", Range(0, 30), Unless(".layers", 0)] = 9.0
    mixup: Annotated[float, "Mixup (Zhang et al. 2018): alpha of the beta distribution. 0: off.", NonNegative()] = 0.0
