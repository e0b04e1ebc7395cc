"""Which pictures a TFLite file can take: their size, and how a photo gets onto them."""

import re

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import image
from tfrecog.models.backbones import lenet

# Side of the largest canvas (pixels): a greater one does not fit in the memory of the machine that converts it.
MOST = 4096
# Below it a network's last maps have no cell left.
LEAST = {"alexnet": 63, "vgg16": 32, "vgg16_bn": 32}


def input_of(flags) -> dict:
    """What a file is given, by the flags of its export: dtype, size [H, W], fit, and of a classifier short_side.

    UserError says what cannot be.
    """
    size, fit = size_of(flags, flags.size), fit_of(flags, flags.fit)
    given = {"dtype": flags.input, "size": list(size), "fit": fit}
    return given | ({"short_side": short_side(flags, size)} if fit == "middle" else {})


def size_of(experiment: Experiment, text: str) -> tuple[int, int]:
    """Height and width that `--size` says; ValueError names sizes that work."""
    if not text and experiment.task == "classification":
        return (experiment.classifier.crop,) * 2
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip().lower())
    if not found:
        what = f"--size={text} is not a height and a width" if text else "--size is missing"
        raise UserError(f"{what}: give both in pixels, as in --size={_example(experiment)}")
    size = int(found[1]), int(found[2])
    if max(size) > MOST:
        raise UserError(f"--size={_shown(size)}: a side has at most {MOST} pixels, such as {_example(experiment)}")
    check = {"detection": _detector, "classification": _classifier, "segmentation": _segmenter}
    check[experiment.task](experiment, size)
    return size


def remark(experiment: Experiment, size: tuple[int, int]) -> str:
    """What a size (H, W) that a file can take may still cost; empty if nothing."""
    short = experiment.data.eval_short_side
    if experiment.task == "classification" or not short or min(size) >= short:
        return ""
    return (
        f"The run is evaluated on photos with a short side of {short} pixels (--data.eval_short_side), and this canvas "
        "is smaller: small things are missed. export.verify says what that costs"
    )


def fit_of(experiment: Experiment, fit: str) -> str:
    """How a photo gets onto the canvas: pad, stretch, or middle; of `--fit`."""
    own = {"detection": "pad", "classification": "middle", "segmentation": "stretch"}[experiment.task]
    if fit == "auto":
        return own
    if experiment.task != "detection" and fit != own:
        seen = "the middle of a photo" if own == "middle" else "all of a photo, stretched"
        raise UserError(f"--fit={fit}: --task={experiment.task} sees {seen}; leave it at auto")
    return fit


def short_side(experiment: Experiment, size: tuple[int, int]) -> int:
    """To what a classifier's photo is resized before its middle is cut out, as much larger as in the evaluation."""
    return max(round(experiment.data.eval_short_side * size[0] / experiment.classifier.crop), *size)


def _example(experiment):
    if experiment.task == "classification":
        return f"{experiment.classifier.crop}x{experiment.classifier.crop}"
    side = -(-(experiment.data.eval_short_side or 320) // image.STRIDE) * image.STRIDE
    return f"{side}x{side}"


def _detector(experiment, size):
    if min(size) < image.STRIDE or any(side % image.STRIDE for side in size):
        near = "x".join(str(max(round(side / image.STRIDE), 1) * image.STRIDE) for side in size)
        raise UserError(f"--size={_shown(size)}: a detector needs multiples of {image.STRIDE} pixels, such as {near}")


def _classifier(experiment, size):
    name, crop = experiment.classifier.name, experiment.classifier.crop
    if name in lenet.NETWORKS and size != (crop, crop):
        raise UserError(f"--size={_shown(size)}: the fully connected layers of {name} fix it: {crop}x{crop}")
    if size[0] != size[1]:
        raise UserError(f"--size={_shown(size)}: a classifier needs a square, such as {crop}x{crop}")
    least = LEAST.get(name, 1)
    if size[0] < least:
        raise UserError(f"--size={_shown(size)}: the poolings of {name} need at least {least} pixels")


def _segmenter(experiment, size):
    window = experiment.segmenter.window
    if min(size) < image.STRIDE:
        raise UserError(f"--size={_shown(size)}: a segmenter needs at least {image.STRIDE} pixels on each side")
    if window and any(side > part for side, part in zip(size, window, strict=True)):
        raise UserError(
            f"--segmenter.window={_shown(window)}: a TFLite file has no sliding window. Process the image as a whole "
            f"with --segmenter.window= or choose a --size that fits in the window"
        )


def _shown(size):
    return "x".join(map(str, size))
