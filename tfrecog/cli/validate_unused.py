"""Settings that would change nothing beside the others; refused, so that nobody takes them for what was run.

What only a schedule's other shape would read is not among them (the warmup's length where there is none, drops where
there is a cosine): whoever compares schedules changes the one flag.
"""

from collections.abc import Mapping
from typing import Any

from tfrecog.cli import flags
from tfrecog.config import Experiment

_DEFAULTS = {leaf.path: leaf.value for leaf in flags.leaves(Experiment())} | {"min_score": 0.5}  # of a prediction

# Flags, or sections with a dot at the end, that not all tasks read.
_DETECTION = (
    "detector.", "data.aspect_ratios", "data.tight", "data.max_instances", "data.mask_size", "data.skip_empty",
    "data.min_keypoints", "data.difficult", "data.max_proposals", "metrics", "min_score",
)  # fmt: skip
_CLASSIFICATION = ("classifier.", "augment.")
_SEGMENTATION = ("segmenter.",)
_NOT_CLASSIFICATION = ("data.long_side", "data.size_rounding", "data.scale_jitter", "data.photometric")
_OTHERS = {
    "detection": (*_CLASSIFICATION, *_SEGMENTATION),
    "classification": (*_DETECTION, *_SEGMENTATION, *_NOT_CLASSIFICATION),
    "segmentation": (*_DETECTION, *_CLASSIFICATION),
}

# Networks that end with fully connected layers, behind conv5.
WITHOUT_NORM = ("alexnet", "vgg16", "zf")


def settings(values: Mapping[str, Any]) -> dict[str, str]:
    """Flag → why nothing reads it, of the flags of an experiment (path → value) that are not as by default."""
    found = _of_task(values)
    of = {"detection": _of_detectors, "classification": _of_classifiers, "segmentation": _of_segmenters}
    found |= of[values["task"]](values)
    found |= _of_training(values)
    return {flag: reason for flag, reason in found.items() if values[flag] != _DEFAULTS[flag]}


def _leave(flag, reason):
    default = _DEFAULTS[flag]
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return {flag: f"{reason}; leave it at {str(shown).lower() if isinstance(default, bool) else shown}"}


def _of_task(values):
    """Of other tasks."""
    others, found = _OTHERS[values["task"]], {}
    for flag in values:
        if flag.startswith(tuple(other for other in others if other.endswith("."))) or flag in others:
            found |= _leave(flag, f"--task={values['task']} does not read it")
    return found


def _of_backbone(values, section):
    """Of other networks."""
    name, found = values[f"{section}.backbone.name"], {}
    if name in ("mobilenet_v3_large", *WITHOUT_NORM):
        found |= _leave(f"{section}.backbone.width", f"{name} does not read it")
    if name in ("resnet18", "resnet34", "mobilenet_v3_large", *WITHOUT_NORM):
        reason = f"{name} has no bottleneck of a ResNet, which alone reads it"
        found |= _leave(f"{section}.backbone.stride_in_1x1", reason)
    return found


def _of_detectors(values):
    """Of other networks, another pooling, or other proposals."""
    found, pool, neck = _of_backbone(values, "detector"), values["detector.pool"], values["detector.neck"]
    if values["detector.backbone.name"] in WITHOUT_NORM:
        for field in ("norm", "norm_epsilon"):
            found |= _leave(f"detector.backbone.{field}", f"{values['detector.backbone.name']} has no normalisation")
    if pool != "roi_align":
        takes = "resizes the image" if pool == "warp" else "takes the maximum"
        for flag in ("box.pool_samples", "mask.pool_samples", "keypoint.pool_samples", "aligned"):
            found |= _leave(f"detector.{flag}", f"--detector.pool={pool} {takes} and no samples")
    if pool == "pyramid":
        found |= _leave("detector.box.size", "--detector.pool=pyramid has the bins of --detector.pyramid")
    else:
        found |= _leave("detector.pyramid", f"only --detector.pool=pyramid has its bins, not {pool}")
    if pool == "warp":
        found |= _leave("detector.neck", "--detector.pool=warp sees the image itself")
        neck = "warp"
    else:
        found |= _leave("detector.box.context", f"only --detector.pool=warp sees around a roi, not {pool}")
    if neck != "single":
        found |= _leave("detector.level", "only --detector.neck=single reads it")
    if neck != "fpn":
        found |= _all(values, "detector.fpn.", f"there is no pyramid of features (--detector.{_why(neck)})")
    if neck == "c4" or not values["detector.box.layers"]:
        reason = "res5 has no" if neck == "c4" else "--detector.box.layers=0 leaves no"
        for field in ("dropout", "svd"):
            found |= _leave(f"detector.box.{field}", f"{reason} fully connected layers")
    if values["detector.proposals"] == "record":
        return found | _all(values, "detector.rpn.", "--detector.proposals=record has no RPN")
    return found | _leave("data.max_proposals", "only --detector.proposals=record reads proposals of the records")


def _why(neck):
    return "pool=warp" if neck == "warp" else f"neck={neck}"


def _all(values, section, reason):
    """Of all flags that begin so."""
    found = {}
    for flag in values:
        if flag.startswith(section):
            found |= _leave(flag, reason)
    return found


def _of_segmenters(values):
    """Of other networks."""
    found, name = _of_backbone(values, "segmenter"), values["segmenter.name"]
    if values["segmenter.backbone.name"] == "vgg16":
        for field in ("norm", "norm_epsilon"):
            found |= _leave(f"segmenter.backbone.{field}", "vgg16 has no normalisation in an FCN")
    if name == "fcn_dilated":
        for field in ("fc_channels", "fc_size", "padding", "upsampling", "skip_scales"):
            found |= _leave(f"segmenter.{field}", "fcn_dilated does not read it")
    else:
        found |= _leave("segmenter.auxiliary", f"only fcn_dilated has a second head, not {name}")
        if name == "fcn32s":
            found |= _leave("segmenter.skip_scales", "fcn32s adds no earlier features")
            found |= _leave("segmenter.upsampling", "fcn32s upsamples once, and the last step stays bilinear")
        if not values["segmenter.fc_channels"]:
            for field in ("fc_size", "dropout"):
                found |= _leave(f"segmenter.{field}", "there are no fc6 and fc7 (--segmenter.fc_channels=0)")
    return found


def _of_classifiers(values):
    """Of other networks, or another crop."""
    name, crop, found = values["classifier.name"], values["augment.crop"], {}
    residual = name.startswith("resne")
    if not residual:
        for flag in ("classifier.zero_gamma", "classifier.width"):
            found |= _leave(flag, f"{name} has no residual blocks of a ResNet, which alone read it")
    if residual:
        found |= _leave("classifier.dropout", f"{name} has one fully connected layer, and none before it")
    if name in ("alexnet", "vgg16", "lecun1989", "lenet5"):
        for flag in ("classifier.norm", "classifier.norm_epsilon"):
            found |= _leave(flag, f"{name} has no normalisation")
    if crop != "inception":
        for flag in ("augment.area", "augment.aspect"):
            found |= _leave(flag, f"only --augment.crop=inception reads it, not {crop}")
    if crop != "scale":
        found |= _leave("data.short_side", f"a classifier reads it with --augment.crop=scale only, not {crop}")
    if not values["augment.layers"]:
        found |= _leave("augment.magnitude", "RandAugment is off (--augment.layers=0)")
    return found


def _of_training(values):
    """Of other optimizers, or another start of the warmup."""
    name, found = values["optim.name"], {}
    readers = {
        "beta2": ("adamw", "lamb"),
        "epsilon": ("adamw", "lamb"),
        "trust": ("lars",),
        "nesterov": ("sgd", "lars"),
        "momentum_correction": ("sgd", "lars"),
    }
    for field, optimizers in readers.items():
        if name not in optimizers:
            found |= _leave(f"optim.{field}", f"--optim.name={name} does not read it, but {' and '.join(optimizers)}")
    if values["schedule.warmup_from"] == "base":
        reason = "--schedule.warmup_from=base starts the warmup at optim.learning_rate"
        found |= _leave("schedule.warmup_factor", reason)
    return found
