"""Which pictures a TFLite file can take: their size, and how a photo gets onto them."""

import re

from tfrecog.cli.errors import UserError
from tfrecog.config import LENETS, STRIDE, Experiment

# Side of the largest canvas (pixels): a greater one does not fit in the memory of the machine that converts it.
MOST = 4096
# Below it a network's last maps have no cell left.
LEAST = {"alexnet": 63, "vgg16": 32, "vgg16_bn": 32}
# How a photo gets onto the canvas of a task, if --fit does not say.
FITS = {"detection": "pad", "classification": "middle", "segmentation": "stretch"}


def input_of(flags, reader: str = "") -> dict:
    """What a file is given, by the flags of its export: dtype, size [H, W], fit, and of a classifier short_side.

    A `reader` stretches photos, whatever the task. UserError names flags that cannot be.
    """
    size = _size(flags)
    if reason := _problem(flags, size):
        raise UserError(f"--size={_shown(size)}: {reason}")
    if reader and flags.fit == "pad":
        raise UserError(f"--fit=pad: the Tasks of --for={reader} stretch a photo over the input; leave it at auto")
    if reader:
        return {"dtype": flags.input, "size": list(size), "fit": "stretch"}
    fit = FITS[flags.task] if flags.fit == "auto" else flags.fit
    if flags.task != "detection" and fit != FITS[flags.task]:
        seen = "the center crop of a photo" if flags.task == "classification" else "all of a photo, stretched"
        raise UserError(f"--fit={fit}: --task={flags.task} takes {seen}; leave it at auto")
    given = {"dtype": flags.input, "size": list(size), "fit": fit}
    if fit == "middle":
        # A photo is resized to as much more than the crop as in the evaluation.
        given["short_side"] = max(round(flags.data.eval_short_side * size[0] / flags.classifier.crop), *size)
    return given


def remark(experiment: Experiment, size: tuple[int, int]) -> str:
    """A warning of what a size (H, W) costs in accuracy; empty if nothing."""
    short = experiment.data.eval_short_side
    if experiment.task == "classification" or not short or min(size) >= short:
        return ""
    return (
        f"The run is evaluated on photos with a short side of {short} pixels (--data.eval_short_side), and this canvas "
        "is smaller, so small objects are missed; export.verify measures the effect"
    )


def _size(flags) -> tuple[int, int]:
    """Height and width of --size; UserError names one that works."""
    crop = flags.classifier.crop
    if not flags.size and flags.task == "classification":
        return crop, crop
    found = re.fullmatch(r"(\d+)x(\d+)", flags.size.strip().lower())
    if found:
        return int(found[1]), int(found[2])
    what = f"--size={flags.size} is not a height and a width" if flags.size else "--size is missing"
    raise UserError(f"{what}: give both in pixels, as in --size={_example(flags)}")


def _problem(experiment: Experiment, size: tuple[int, int]) -> str:
    """Why a file of the experiment cannot have pictures of a size (H, W), with one that works; empty if it can."""
    window = experiment.segmenter.window
    if max(size) > MOST:
        return f"a side has at most {MOST} pixels, such as {_example(experiment)}"
    if experiment.task == "detection":
        near = tuple(max(round(side / STRIDE), 1) * STRIDE for side in size)
        return "" if size == near else f"a detector needs multiples of {STRIDE} pixels, such as {_shown(near)}"
    if experiment.task == "classification":
        name, crop = experiment.classifier.name, experiment.classifier.crop
        if name in LENETS and size != (crop, crop):
            return f"the fully connected layers of {name} fix it: {crop}x{crop}"
        if size[0] != size[1]:
            return f"a classifier needs a square, such as {crop}x{crop}"
        least = LEAST.get(name, 1)
        return f"the poolings of {name} need at least {least} pixels" if size[0] < least else ""
    if min(size) < STRIDE:
        return f"a segmenter needs at least {STRIDE} pixels on each side"
    if window and any(side > part for side, part in zip(size, window, strict=True)):
        return (
            f"it does not fit in --segmenter.window={_shown(window)}, and a TFLite file has no sliding window: choose "
            "a smaller one, or process the image as a whole with --segmenter.window="
        )
    return ""


def _example(experiment):
    """A size that works."""
    if experiment.task == "classification":
        return _shown([experiment.classifier.crop] * 2)
    side = -(-(experiment.data.eval_short_side or 320) // STRIDE) * STRIDE
    return _shown([side] * 2)


def _shown(size):
    return "x".join(map(str, size))
