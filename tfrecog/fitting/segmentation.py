"""The choices of a segmenter: an FCN-8s on a narrow ResNet, at the pictures' own size."""

from collections.abc import Iterator, Mapping
from typing import Any

from tfrecog.fitting import augmentation
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.image_size import up
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.rung import Rung, cost

RARE = 0.01  # share of the pixels, below which a class is made to count for more
LARGEST = 768  # pixels of the short side that a CPU works through


def rungs(facts: Facts, machine: Machine, given: Mapping[str, Any]) -> list[Rung]:
    """From what is wanted down; the size is the crop's, as a share of the picture."""
    if machine.gpus:
        return [Rung("resnet50", 64), Rung("resnet18", 64, saved="a smaller network, ResNet-18")]
    return [
        Rung(width=64, size=0.75),
        Rung(size=0.75),
        Rung(size=0.5, saved="smaller crops"),
        Rung(width=24, size=0.5, saved="smaller crops and fewer channels"),
    ]


def seconds(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> float:
    """About how long a picture takes in training; measured later."""
    height, width = given.get("segmenter.crop") or crop(facts, rung)
    plain = Rung(rung.network, rung.width, rois=0)
    return cost(plain, height * width) * 2 / machine.cores / (100 if machine.gpus else 1)


def crop(facts: Facts, rung: Rung) -> tuple[int, int]:
    """Height and width of the part of a picture that a step sees."""
    short = min(facts.short[1], LARGEST) * rung.size
    sides = (max(64, up(one - 16)) for one in (short, short * min(facts.ratio[1], 2.0)))
    height, width = sides
    return height, width


def choices(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> Iterator[Choice]:
    """All of a training from nothing, but for its length, batch and rate."""
    yield Choice("task", {"task": "segmentation"}, f"each pixel has one of {len(facts.classes)} classes")
    own = facts.short[1]
    kept = own <= LARGEST or bool(machine.gpus)
    side = 0 if kept else LARGEST
    sizes = {"data.short_side": (side,), "data.eval_short_side": side, "segmenter.crop": crop(facts, rung)}
    reason = f"pictures of {own:.0f} pixels, " + ("as they are" if kept else "smaller, as this machine has no GPU")
    yield Choice("image size", sizes, f"{reason}{'; ' if rung.saved else ''}{rung.saved}")
    yield Choice("network", _network(rung), "as much as this machine trains in the time")
    yield Choice("weights", {"train.start_from": ""}, "random")
    there = [one for one in facts.classes if one.pixels > 0]
    rarest = min(there, key=lambda one: one.pixels, default=None)
    if rarest and rarest.pixels < RARE:
        reason = f"{rarest.name} has {rarest.pixels:.2%} of the pixels, so rare classes count for more"
        yield Choice("balance of classes", {"segmenter.class_balance": 0.5}, reason)
    yield augmentation.flips(facts)
    yield Choice("random scale", {"data.scale_jitter": (0.7, 1.5)}, f"{facts.images:,} pictures show too few sizes")
    yield Choice("light and colours", {"data.photometric": 1.0}, "pictures of other light are to be recognised, too")


def _network(rung: Rung) -> dict:
    name = "segmenter.backbone"
    return {
        "segmenter.name": "fcn8s",
        f"{name}.name": rung.network,
        f"{name}.width": rung.width,
        f"{name}.norm": "batch",
        f"{name}.frozen_stages": 0,
        "segmenter.padding": 0,
        "segmenter.fc_channels": 4 * rung.width,
        "segmenter.fc_size": 3,
        "segmenter.dropout": 0.1,
        "segmenter.skip_scales": (1.0, 1.0),
    }
