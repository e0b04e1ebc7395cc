"""Settings of a classifier."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tfrecog.cli.facts import BakedInto, BelowOne, Freezes, ImageSize, NonNegative, Positive, Unless, When
from tfrecog.config.backbone import BackboneNorm

Network = Literal[
    "alexnet", "vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "mobilenet_v3_large", "lecun1989", "lenet5", "lenet_modern",
]  # fmt: skip

LENETS = ("lecun1989", "lenet5", "lenet_modern")  # whose fully connected layers fix the size of the input
_RESNETS = tuple(name for name in get_args(Network) if name.startswith("resne"))
_WITHOUT_NORM = ("alexnet", "vgg16", "lecun1989", "lenet5")
# Of the networks whose poolings leave nothing of smaller images.
SMALLEST_CROP = {"alexnet": 63, "zf": 33, "vgg16": 32, "vgg16_bn": 32, "lenet5": 12, "lenet_modern": 4}


@dataclass(frozen=True)
class ClassifierConfig:
    """A network that names the class of a whole image, in torchvision's form."""

    name: Annotated[
        Network,
        "Network: one of torchvision's, or one for digits (LeCun et al. 1989; LeCun et al. 1998; a modern one).",
    ] = "resnet50"
    crop: Annotated[
        int,
        "Side of the square input; evaluation and prediction crop it from the centre.",
        Positive("pixels"),
        ImageSize(),
    ] = 224
    width: Annotated[
        int, "Channels of a ResNet's first stage; 64 in the paper.", Positive("channels"), When(".name", *_RESNETS)
    ] = 64
    norm: Annotated[
        BackboneNorm,
        "Normalisation, as of a detector's backbone; AlexNet and VGG16 without _bn have none.",
        Unless(".name", *_WITHOUT_NORM),
        Freezes("", instead=("batch",)),
    ] = "batch"
    norm_epsilon: Annotated[
        float,
        "Added to the variance; MobileNetV3 has 1e-3.",
        NonNegative(),
        BakedInto("", slightly=True),
        Unless(".name", *_WITHOUT_NORM),
    ] = 1e-5
    zero_gamma: Annotated[
        bool,
        "Initialise the gain of each residual block's last norm to 0, so that blocks start as the identity (Goyal et "
        "al. 2017, section 5.1).",
        When(".name", *_RESNETS),
    ] = False
    dropout: Annotated[
        float,
        "Training: dropout rate after each fully connected layer but the last; ResNets have one such layer only.",
        BelowOne(),
        Unless(".name", *_RESNETS),
    ] = 0.0
    loss: Annotated[
        Literal["cross_entropy", "squared_error"],
        "Softmax cross entropy, or mean squared error with targets -1 and 1 (LeCun et al. 1989).",
    ] = "cross_entropy"
    label_smoothing: Annotated[
        float, "Fraction of the target spread over all classes (Szegedy et al. 2016, section 7).", BelowOne()
    ] = 0.0
