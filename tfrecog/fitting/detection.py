"""The choices of a detector: Faster, Mask or Keypoint R-CNN on a narrow pyramid, sized by the objects."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tfrecog.cli.spelling import counted
from tfrecog.fitting import anchors, augmentation, image_size
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.image_size import MANY, up
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.rung import Rung, cost

LARGE = 224  # pixels of the short side, from which pictures may become smaller to be seen more often


def rungs(facts: Facts, machine: Machine, given: Mapping[str, Any]) -> list[Rung]:
    """From what is wanted down."""
    masks, _ = branches(facts, given)
    many = 96 if facts.usual_objects[2] > 10 else 64
    if machine.gpus:
        small = Rung("resnet18", 64, size=2, rois=128, saved="a smaller network, ResNet-18")
        ladder = [Rung("resnet50", 64, size=2, rois=256), small, replace(small, size=1)]
        return [*ladder, Rung(rois=many, masks=8, saved="half the channels")]
    plain = Rung(rois=many)
    ladder = [replace(plain, size=1.5, width=64), replace(plain, size=1.5), plain]
    if masks:
        ladder.append(replace(plain, masks=8, saved="the mask branch sees 8 objects of a picture"))
    cheap = Rung(rois=48, masks=8 if masks else 0, saved="fewer regions of a picture")
    ladder.append(cheap)
    short, _ = image_size.chosen(facts, plain, given)
    if parts := image_size.windows(facts, short):
        return ladder + [replace(cheap, window=one, saved=f"steps see {one:.0%} of its sides") for one in parts]
    if short >= LARGE:
        cheap = replace(cheap, size=0.75, saved="smaller pictures")
        ladder.append(cheap)
    return [*ladder, replace(cheap, width=24, saved="fewer channels")]


def branches(facts: Facts, given: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether masks and whether keypoints are learned."""
    masks = given.get("detector.masks", facts.masks >= MANY)
    return masks, given.get("detector.keypoints", facts.posed >= MANY)


def seconds(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> float:
    """About how long a picture takes in training, to begin with the right rung; measured later."""
    short, _ = image_size.chosen(facts, rung, given)
    pixels = (short * rung.window) ** 2 * min(facts.ratio[1], image_size.LONGEST / short)
    return cost(rung, pixels, branches(facts, given)[0]) * 2 / machine.cores / (100 if machine.gpus else 1)


def choices(facts: Facts, machine: Machine, rung: Rung, given: Mapping[str, Any]) -> Iterator[Choice]:
    """All of a training from nothing, but for its length, batch and rate."""
    masks, keypoints = branches(facts, given)
    yield _task(facts, masks, keypoints)
    short, size = image_size.chosen(facts, rung, given)
    yield size
    yield from _objects(facts)
    yield network(rung)
    yield Choice("weights", {"train.start_from": ""}, "random")
    yield _anchors(facts, short)
    yield from _heads(facts, rung, masks, keypoints)
    yield augmentation.flips(facts)
    yield _scale(rung)
    yield Choice("light and colours", {"data.photometric": 0.5}, "pictures of other light are to be recognised, too")


def _task(facts: Facts, masks: bool, keypoints: bool) -> Choice:
    found = ["boxes"] + ["masks"] * masks + ["keypoints"] * keypoints
    reasons = []
    if facts.masks:
        shares = "" if masks else f", fewer than {MANY:.0%}"
        reasons.append(f"{facts.masks:.0%} of the objects have a mask that is no rectangle{shares}")
    if facts.keypoints:
        shares = "" if keypoints else f", fewer than {MANY:.0%}"
        reasons.append(f"{facts.posed:.0%} have keypoints{shares}")
    if facts.whole > 0.6:
        what = f"in {facts.whole:.0%} of the pictures one object fills most of it"
        reasons.append(f"{what}; if you need no boxes, a folder for each class and a classifier may be what you want")
    flags = {"task": "detection", "detector.masks": masks, "detector.keypoints": keypoints}
    why = "; ".join(reasons) or f"for {counted(facts.objects, 'object')} with a box"
    return Choice("task", flags, f"{' and '.join(found)}: {why}")


def _objects(facts: Facts) -> Iterator[Choice]:
    most, usual = facts.most_objects, facts.usual_objects[2]
    slots = min(max(8, up(most, 4)), 300)
    reason = f"at most {most} in a picture"
    yield Choice("objects of a picture", {"data.max_instances": slots}, reason)
    proposals = 200 if usual <= 10 else 300 if usual <= 40 else 600
    found = min(max(20, up(2 * most, 10)), 100 if most <= 100 else 300)
    where = ("rpn.train.per_level", "rpn.train.total", "rpn.infer.per_level", "rpn.infer.total")
    flags = {f"detector.{one}": proposals for one in where} | {"detector.output.max_detections": found}
    yield Choice(
        "proposals and detections", flags, f"nine of ten pictures have {counted(round(usual), 'object')} at most"
    )
    if facts.empty and facts.empty <= 0.25 * facts.images:
        reason = f"{counted(facts.empty, 'picture')} without objects, to learn what is none"
        yield Choice("empty pictures", {"data.skip_empty": False}, reason)


def network(rung: Rung) -> Choice:
    """A ResNet and its pyramid."""
    flags = {
        "detector.backbone.name": rung.network,
        "detector.backbone.norm": "batch",
        "detector.backbone.width": rung.width,
        "detector.backbone.frozen_stages": 0,
        "detector.fpn.channels": 256 if rung.network == "resnet50" else 64,
        "detector.fpn.norm": "batch",
    }
    return Choice("network", flags, rung.saved or "as much as this machine trains in the time")


def levels(short: int) -> int:
    """Of the pyramid, for pictures of a short side."""
    return 3 if short < 224 else 4 if short < 640 else 5


def _anchors(facts: Facts, short: int) -> Choice:
    """Sizes and ratios by the boxes."""
    found = anchors.chosen(facts.boxes, short, levels(short))
    usual = anchors.judged(
        anchors.balanced(facts.boxes), short, tuple(32 * 2**n for n in range(levels(short))), anchors.DEFAULT_RATIOS
    )
    flags = {"detector.rpn.anchor_sizes": found.sizes, "detector.rpn.anchor_ratios": found.ratios}
    reason = (
        f"{found.reached:.0%} of the boxes have an anchor with an IoU of 0.5 and {found.close:.0%} one with 0.7; of "
        f"the usual 32, 64, ... {usual.reached:.0%} and {usual.close:.0%}"
    )
    return Choice("anchors", flags, reason)


def _heads(facts: Facts, rung: Rung, masks: bool, keypoints: bool) -> Iterator[Choice]:
    flags = {
        "detector.box.samples": rung.rois,
        "detector.box.hidden_units": 1024 if rung.network == "resnet50" else 256,
        "detector.rpn.samples": 256 if facts.usual_objects[2] > 10 else 128,
    }
    if facts.usual_objects[2] <= 10:
        flags["detector.box.positive_fraction"] = 0.5
    reason = f"{counted(round(facts.usual_objects[1]), 'object')} in a usual picture"
    yield Choice("regions of a picture", flags, f"{reason}; {rung.saved}" if rung.rois < 64 else reason)
    if masks:
        mask = {"data.mask_size": 56, "detector.mask.channels": 64, "detector.mask.convs": 2}
        if rung.masks:
            mask["detector.mask.samples"] = rung.masks
        yield Choice("mask branch", mask, "light, as most of a step's time goes into it")
    if keypoints:
        joints = {
            "detector.aligned": True,
            "detector.keypoint.channels": 48,
            "detector.keypoint.convs": 6,
            "detector.keypoint.margin": 0.1,
            "detector.keypoint.loss_weight": 0.5,
        }
        if facts.sigmas:
            joints["detector.keypoint.decode"] = "expected_oks"
        yield Choice("keypoint branch", joints, f"{len(facts.keypoints)} keypoints, many at the edge of their box")


def _scale(rung: Rung) -> Choice:
    """Random sizes, and with a window the factor from what a step sees to the whole picture."""
    low, high = (round(one / rung.window, 3) for one in (0.8, 1.25))
    reason = "objects are nearer and farther"
    if rung.window < 1:
        reason += f", and a step sees a window of {rung.window:.0%} of the picture's sides"
    return Choice("random scale", {"data.scale_jitter": (low, high)}, reason)
