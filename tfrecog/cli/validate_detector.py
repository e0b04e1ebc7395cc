"""Which parts of a detector go together; see `limits`."""

from collections.abc import Mapping
from typing import Any

from tfrecog.cli import validate_unused

# Of the networks whose poolings leave nothing of smaller images.
SMALLEST_CROP = {"alexnet": 63, "zf": 33, "vgg16": 32, "vgg16_bn": 32, "lenet5": 12, "lenet_modern": 4}


def parts(values: Mapping[str, Any]) -> dict[str, str]:
    """Flag → why its value does not go with the others, of the flags of an experiment (path → value)."""
    if values["task"] != "detection":
        return {}
    wrong, pool, neck = {}, values["detector.pool"], values["detector.neck"]
    name, level = values["detector.backbone.name"], values["detector.level"]
    if pool == "warp":
        wrong |= _of_crops(values)
    elif name in validate_unused.WITHOUT_NORM and neck != "single":
        wrong["detector.backbone.name"] = f"{name} gives one map, conv5: add --detector.neck=single, not {neck}"
    elif neck == "single":
        levels = (4,) if name in validate_unused.WITHOUT_NORM else (4, 5)
        if name == "mobilenet_v3_large":
            wrong["detector.backbone.name"] = "has two last maps of one size; on a single map take one of Keras'"
        elif level not in levels:
            wrong["detector.level"] = f"{name} on a single map has the level {' or '.join(map(str, levels))}"
    if pool in ("pyramid", "warp"):
        for flag in ("masks", "keypoints"):
            if values[f"detector.{flag}"]:
                reason = f"--detector.pool={pool} leaves no map of a roi to draw {flag} on; choose roi_align"
                wrong[f"detector.{flag}"] = reason
        if values["detector.box.convs"]:
            wrong["detector.box.convs"] = f"--detector.pool={pool} leaves no map of a roi for them; leave it at 0"
    if pool == "pyramid" and neck == "c4":
        wrong["detector.pool"] = "res5, the trunk of --detector.neck=c4, needs a square of cells; choose single or fpn"
    svd, layers = values["detector.box.svd"], values["detector.box.layers"]
    if svd and len(svd) != layers:
        wrong["detector.box.svd"] = f"needs a number for each of --detector.box.layers={layers}, or none"
    positive = values["detector.box.positive_iou"]
    if values["detector.box.negative_iou"] >= positive:
        wrong["detector.box.negative_iou"] = f"must be less than --detector.box.positive_iou={positive}"
    return wrong


def _of_crops(values):
    """What R-CNN can do."""
    wrong, name, size = {}, values["detector.backbone.name"], values["detector.box.size"]
    if values["detector.proposals"] == "rpn":
        wrong["detector.pool"] = "R-CNN has no features for an RPN to look at; add --detector.proposals=record"
    smallest = max(32, SMALLEST_CROP.get(name, 0))
    if size < smallest:
        wrong["detector.box.size"] = (
            f"--detector.pool=warp resizes a roi to so many pixels, and {name} needs {smallest}"
        )
    elif name.startswith("keras_") and size % 32:
        wrong["detector.box.size"] = f"{name} needs a multiple of 32 with --detector.pool=warp"
    elif 2 * values["detector.box.context"] >= size:
        wrong["detector.box.context"] = f"leaves nothing of --detector.box.size={size} for the roi"
    return wrong
