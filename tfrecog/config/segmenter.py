"""Settings of a fully convolutional network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfrecog.cli.facts import BakedInto, BelowOne, ImageSize, Length, NonNegative, Positive, Resumable, Unless, When
from tfrecog.config.backbone import KERAS_NETWORKS, BackboneConfig

_SKIPS = ("fcn16s", "fcn8s")  # networks that add the scores of earlier features


@dataclass(frozen=True)
class SegmenterConfig:
    """A fully convolutional network that names the class of every pixel."""

    name: Annotated[
        Literal["fcn32s", "fcn16s", "fcn8s", "fcn_dilated"],
        "fcn32s to fcn8s: the paper's networks, which upsample the scores of the last map and add those of pool4 and "
        "pool3 (Long et al. 2015, figure 3). fcn_dilated: torchvision's, whose last two stages are dilated: stride 8.",
    ] = "fcn8s"
    backbone: BackboneConfig = field(
        default_factory=lambda: BackboneConfig(name="vgg16", norm="batch", frozen_stages=0)
    )
    fc_channels: Annotated[
        int,
        "fcn32s to fcn8s: channels of fc6 and fc7 as convolutions; 4096 in the paper. 0: no such layers.",
        NonNegative("channels"),
        Unless(".name", "fcn_dilated"),
    ] = 4096
    fc_size: Annotated[
        int,
        "fcn32s to fcn8s: kernel size of fc6; 7 in the paper. fc7 is 1x1.",
        Positive("cells"),
        Unless(".name", "fcn_dilated"),
        Unless(".fc_channels", 0),
    ] = 7
    padding: Annotated[
        int,
        "fcn32s to fcn8s: zero padding around the image, cropped from the scores; 100 in the paper. 0: every layer is "
        "padded so that its map covers the image.",
        NonNegative("pixels"),
        Unless(".name", "fcn_dilated"),
    ] = 100
    upsampling: Annotated[
        Literal["learned", "fixed"],
        "fcn16s, fcn8s: transposed convolutions are initialised bilinearly and trained, or stay bilinear.",
        When(".name", *_SKIPS),
    ] = "fixed"
    skip_scales: Annotated[
        tuple[float, ...],
        "fcn16s, fcn8s: scales of the features of pool4 and pool3; 0.01,0.0001 to train FCN-8s at once, and 1,1 in "
        "stages (FCN-8s from a trained FCN-16s, that from an FCN-32s).",
        Positive(),
        Length(2),
        When(".name", *_SKIPS),
        BakedInto("head/score_pool"),
    ] = (0.01, 0.0001)
    dropout: Annotated[
        float,
        "Training: dropout rate after fc6 and fc7 (the paper: 0.5), or before the last layer (torchvision: 0.1, of "
        "single features).",
        BelowOne(),
        Unless(".fc_channels", 0),
    ] = 0.5
    auxiliary: Annotated[
        float,
        "fcn_dilated: weight of the loss of an auxiliary head on res4, in training only (torchvision: 0.5). 0: no such "
        "head.",
        NonNegative(),
        When(".name", "fcn_dilated"),
    ] = 0.5
    loss: Annotated[
        Literal["softmax", "binary"],
        "Cross entropy of a softmax over the classes, or of a sigmoid for each class, at every pixel.",
    ] = "softmax"
    reduction: Annotated[
        Literal["mean", "sum"],
        "The loss is the mean over all pixels that are not ignored, or their sum divided by the number of images (the "
        "paper, with a learning rate of 1e-10 and a batch of 1).",
    ] = "mean"
    class_weights: Annotated[
        tuple[float, ...],
        "Weight of each class in the loss, in the order of dataset.json. Empty: all 1.",
        NonNegative(),
        Length(),
    ] = ()
    class_balance: Annotated[
        float,
        "Median frequency balancing: the weight of a class is (median frequency of all classes / its own) to this "
        "power, such as 0.5 or 1; frequencies are of pixels of the training split. 0: off.",
        NonNegative(),
    ] = 0.0
    crop: Annotated[
        tuple[int, ...],
        "Training: height and width of the random crop of a resized image; smaller images are padded, and the padding "
        "is ignored.",
        Positive("pixels"),
        Length(2),
        ImageSize(),
    ] = (480, 480)
    window: Annotated[
        tuple[int, ...],
        "Evaluation and prediction: height and width of a sliding window that overlaps by half, for networks that "
        "cannot take the whole image at once; the scores of the whole image are kept in memory. Empty: off.",
        Positive("pixels"),
        Length(0, 2),
        Resumable("evaluation"),
    ] = ()
    scales: Annotated[
        tuple[float, ...],
        "Evaluation and prediction: average the scores over these scales of the image, such as 0.75,1,1.25.",
        Positive(),
        Resumable("evaluation"),
    ] = (1.0,)
    mirror: Annotated[
        bool,
        "Evaluation and prediction: average the scores of the image and its mirror image.",
        Resumable("evaluation"),
    ] = False

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are possible, but not beside the others → why."""
        network = self.backbone.name
        if self.class_weights and self.class_balance:
            yield "class_balance", "leave it at 0.0, or --segmenter.class_weights empty"
        if network in (*KERAS_NETWORKS, "mobilenet_v3_large", "alexnet", "zf"):
            yield "backbone.name", "an FCN needs a ResNet or vgg16"
        elif self.name == "fcn_dilated":
            if network == "vgg16":
                yield "backbone.name", "fcn_dilated needs a ResNet, whose last two stages are dilated"
        else:
            yield from self._conflicts_of_skips()

    def _conflicts_of_skips(self):
        """Whether the maps cover the image."""
        # Of 32s, the coarsest: less, and fc6 would end before the image does (see models/fcn_heads.py).
        least = 16 * self.fc_size - 31 if self.fc_channels else 0
        if not self.fc_size % 2:
            yield "fc_size", "must be odd, so that a cell lies in the middle"
        if self.padding and self.backbone.name != "vgg16":
            yield "padding", f"is for vgg16, as in the paper; with {self.backbone.name} set it to 0"
        elif 0 < self.padding < least:
            yield "padding", f"must be at least {least} for --segmenter.fc_size={self.fc_size} to cover the image, or 0"
