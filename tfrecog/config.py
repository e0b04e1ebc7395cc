"""Every dataclass of an experiment: the defaults are the papers', and each leaf is one flag.

A leaf's flag is named by its path from `Experiment`: `--optim.learning_rate=0.02`. Durations are in epochs, image sizes
in pixels, fractions in [0, 1].
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

Norm = Literal["none", "frozen", "batch", "sync_batch", "group"]


@dataclass(frozen=True)
class DataConfig:
    """Where the records are, and what happens to an image on its way into a batch."""

    records: Annotated[str, "Folder with dataset.json and the TFRecord shards."] = ""
    train_split: Annotated[str, "Split to train on."] = "train"
    eval_split: Annotated[str, "Split to evaluate on."] = "val"
    batch_size: Annotated[int, "Training images in a step, over all replicas together."] = 16
    eval_batch_size: Annotated[int, "Evaluation images in a step, over all replicas together."] = 8
    short_side: Annotated[
        tuple[int, ...], "Training: the short side is resized to one of these (multi-scale). 0: as it is (label maps)."
    ] = (800,)
    eval_short_side: Annotated[int, "Evaluation: the short side is resized to this. 0: as it is (label maps)."] = 800
    long_side: Annotated[int, "The long side of a resized image never exceeds this."] = 1333
    resize: Annotated[
        Literal["bilinear", "pillow"],
        "How an image is resized: from four pixels (torchvision), or by Pillow's filter, which averages when it "
        "shrinks (detectron2; classifiers).",
    ] = "bilinear"
    size_rounding: Annotated[
        Literal["floor", "nearest"], "How a resized side becomes whole pixels: torchvision's rule or detectron2's."
    ] = "floor"
    scale_jitter: Annotated[
        tuple[float, ...],
        "Training: range of a random extra scale; what grows past the canvas is cropped. 1,1: off.",
    ] = (1.0, 1.0)
    aspect_ratios: Annotated[
        tuple[float, ...],
        "Long side / short side of the static shapes, each in landscape and portrait; an image goes into the "
        "smallest that holds it, and a batch has one shape.",
    ] = (1.36, 1.67)
    tight: Annotated[
        bool,
        "Evaluation and prediction: pad an image to the next multiple of 32 only, as published weights were measured "
        "(with --data.eval_batch_size=1).",
    ] = False
    flip: Annotated[float, "Training: probability of a horizontal flip."] = 0.5
    photometric: Annotated[float, "Training: strength of brightness, contrast, saturation and hue jitter. 0: off."] = (
        0.0
    )
    max_instances: Annotated[int, "Ground-truth slots an image; more are reported and left out."] = 100
    difficult: Annotated[bool, "Training: objects that are marked as difficult (Pascal VOC) are learned too."] = True
    max_proposals: Annotated[int, "Proposals of a record that are read, the best first; 2000 in the papers."] = 2000
    mask_size: Annotated[int, "Side of the square that holds a ground-truth mask, in its box."] = 112
    skip_empty: Annotated[bool, "Training: leave out images without a single (non-crowd) box."] = True
    min_keypoints: Annotated[
        int, "Training of keypoints: leave out images that have fewer labelled keypoints, over all their instances."
    ] = 1
    skip_damaged: Annotated[
        bool, "Training: go on without a damaged record or image, naming each. Off: stop at the first."
    ] = True
    workers: Annotated[int, "Images prepared at once. 0: as many as tf.data finds useful."] = 0


@dataclass(frozen=True)
class AugmentConfig:
    """What a classifier sees of a picture while it learns; `data.flip` and `data.resize` count too."""

    crop: Annotated[
        Literal["inception", "scale", "centre", "whole"],
        "Part of the picture that is resized to `classifier.crop`: a random area and shape (Szegedy et al. 2015), a "
        "random square after the short side was resized to a random one of data.short_side (He et al. 2015), the "
        "middle as in evaluation, or all of it, whatever its shape.",
    ] = "inception"
    area: Annotated[tuple[float, ...], "`inception`: range of the crop's share of the area."] = (0.08, 1.0)
    aspect: Annotated[tuple[float, ...], "`inception`: range of the crop's width / height."] = (3 / 4, 4 / 3)
    shift: Annotated[int, "Moves the crop by up to so many of its pixels each way; what was outside is 0."] = 0
    jitter: Annotated[
        tuple[float, ...], "Strength of brightness, contrast and saturation jitter, in random order. 0,0,0: off."
    ] = (0.0, 0.0, 0.0)
    lighting: Annotated[
        float, "Deviation of the noise along the principal colours of ImageNet; 0.1 in Krizhevsky et al. 2012. 0: off."
    ] = 0.0
    layers: Annotated[int, "RandAugment (Cubuk et al. 2020): operations an image. 0: off."] = 0
    magnitude: Annotated[float, "RandAugment: their strength, 0 to 30."] = 9.0
    mixup: Annotated[float, "Mixup (Zhang et al. 2018): alpha of the beta distribution. 0: off."] = 0.0


@dataclass(frozen=True)
class BackboneConfig:
    """The network under a detector or an FCN: a ResNet (He et al. 2015), MobileNetV3, VGG16, or one of Keras'."""

    name: Annotated[
        Literal[
            "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "mobilenet_v3_large",
            "vgg16", "alexnet", "zf", "keras_resnet50", "keras_resnet101", "keras_vgg16", "keras_mobilenet_v2",
            "keras_mobilenet_v3_small", "keras_mobilenet_v3_large", "keras_efficientnet_v2_b0",
        ],
        "Which network; those without keras_ are torchvision's, but for zf (Zeiler and Fergus 2014). vgg16 is for FCNs "
        "and, as alexnet and zf, for detectors on a single map.",
    ] = "resnet50"  # fmt: skip
    weights: Annotated[
        str,
        "Weights of a keras_ network: `imagenet` (Keras downloads them into its cache), or a weights file (.h5). "
        "Empty: random.",
    ] = ""
    norm: Annotated[
        Literal["frozen", "batch", "sync_batch", "group"],
        "Normalisation: frozen batch norm (for weights that have learned), batch norm of each replica, over all "
        "replicas, or group norm.",
    ] = "frozen"
    norm_epsilon: Annotated[float, "Added to the variance."] = 1e-5
    width: Annotated[int, "Channels of a ResNet's first stage; 64 in the paper."] = 64
    stride_in_1x1: Annotated[
        bool, "A bottleneck's stride is in its first 1x1 convolution (the paper, detectron2) and not in the 3x3."
    ] = False
    frozen_stages: Annotated[int, "Stages that do not learn: 0 none, 1 the stem, 2 the stem and res2, ..."] = 2


@dataclass(frozen=True)
class FpnConfig:
    """Feature pyramid network (Lin et al. 2017)."""

    channels: Annotated[int, "Channels of every level."] = 256
    norm: Annotated[Norm, "Normalisation after each convolution."] = "none"


@dataclass(frozen=True)
class ProposalConfig:
    """Proposals kept by the RPN (Ren et al. 2015, section 3.3)."""

    per_level: Annotated[int, "Best anchors of each level before suppression."] = 2000
    total: Annotated[int, "Proposals of an image after suppression."] = 2000


@dataclass(frozen=True)
class RpnConfig:
    """Region proposal network (Ren et al. 2015); conventions of torchvision."""

    anchor_sizes: Annotated[tuple[int, ...], "Side of the square anchor of each level, finest first."] = (
        32, 64, 128, 256, 512,
    )  # fmt: skip
    anchor_ratios: Annotated[tuple[float, ...], "Height / width of the anchors of a cell."] = (0.5, 1.0, 2.0)
    every_size: Annotated[bool, "Every level of a pyramid has anchors of all sizes, and not of its own alone."] = False
    anchor_rule: Annotated[
        Literal["torchvision", "detectron2"],
        "Anchors in whole pixels at strides that the canvas gives, or real ones at strides of powers of two.",
    ] = "torchvision"
    convs: Annotated[int, "How many 3x3 convolutions."] = 1
    channels: Annotated[int, "Channels of the 3x3 convolutions. 0: as many as the features have."] = 0
    positive_iou: Annotated[float, "An anchor with at least this IoU is an object."] = 0.7
    negative_iou: Annotated[float, "An anchor with less than this IoU is background."] = 0.3
    samples: Annotated[int, "Anchors of an image in the loss."] = 256
    positive_fraction: Annotated[float, "At most this share of them are objects."] = 0.5
    nms_iou: Annotated[float, "Suppression threshold, within a level."] = 0.7
    min_size: Annotated[float, "Proposals with a shorter side than this are dropped (pixels)."] = 1e-3
    min_score: Annotated[float, "Proposals with a lower objectness (a probability) are dropped."] = 0.0
    smooth_l1_beta: Annotated[float, "Where the box loss turns from square to linear."] = 1 / 9
    train: ProposalConfig = field(default_factory=ProposalConfig)
    infer: ProposalConfig = field(default_factory=lambda: ProposalConfig(1000, 1000))


POOL_SAMPLES = (
    "RoIAlign samples a bin along each axis. 0: as many as the bin has cells, rounded up (detectron2's weights)."
)


@dataclass(frozen=True)
class BoxConfig:
    """Box branch (Girshick 2015; Lin et al. 2017, section 5.2)."""

    size: Annotated[int, "Side of the pooled region."] = 7
    pool_samples: Annotated[int, POOL_SAMPLES] = 2
    convs: Annotated[int, "3x3 convolutions before the fully connected layers."] = 0
    channels: Annotated[int, "Channels of those convolutions."] = 256
    norm: Annotated[Norm, "Normalisation after each of those convolutions."] = "none"
    layers: Annotated[int, "How many fully connected layers."] = 2
    trunk: Annotated[int, "Units of the fully connected layers."] = 1024
    dropout: Annotated[
        float, "Training: share of the units of each fully connected layer that rest; 0.5 in Fast R-CNN's code."
    ] = 0.0
    svd: Annotated[
        tuple[int, ...],
        "Each fully connected layer is two, with so many units between them (truncated SVD; Girshick 2015, section "
        "3.1): of runs that tfrecog.compress has written. Empty: none.",
    ] = ()
    context: Annotated[
        int, "pool=warp: pixels of the warped region, on each side, that lie around the roi; 16 of 227 in R-CNN."
    ] = 0
    scores: Annotated[
        Literal["softmax", "svm"],
        "A class's score: its softmax, or by its own linear SVM, as a sigmoid of the margin: of runs that tfrecog.svm "
        "has written (Girshick et al. 2014, appendix B).",
    ] = "softmax"
    samples: Annotated[int, "Rois of an image in the loss."] = 512
    positive_fraction: Annotated[float, "At most this share of them are objects."] = 0.25
    positive_iou: Annotated[float, "A roi with at least this IoU is an object; others are background."] = 0.5
    negative_iou: Annotated[
        float,
        "A roi with less than this IoU does not learn either; 0.1 in Fast R-CNN, whose background is near objects.",
    ] = 0.0
    delta_scale: Annotated[tuple[float, ...], "Factors of the deltas dy, dx, dh, dw."] = (10.0, 10.0, 5.0, 5.0)
    smooth_l1_beta: Annotated[float, "Where the box loss turns from square to linear."] = 1 / 9


@dataclass(frozen=True)
class MaskConfig:
    """Mask branch (He et al. 2017, section 3)."""

    size: Annotated[int, "Side of the pooled region; masks have twice this side."] = 14
    pool_samples: Annotated[int, POOL_SAMPLES] = 2
    channels: Annotated[int, "Channels of the convolutions."] = 256
    layers: Annotated[int, "How many 3x3 convolutions."] = 4
    norm: Annotated[Norm, "Normalisation after each of them."] = "none"


@dataclass(frozen=True)
class KeypointConfig:
    """Keypoint branch (He et al. 2017, section 5)."""

    size: Annotated[int, "Side of the pooled region; heat maps have four times this side."] = 14
    pool_samples: Annotated[int, POOL_SAMPLES] = 2
    margin: Annotated[
        float,
        "Share of a roi's sides that the branch sees beyond it on each side; 0 in the paper. For keypoints on an "
        "object's outline, which a roi cuts off when it is a little small.",
    ] = 0.0
    channels: Annotated[int, "Channels of the convolutions."] = 512
    layers: Annotated[int, "How many 3x3 convolutions."] = 8
    min_visible: Annotated[int, "Instances with fewer labelled keypoints do not train the branch."] = 1
    normalize: Annotated[
        Literal["visible", "slots"],
        "The loss is divided by the number of visible keypoints, or by that of all keypoints the batch has room for "
        "(box.samples * box.positive_fraction * keypoints of each image).",
    ] = "visible"
    loss_weight: Annotated[float, "Factor of the loss; 4 goes well with `slots`."] = 1.0
    decode: Annotated[
        Literal["peak", "expected_oks"],
        "A keypoint is where its heat map is highest, as in the paper, or where the expected OKS is greatest by that "
        "map and the sigmas of dataset.json.",
    ] = "peak"
    pixel_index: Annotated[
        bool,
        "The branch speaks of pixel indices (torchvision's weights) and not of pixel centres, half a pixel of the "
        "original image farther.",
    ] = False


@dataclass(frozen=True)
class OutputConfig:
    """From scores to detections."""

    min_score: Annotated[float, "Detections with a lower score are dropped."] = 0.05
    nms_iou: Annotated[float, "Suppression threshold, within a class."] = 0.5
    max_detections: Annotated[int, "Detections of an image."] = 100
    min_size: Annotated[float, "Detections with a shorter side than this are dropped (pixels)."] = 1e-2
    mask_threshold: Annotated[float, "A pixel above this probability belongs to the mask."] = 0.5
    paste: Annotated[
        Literal["torchvision", "detectron2"],
        "How a mask gets into the image: stretched over whole pixels, or read at pixel centres.",
    ] = "torchvision"


@dataclass(frozen=True)
class DetectorConfig:
    """The R-CNN family: R-CNN, SPP-net, Fast, Faster, Mask and Keypoint R-CNN."""

    masks: Annotated[bool, "Predict masks: Mask R-CNN instead of Faster R-CNN."] = False
    keypoints: Annotated[bool, "Predict keypoints: Keypoint R-CNN, with masks too if both are set."] = False
    proposals: Annotated[
        Literal["rpn", "record"],
        "Where rois come from: the RPN (Faster R-CNN), or the records (pipelines.proposals), as before it.",
    ] = "rpn"
    neck: Annotated[
        Literal["fpn", "c4", "single"],
        "FPN; the single stride-16 map with res5 as the trunk; or one map, with fully connected layers as the trunk.",
    ] = "fpn"
    level: Annotated[
        int, "neck=single: level of the map, 4 (stride 16, conv5 of VGG) or 5 (stride 32, of ResNets)."
    ] = 4
    pool: Annotated[
        Literal["roi_align", "roi_pool", "pyramid", "warp"],
        "How the features of a roi are pooled, for boxes and masks; pyramid is SPP-net's. warp is R-CNN: the image "
        "itself, there, is resized to box.size, the whole network is the trunk, and `neck` is not read.",
    ] = "roi_align"
    pyramid: Annotated[tuple[int, ...], "pool=pyramid: bins along each side of its levels (He et al. 2014)."] = (
        1, 2, 3, 6,
    )  # fmt: skip
    aligned: Annotated[bool, "RoIAlign shifts by half a cell (detectron2's aligned); torchvision's weights do not."] = (
        False
    )
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fpn: FpnConfig = field(default_factory=FpnConfig)
    rpn: RpnConfig = field(default_factory=RpnConfig)
    box: BoxConfig = field(default_factory=BoxConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    keypoint: KeypointConfig = field(default_factory=KeypointConfig)
    output: OutputConfig = field(default_factory=OutputConfig)


@dataclass(frozen=True)
class ClassifierConfig:
    """A network that names the class of a whole image, in torchvision's form."""

    name: Annotated[
        Literal[
            "alexnet", "vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
            "resnext50_32x4d", "mobilenet_v3_large", "lecun1989", "lenet5", "lenet_modern",
        ],
        "Which network: one of torchvision's, or of the digits' (LeCun et al. 1989; 1998; a modern one).",
    ] = "resnet50"  # fmt: skip
    crop: Annotated[
        int, "Evaluation and prediction: side of the square cut from the middle of the resized image (pixels)."
    ] = 224
    width: Annotated[int, "Channels of a ResNet's first stage; 64 in the paper."] = 64
    norm: Annotated[
        Literal["frozen", "batch", "sync_batch", "group"],
        "Normalisation, as of a detector's backbone; AlexNet and VGG16 without _bn have none.",
    ] = "batch"
    norm_epsilon: Annotated[float, "Added to the variance; MobileNetV3 has 1e-3."] = 1e-5
    zero_gamma: Annotated[
        bool, "A residual block starts as the identity: the gain of its last norm is 0 (Goyal et al. 2017, 5.1)."
    ] = False
    dropout: Annotated[
        float, "Training: share of the units of each fully connected layer but the last that rest; ResNets have none."
    ] = 0.0
    loss: Annotated[
        Literal["cross_entropy", "squared_error"],
        "Softmax cross entropy, or the mean squared error of the outputs from targets of -1 and 1 (LeCun et al. 1989).",
    ] = "cross_entropy"
    label_smoothing: Annotated[
        float, "Share of the target that is spread over all classes (Szegedy et al. 2016, section 7)."
    ] = 0.0


@dataclass(frozen=True)
class SegmenterConfig:
    """A fully convolutional network that names the class of every pixel."""

    name: Annotated[
        Literal["fcn32s", "fcn16s", "fcn8s", "fcn_dilated"],
        "The paper's network, which upsamples the scores of its last map and adds those of the poolings 4 and 3 (Long "
        "et al. 2015, figure 3), or torchvision's, whose last two stages are dilated: stride 8.",
    ] = "fcn8s"
    backbone: BackboneConfig = field(
        default_factory=lambda: BackboneConfig(name="vgg16", norm="batch", frozen_stages=0)
    )
    fc_channels: Annotated[
        int,
        "fcn32s to fcn8s: channels of fc6 and fc7 as convolutions; 4096 in the paper. 0: none, the scores come next.",
    ] = 4096
    fc_size: Annotated[int, "Side of fc6; 7 in the paper. fc7 is 1x1."] = 7
    padding: Annotated[
        int,
        "fcn32s to fcn8s: zeros around the image, and the scores are cropped; 100 in the paper. 0: every layer pads "
        "so much that its map covers the image.",
    ] = 100
    upsampling: Annotated[
        Literal["learned", "fixed"],
        "fcn32s to fcn8s: deconvolutions that start bilinear learn, or stay so. fcn_dilated resizes bilinearly.",
    ] = "fixed"
    skip_scales: Annotated[
        tuple[float, ...],
        "Factors of the features of pool4 and pool3 before they are scored; 0.01,0.0001 to train FCN-8s at once, and "
        "1,1 in stages (from a trained FCN-16s, from an FCN-32s).",
    ] = (0.01, 0.0001)
    dropout: Annotated[
        float, "Training: share of units that rest after fc6 and fc7 (the paper: 0.5), or before the last layer "
        "(torchvision: 0.1, of whole pixels' features one by one)."
    ] = 0.5  # fmt: skip
    auxiliary: Annotated[
        float, "fcn_dilated: weight of the loss of a second head on res4, in training only (torchvision: 0.5). 0: no "
        "such head."
    ] = 0.5  # fmt: skip
    loss: Annotated[
        Literal["softmax", "binary"],
        "Cross entropy of a softmax over the classes, or of a sigmoid for each class, at every pixel.",
    ] = "softmax"
    reduction: Annotated[
        Literal["mean", "sum"],
        "The loss is the mean over all pixels that count, or their sum (the paper, with a rate of 1e-10 and a batch of "
        "1), divided by the number of images.",
    ] = "mean"
    class_weights: Annotated[
        tuple[float, ...], "Weight of each class in the loss, in the order of dataset.json. Empty: all 1."
    ] = ()
    class_balance: Annotated[
        float,
        "Weights of the classes by their pixels in the records, instead: the median of all classes over that of the "
        "class, to this power, such as 0.5 or 1, over all pixels of the training split. 0: none.",
    ] = 0.0
    crop: Annotated[
        tuple[int, ...],
        "Training: height and width of the window of a resized image; what an image lacks is filled up and does not "
        "count.",
    ] = (480, 480)
    window: Annotated[
        tuple[int, ...],
        "Evaluation and prediction: height and width of a window that slides over the image, half of it at a time, for "
        "networks that cannot see the whole image at once; the scores of all of it are held. Empty: the whole image.",
    ] = ()
    scales: Annotated[
        tuple[float, ...], "Evaluation and prediction: the mean over the image at these scales, such as 0.75,1,1.25."
    ] = (1.0,)
    mirror: Annotated[bool, "Evaluation and prediction: the mean over the image and its mirror image."] = False


@dataclass(frozen=True)
class OptimConfig:
    """How a gradient changes the weights; SGD as the field means it: u = m u + g + decay w; w = w - rate u."""

    name: Annotated[
        Literal["sgd", "lars", "adamw", "lamb"],
        "SGD with momentum, LARS (You et al. 2017), AdamW (Loshchilov and Hutter 2019), LAMB (You et al. 2020).",
    ] = "sgd"
    learning_rate: Annotated[float, "Learning rate for a batch of `base_batch_size` images."] = 0.02
    base_batch_size: Annotated[int, "Batch size that the learning rate was chosen for."] = 16
    scaling: Annotated[
        Literal["linear", "sqrt", "none"], "How the rate follows the batch size (Goyal et al. 2017, section 2.1)."
    ] = "linear"
    momentum: Annotated[float, "Share of the last update that is kept."] = 0.9
    nesterov: Annotated[bool, "Nesterov's momentum."] = False
    momentum_correction: Annotated[
        bool,
        "A changed rate acts at once on the whole update (Goyal et al. 2017, section 3). Off: the rate is inside the "
        "momentum, v = m v + rate (g + decay w), as in many libraries.",
    ] = True
    beta2: Annotated[float, "AdamW, LAMB: share of the last second moment that is kept; `momentum` is their beta1."] = (
        0.999
    )
    epsilon: Annotated[float, "AdamW, LAMB: added to the root of the second moment."] = 1e-8
    trust: Annotated[float, "LARS: the update's norm is this share of the weight's, times the rate."] = 0.001
    weight_decay: Annotated[float, "L2 penalty on kernels."] = 1e-4
    decay_biases: Annotated[bool, "Weight decay on biases too."] = True
    decay_norm: Annotated[bool, "Weight decay on the gain and shift of normalisation too."] = False
    clip_norm: Annotated[float, "Largest norm of the whole gradient, after the all-reduce. 0: no clipping."] = 0.0
    ema: Annotated[
        float,
        "Decay, a step, of a moving average of the weights, which evaluation and prediction then use, such as 0.9999. "
        "0: none.",
    ] = 0.0


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate over time, in epochs."""

    epochs: Annotated[float, "Length of training."] = 12.0
    warmup: Annotated[
        Literal["gradual", "constant", "none"],
        "The rate grows by the same amount at every step, stays at its start and then jumps, or is there at once "
        "(Goyal et al. 2017, section 2.2).",
    ] = "gradual"
    warmup_epochs: Annotated[float, "Length of the warmup."] = 0.136
    warmup_from: Annotated[
        Literal["factor", "base"],
        "The warmup starts at `warmup_factor` of the rate, or at optim.learning_rate as it is before it is scaled.",
    ] = "factor"
    warmup_factor: Annotated[float, "See `warmup_from`."] = 0.001
    shape: Annotated[
        Literal["steps", "cosine", "poly", "constant"],
        "After the warmup: drops at `drop_epochs`, half a cosine down to 0 at the end (Loshchilov and Hutter 2017), "
        "the share of the training that is left to the power of 0.9 (segmentation), or no change.",
    ] = "steps"
    drop_epochs: Annotated[tuple[float, ...], "The rate is multiplied by `drop_factor` at these epochs."] = (8.0, 11.0)
    drop_factor: Annotated[float, "See `drop_epochs`."] = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """How a run is run."""

    start_from: Annotated[
        str,
        "Weights of a new run: the folder of another run (its best checkpoint, or else its latest) or a checkpoint.",
    ] = ""
    skip_mismatched: Annotated[
        bool,
        "Of `start_from`, leave out with a list what has another name or shape, as the heads of other classes have.",
    ] = False
    seed: Annotated[int, "Seed of the weights, of the data order and of the sampling."] = 0
    replicas: Annotated[int, "Devices to train on. 0: every GPU, or the CPU."] = 0
    deterministic: Annotated[bool, "Bit-for-bit repeatable on a GPU too; slower there."] = False
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        "What the network computes in; weights, losses and their sums are float32. float16 scales the loss, and halves "
        "the scale when a gradient overflows (Micikevicius et al. 2018).",
    ] = "float32"
    jit_compile: Annotated[bool, "Compile the network and its gradient by XLA; not for detectors."] = False
    accumulation: Annotated[
        int, "The batch is worked through in so many parts, whose gradients are added: less memory, the same update."
    ] = 1
    steps_per_call: Annotated[int, "Steps that a device takes without coming back to Python."] = 1
    profile_steps: Annotated[
        tuple[int, ...], "First and last step of a profile for TensorBoard, such as 10,15. Empty: none."
    ] = ()
    evaluate_epochs: Annotated[float, "Evaluate every so many epochs, and at the end. 0: never."] = 1.0
    checkpoint_epochs: Annotated[float, "Save a checkpoint every so many epochs."] = 1.0
    keep_checkpoints: Annotated[int, "How many of the latest checkpoints are kept, beside the best."] = 2
    log_steps: Annotated[int, "Print and write a summary every so many steps."] = 20
    summary_images: Annotated[int, "Pictures of predictions in TensorBoard after each evaluation."] = 4


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run."""

    task: Annotated[Literal["detection", "classification", "segmentation"], "What is learned."] = "detection"
    workdir: Annotated[str, "Folder of the run: checkpoints, metrics, TensorBoard events."] = ""
    metrics: Annotated[
        Literal["auto", "coco", "voc", "both"],
        "Numbers of a detector: COCO's, Pascal VOC's (AP at IoU 0.5), or both; auto: both where the records mark "
        "difficult objects, else COCO's.",
    ] = "auto"
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
