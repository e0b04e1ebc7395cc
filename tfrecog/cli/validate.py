"""What the values of an experiment may be."""

import math

from tfrecog.cli import flags, validate_detector, validate_unused
from tfrecog.cli.errors import UserError
from tfrecog.cli.validate_detector import SMALLEST_CROP
from tfrecog.config import BackboneConfig, Experiment

_FRACTIONS = {
    "data.flip",
    "augment.area",
    "detector.rpn.positive_iou",
    "detector.rpn.negative_iou",
    "detector.rpn.positive_fraction",
    "detector.rpn.nms_iou",
    "detector.rpn.min_score",
    "detector.box.positive_iou",
    "detector.box.positive_fraction",
    "detector.box.negative_iou",
    "detector.output.min_score",
    "detector.output.nms_iou",
    "detector.output.mask_threshold",
    "schedule.warmup_factor",
    "min_score",  # of a prediction
}
# 0 is off, none or the default. All other numbers must be more than 0.
_FROM_0 = {
    "data.photometric",
    "data.workers",
    "data.min_keypoints",
    "detector.backbone.frozen_stages",
    "detector.backbone.norm_epsilon",
    "detector.rpn.channels",
    "detector.rpn.min_size",
    "detector.rpn.smooth_l1_beta",
    "detector.box.smooth_l1_beta",
    "detector.box.convs",
    "detector.box.layers",
    "detector.box.context",
    "detector.box.svd",
    "detector.box.pool_samples",
    "detector.mask.pool_samples",
    "detector.mask.layers",
    "detector.keypoint.pool_samples",
    "detector.keypoint.layers",
    "detector.keypoint.margin",
    "detector.keypoint.min_visible",
    "detector.keypoint.loss_weight",
    "detector.output.min_size",
    "segmenter.backbone.frozen_stages",
    "segmenter.backbone.norm_epsilon",
    "segmenter.fc_channels",
    "segmenter.padding",
    "segmenter.auxiliary",
    "segmenter.class_weights",
    "segmenter.class_balance",
    "data.short_side",  # of label maps: see `_contradictions`
    "data.eval_short_side",
    "augment.shift",
    "augment.jitter",
    "augment.lighting",
    "augment.layers",
    "augment.magnitude",
    "augment.mixup",
    "classifier.norm_epsilon",
    "optim.weight_decay",
    "optim.clip_norm",
    "schedule.warmup_epochs",
    "schedule.drop_epochs",
    "train.seed",
    "train.replicas",
    "train.evaluate_epochs",
    "train.checkpoint_epochs",
    "train.summary_images",
    "draw_side",  # of a prediction
}
_LENGTHS = {"data.scale_jitter": 2, "detector.box.delta_scale": 4}
_LENGTHS |= {"augment.area": 2, "augment.aspect": 2, "augment.jitter": 3}
_LENGTHS |= {"segmenter.skip_scales": 2, "segmenter.crop": 2}
# At 1 nothing would be left: of the units, of the true class's share, of the news in a moving average.
_BELOW_1 = {
    "detector.box.dropout",
    "segmenter.dropout",
    "classifier.dropout",
    "classifier.label_smoothing",
    "optim.beta2",
    "optim.ema",
    "optim.momentum",
}
_STRONGEST = 30  # magnitude of RandAugment
_MAY_BE_EMPTY = {"schedule.drop_epochs", "train.profile_steps", "segmenter.class_weights", "segmenter.window"}
_MAY_BE_EMPTY |= {"detector.box.svd"}


def check(experiment: Experiment) -> None:
    """Raises a ValueError that names the flag of every value that cannot work."""
    values = {leaf.path: leaf.value for leaf in flags.leaves(experiment)}
    wrong = {flag: reason for flag, value in values.items() if (reason := _reason(flag, value))}
    if not wrong:
        wrong = _contradictions(values)
    if wrong:
        raise UserError("\n".join(f"--{flag}={_shown(values[flag])}: {reason}" for flag, reason in wrong.items()))


def _reason(flag, value):
    """Why a flag cannot have a value; empty if it can. Written so that NaN fails too."""
    if isinstance(value, bool | str):
        return ""
    numbers = value if isinstance(value, tuple) else (value,)
    length = _LENGTHS.get(flag)
    if (length and len(numbers) != length) or not (numbers or flag in _MAY_BE_EMPTY):
        return f"needs {length or 'at least one'} comma separated number{'s' * bool(length)}"
    if flag in _BELOW_1:
        return "" if all(0 <= number < 1 for number in numbers) else "must be at least 0 and less than 1"
    if flag in _FRACTIONS:
        return "" if all(0 <= number <= 1 for number in numbers) else "must be between 0 and 1"
    if flag in _FROM_0:
        return "" if all(0 <= number < math.inf for number in numbers) else "must not be negative"
    return "" if all(0 < number < math.inf for number in numbers) else "must be more than 0"


def _contradictions(values):
    """Flags whose value is possible, but not beside the others or with the sizes of the library → why."""
    wrong = {}
    for section in ("detector", "segmenter"):
        wrong |= _of_frozen_stages(values, section) | _of_keras_networks(values, section)
    if values["train.seed"] >= 2**31:
        wrong["train.seed"] = f"must be less than {2**31}"
    for flag in ("data.scale_jitter", "augment.area", "augment.aspect"):
        if values[flag][0] > values[flag][1]:
            wrong[flag] = "the smaller number comes first"
    positive = values["detector.rpn.positive_iou"]
    if values["detector.rpn.negative_iou"] > positive:
        wrong["detector.rpn.negative_iou"] = f"must not exceed --detector.rpn.positive_iou={positive}"
    drops = values["schedule.drop_epochs"]
    if list(drops) != sorted(set(drops)):
        wrong["schedule.drop_epochs"] = "must be increasing, from 0"
    wrong |= validate_detector.parts(values) | _of_sides(values) | _of_segmentation(values) | _of_classification(values)
    return wrong | _of_steps(values) | validate_unused.settings(values)


def _of_sides(values):
    """Which sizes mean something to which task."""
    wrong = {}
    if values["task"] != "segmentation":
        for flag in ("data.short_side", "data.eval_short_side"):
            sides = values[flag] if isinstance(values[flag], tuple) else (values[flag],)
            if 0 in sides:
                wrong[flag] = "must be more than 0; images keep their size with --task=segmentation only"
    if len(values["segmenter.window"]) not in (0, 2):
        wrong["segmenter.window"] = "needs the height and the width, as in 512,512, or nothing"
    if values["segmenter.class_weights"] and values["segmenter.class_balance"]:
        wrong["segmenter.class_balance"] = "leave it at 0.0, or --segmenter.class_weights empty"
    return wrong


def _of_segmentation(values):
    """Which networks an FCN can stand on, and where its maps lie."""
    if values["task"] != "segmentation":
        return {}
    wrong, name, network = {}, values["segmenter.name"], values["segmenter.backbone.name"]
    if network.startswith("keras_") or network in ("mobilenet_v3_large", "alexnet", "zf"):
        wrong["segmenter.backbone.name"] = "an FCN stands on a ResNet or vgg16"
    elif name == "fcn_dilated":
        if network == "vgg16":
            wrong["segmenter.backbone.name"] = "fcn_dilated stands on a ResNet, whose last two stages are dilated"
    else:
        padding, size = values["segmenter.padding"], values["segmenter.fc_size"]
        # Of 32s, the coarsest: less, and fc6 would end before the image does (see models/fcn_heads.py).
        least = 16 * size - 31 if values["segmenter.fc_channels"] else 0
        if not size % 2:
            wrong["segmenter.fc_size"] = "must be odd, so that a cell lies in the middle"
        if padding and network != "vgg16":
            wrong["segmenter.padding"] = f"is the paper's way with vgg16; with {network} set it to 0"
        elif 0 < padding < least:
            wrong["segmenter.padding"] = (
                f"must be at least {least} for --segmenter.fc_size={size} to cover the image, or 0"
            )
    return wrong


def _of_classification(values):
    """What a classifier is shown, and of what size."""
    if values["task"] != "classification":
        return {}
    wrong, name, crop, short = {}, values["classifier.name"], values["classifier.crop"], values["data.eval_short_side"]
    if crop < SMALLEST_CROP.get(name, 1):
        wrong["classifier.crop"] = f"{name} needs at least {SMALLEST_CROP[name]} pixels"
    elif crop > short:
        wrong["classifier.crop"] = f"must not exceed --data.eval_short_side={short}, of which it is cut"
    if values["augment.crop"] == "scale" and min(values["data.short_side"]) < crop:
        wrong["data.short_side"] = f"must not be less than --classifier.crop={crop}, which is cut of it"
    if not values["augment.area"][0] or not values["augment.aspect"][0]:
        flag = "augment.aspect" if values["augment.area"][0] else "augment.area"
        wrong[flag] = "must be more than 0"
    if values["augment.shift"] >= crop:
        wrong["augment.shift"] = f"must be less than --classifier.crop={crop}, or nothing is left of the image"
    if values["augment.magnitude"] > _STRONGEST:
        wrong["augment.magnitude"] = f"must not exceed {_STRONGEST}"
    return wrong


def _of_steps(values):
    """How steps are taken."""
    wrong, steps = {}, values["train.profile_steps"]
    if steps and (len(steps) != 2 or steps[0] > steps[1]):
        wrong["train.profile_steps"] = "needs the first and the last step, as in 10,15"
    parts, batch = values["train.accumulation"], values["data.batch_size"]
    if batch % parts:
        wrong["train.accumulation"] = f"does not divide --data.batch_size={batch} into equal parts"
    if values["train.jit_compile"] and values["task"] == "detection":
        wrong["train.jit_compile"] = "XLA has no kernels for some of a detector's operations; leave it at false"
    elif values["train.jit_compile"]:
        flag = "segmenter.backbone.norm" if values["task"] == "segmentation" else "classifier.norm"
        if values[flag] == "sync_batch":
            wrong["train.jit_compile"] = f"--{flag}=sync_batch needs sums over the replicas in the middle of it"
    return wrong


def _of_frozen_stages(values, section):
    """How many stages a network has."""
    flag, name = f"{section}.backbone.frozen_stages", values[f"{section}.backbone.name"]
    if name == "mobilenet_v3_large":
        return {flag: f"{name} has 6, from the stem on"} if values[flag] > 6 else {}
    what = "the levels 1 to 5" if name.startswith("keras_") else "the stem and res2 to res5"
    what = "conv1 to conv5" if name in validate_unused.WITHOUT_NORM else what
    return {flag: f"there are 5, {what}"} if values[flag] > 5 else {}


def _of_keras_networks(values, section):
    """What a backbone of keras.applications cannot do, and what no other can."""
    name, weights = values[f"{section}.backbone.name"], f"{section}.backbone.weights"
    if not name.startswith("keras_"):
        reason = f"only keras_ networks read it, and --{section}.backbone.name={name}; for others: --train.start_from"
        return {weights: reason} if values[weights] else {}
    default = BackboneConfig()
    fixed = {field: getattr(default, field) for field in ("norm_epsilon", "width", "stride_in_1x1")}
    wrong = {
        f"{section}.backbone.{field}": f"{name} does not read it, for Keras has fixed it; leave it at {value}"
        for field, value in fixed.items()
        if values[f"{section}.backbone.{field}"] != value
    }
    if values[f"{section}.backbone.norm"] == "group":
        wrong[f"{section}.backbone.norm"] = f"{name} has batch norm: choose frozen, batch or sync_batch"
    if section == "detector" and values["detector.neck"] == "c4":
        wrong["detector.neck"] = f"its trunk is the res5 of a ResNet of this library; with {name} choose fpn"
    return wrong


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else value
