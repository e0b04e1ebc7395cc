"""The choices of a classifier: a small network for small grey pictures, else a narrow ResNet."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfrecog.fitting import augmentation
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.rung import Rung, cost

GLYPHS = 40  # pixels: pictures of this size and few colours are written or drawn signs
SIZES = (64, 96, 128)  # of a ResNet on a CPU
LARGE = 224
FEW_PASSES, MANY_PASSES = 8, 30  # over the pictures
LARGEST_CROP, SMALLEST_CROP = 0.6, 0.25  # the least share of a picture's area, for few passes and for many


def is_glyphs(facts: Facts) -> bool:
    """Whether the pictures are as small and as grey as scanned characters."""
    return facts.short[1] <= GLYPHS and facts.grey > 0.5


def rungs(facts: Facts, machine: Machine, given: Mapping[str, Any]) -> list[Rung]:
    """From what is wanted down; the size is the side of the crop."""
    if is_glyphs(facts):
        return [Rung("lenet_modern", size=facts.short[1])]
    if machine.gpus:
        return [Rung("resnet50", 64, size=LARGE), Rung("resnet18", 64, size=128, saved="a smaller network and crop")]
    sizes = [one for one in SIZES if one <= facts.short[1]] or [SIZES[0]]
    ladder = [Rung(width=64, size=sizes[-1])]
    return ladder + [Rung(size=one, saved="a smaller crop" * (one < sizes[-1])) for one in reversed(sizes)]


def seconds(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> float:
    """About how long a picture takes in training; measured later."""
    if rung.network == "lenet_modern":
        return 0.001 * 2 / machine.cores
    pixels = Rung(rung.network, rung.width, rois=0)
    return cost(pixels, given.get("classifier.crop", rung.size) ** 2) * 2 / machine.cores / (100 if machine.gpus else 1)


def choices(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> Iterator[Choice]:
    """All of a training from nothing, but for its length, batch and rate."""
    reason = f"{len(facts.classes)} classes of whole pictures"
    yield Choice("task", {"task": "classification"}, reason)
    if rung.network == "lenet_modern":
        yield from _glyphs(facts)
        return
    crop = given.get("classifier.crop", int(rung.size))
    sides = {"classifier.crop": crop, "data.eval_short_side": math.ceil(crop * 1.125), "data.resize": "pillow"}
    fits = f"pictures of {facts.short[1]:.0f} pixels" + (f"; {rung.saved}" if rung.saved else "")
    yield Choice("image size", sides, fits)
    flags = {"classifier.name": rung.network, "classifier.width": rung.width, "classifier.zero_gamma": True}
    yield Choice("network", flags, "as much as this machine trains in the time")
    yield Choice("weights", {"train.start_from": ""}, "random")
    yield Choice("labels", {"classifier.label_smoothing": 0.1}, "no class is certain")
    yield crops(MANY_PASSES)
    yield augmentation.flips(facts)


def crops(passes: float) -> Choice:
    """How small a part of a picture is shown: the smaller, the more often each is seen."""
    often = min(max((passes - FEW_PASSES) / (MANY_PASSES - FEW_PASSES), 0.0), 1.0)
    least = round(LARGEST_CROP + often * (SMALLEST_CROP - LARGEST_CROP), 2)
    reason = f"a part of a picture shows the class, too; from {100 * least:.0f}% of it on, for {passes:.0f} passes"
    return Choice("random crops", {"augment.crop": "inception", "augment.area": (least, 1.0)}, reason)


def _glyphs(facts: Facts) -> Iterator[Choice]:
    side = max(4, round(facts.short[1]))
    size = f"grey pictures of {facts.short[1]:.0f} pixels"
    sides = {"classifier.crop": side, "data.eval_short_side": side, "data.resize": "pillow"}
    yield Choice("image size", sides, f"{size}, as they are")
    network = {"classifier.name": "lenet_modern", "classifier.dropout": 0.5}
    yield Choice("network", network, f"{size} need no larger one")
    shift = {"augment.crop": "whole", "augment.shift": max(1, round(side / 14))}
    yield Choice("random shifts", shift, "a sign is the same a few pixels further")
    yield Choice("mirror images", {"data.flip": 0.0}, f"off, as {size} may be characters")
