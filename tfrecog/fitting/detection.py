"""The choices of a detector: Faster, Mask or Keypoint R-CNN on a narrow pyramid, sized by the objects."""

import math
from collections.abc import Iterator

from tfrecog.fitting import anchors
from tfrecog.fitting.facts import ClassFacts, Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.rung import Rung, cost

BLURRED, CLEAR = 16.0, 24.0  # pixels that the smallest tenth of a class's objects need, and its median object
SMALLEST, LONGEST = 128, 1333  # pixels of the short and of the long side
MANY = 0.2  # share of the objects from which masks and keypoints are learned
ENOUGH = 5  # objects of a class that tell how large it is
_STEP = 32  # pixels that the sides of a padded picture are multiples of


def rungs(facts: Facts, machine: Machine) -> list[Rung]:
    """From what is wanted down."""
    masks, _ = branches(facts)
    many = 96 if facts.usual_objects[2] > 10 else 64
    if machine.gpus:
        wide = Rung("resnet50", 64, rois=256)
        smaller = Rung("resnet18", 64, rois=128, saved="a smaller network, ResNet-18")
        return [wide, smaller, Rung(rois=many, masks=8, saved="half the channels")]
    wide, plain = Rung(width=64, rois=many), Rung(rois=many)
    ladder = [wide, plain]
    if masks:
        ladder.append(Rung(rois=many, masks=8, saved="the mask branch sees 8 objects of a picture"))
    least = 8 if masks else 0
    ladder.append(Rung(rois=48, masks=least, saved="fewer regions of a picture"))
    ladder.append(Rung(rois=48, masks=least, width=24, saved="fewer channels"))
    ladder.append(Rung(rois=48, masks=least, width=24, size=0.75, saved="smaller pictures"))
    return ladder


def branches(facts: Facts) -> tuple[bool, bool]:
    """Whether masks and whether keypoints are learned."""
    return facts.masks >= MANY, facts.posed >= MANY


def seconds(facts: Facts, rung: Rung, machine: Machine) -> float:
    """About how long a picture takes in training, to begin with the right rung; measured later."""
    short, _ = wanted_short(facts)
    pixels = short**2 * min(facts.ratio[1], LONGEST / short)
    return cost(rung, pixels, branches(facts)[0]) * 2 / machine.cores / (100 if machine.gpus else 1)


def choices(facts: Facts, machine: Machine, rung: Rung) -> Iterator[Choice]:
    """All of a training from nothing, but for its length, batch and rate."""
    masks, keypoints = branches(facts)
    yield _task(facts, masks, keypoints)
    short, size = image_size(facts, rung)
    yield size
    yield from _objects(facts)
    yield network(rung)
    yield _anchors(facts, short)
    yield from _heads(facts, rung, masks, keypoints)
    yield flips(facts)
    yield _scale(facts)
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
    why = "; ".join(reasons) or f"the {facts.objects:,} objects have boxes"
    return Choice("task", flags, f"{' and '.join(found)}: {why}")


def wanted_short(facts: Facts) -> tuple[float, ClassFacts | None]:
    """Pixels of the short side at which the objects of each class can be told, and the class that asks for them."""
    seen = [one for one in facts.classes if one.objects >= ENOUGH] or [one for one in facts.classes if one.objects]
    needs = sorted(((need(one), place) for place, one in enumerate(seen)), reverse=True)
    if not needs:
        return float(SMALLEST), None
    # Of very many classes, a tenth may stay smaller.
    pixels, place = needs[len(needs) // 10]
    return min(max(pixels, SMALLEST), 2 * facts.short[1]), seen[place]


def need(one: ClassFacts) -> float:
    """Pixels of the short side that a class needs."""
    return max(BLURRED / max(one.side[0], 1e-4), CLEAR / max(one.side[1], 1e-4))


def image_size(facts: Facts, rung: Rung) -> tuple[int, Choice]:
    """The short side in pixels, and the choice of all sizes."""
    wanted, one = wanted_short(facts)
    own = facts.short[1]
    short = up(wanted * rung.size)
    reason = "there is no object to measure"
    if one is not None:
        share = 100 * one.side[1]
        reason = f"{one.name} (median {share:.0f} % of the short side) needs {max(BLURRED, CLEAR):.0f} pixels"
    if 0.8 * own <= short <= 1.3 * own and rung.size == 1 and own >= 64:
        short, reason = round(own), f"{reason}, about what the pictures have"
    longest = min(LONGEST, up(short * min(max(facts.ratio[2], 1.0), 2.5)))
    reason += f"; {rung.saved}" if rung.size < 1 else ""
    flags = {
        "data.short_side": (short,),
        "data.eval_short_side": short,
        "data.long_side": max(longest, short),
        "data.aspect_ratios": _shapes(facts),
    }
    return short, Choice("image size", flags, reason)


def _shapes(facts: Facts) -> tuple[float, ...]:
    """Long / short sides of the padded pictures: one if all are alike, for each is compiled."""
    _, middle, high = (min(max(one, 1.0), 2.5) for one in facts.ratio)
    return tuple(dict.fromkeys((round(middle, 2), round(high, 2)) if high > 1.2 * middle else (round(high, 2),)))


def _objects(facts: Facts) -> Iterator[Choice]:
    most, usual = facts.most_objects, facts.usual_objects[2]
    slots = min(max(8, up(most, 4)), 300)
    reason = f"at most {most} in a picture"
    yield Choice("objects of a picture", {"data.max_instances": slots}, reason)
    proposals = 200 if usual <= 10 else 300 if usual <= 40 else 600
    found = min(max(20, up(2 * most, 10)), 100 if most <= 100 else 300)
    where = ("rpn.train.per_level", "rpn.train.total", "rpn.infer.per_level", "rpn.infer.total")
    flags = {f"detector.{one}": proposals for one in where} | {"detector.output.max_detections": found}
    yield Choice("proposals and detections", flags, f"nine of ten pictures have {usual:.0f} objects at most")
    if facts.empty and facts.empty <= 0.25 * facts.images:
        reason = f"{facts.empty} pictures without objects show what is none"
        yield Choice("empty pictures", {"data.skip_empty": False}, reason)


def network(rung: Rung) -> Choice:
    """A ResNet and its pyramid, from random weights."""
    flags = {
        "detector.backbone.name": rung.network,
        "detector.backbone.norm": "batch",
        "detector.backbone.width": rung.width,
        "detector.backbone.frozen_stages": 0,
        "detector.fpn.channels": 256 if rung.network == "resnet50" else 64,
        "detector.fpn.norm": "batch",
    }
    reason = rung.saved or "as much as this machine trains in the time"
    return Choice("network", flags, f"from random weights; {reason}")


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
    reason = f"{facts.usual_objects[1]:.0f} objects in a usual picture"
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


_NO_MIRROR = {"left", "right", "arrow", "text", "word", "letter", "letters", "digit", "digits", "number", "numbers"}
_READ = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}


def flips(facts: Facts) -> Choice:
    """Whether pictures are mirrored: not where that changes what they are."""
    worded = [name for name in facts.names if set(_words(name)) & _NO_MIRROR]
    signs = [name for name in facts.names if len(name) == 1 or name.isdigit() or name.lower() in _READ]
    if facts.alone:
        reason = f"off, as no keypoint changes places with {', '.join(facts.alone[:3])}"
        return Choice("mirror images", {"data.flip": 0.0}, reason)
    if worded:
        return Choice("mirror images", {"data.flip": 0.0}, f"off, as the class {worded[0]!r} has a side or can be read")
    if signs and 2 * len(signs) >= len(facts.names):
        return Choice("mirror images", {"data.flip": 0.0}, f"off, as classes such as {signs[0]!r} are read")
    return Choice("mirror images", {"data.flip": 0.5}, "no name of a class or keypoint says that sides matter")


def _words(name: str) -> list[str]:
    spaced = "".join(f" {letter}" if letter.isupper() else letter if letter.isalpha() else " " for letter in name)
    return [*spaced.lower().split(), *"".join(c if c.isalpha() else " " for c in name).lower().split()]


def _scale(facts: Facts) -> Choice:
    """Random sizes: wide where there are few pictures."""
    few = facts.images < 500
    jitter = (0.8, 1.25)
    reason = f"{facts.images:,} pictures show too few sizes" if few else "a little, as there are many pictures"
    return Choice("random scale", {"data.scale_jitter": jitter}, reason)


def up(pixels: float, step: int = _STEP) -> int:
    """The next multiple of a step."""
    return math.ceil(round(pixels, 3) / step) * step
