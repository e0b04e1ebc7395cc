"""The choices of a training that starts from weights: their network stays, and the rest is chosen around it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.config.classifier import SMALLEST_CROP
from tfrecog.fitting import anchors, image_size
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice, Plan
from tfrecog.fitting.start import Start
from tfrecog.runs import folder as runs

REACHED = 0.95  # share of the boxes that the weights' own anchors have to reach
FEW = 50  # ordinary photographs, for which the backbone stays as it is
SMALLER = (1.0, 0.75, 0.6, 0.4)  # factors of the size of published weights, for machines without a GPU
LARGER = (1.0, 1.25, 1.5, 2.0)  # of the objects' size, so that anchors of other weights reach them
# What only a training or an evaluation asks for, and is chosen by the data.
_ASKED = (
    "samples",
    "positive_fraction",
    "per_level",
    "total",
    "max_detections",
    "detector.masks",
    "detector.keypoints",
)
_OF_ALL_TASKS = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "mobilenet_v3_large",
)  # fmt: skip
_CONVENTIONS = ("data.resize", "data.size_rounding")
STARTER_MOST = 1000  # pictures, up to which the weights of this package are taken where none are named
WIDER_SEES = 20_000  # pictures, without which a wider network from random weights is behind that of this package


def is_published(experiment: Experiment) -> bool:
    """Whether a training starts from a published file's weights."""
    start = experiment.train.start_from
    return bool(start) and (Path(start) / runs.IMPORTED).is_file()


def knows_much(experiment: Experiment) -> bool:
    """Whether a training starts from weights that make a lower rate and fewer passes enough.

    Those of this package were measured at the rate of random ones, and with as many passes.
    """
    if not (start := experiment.train.start_from):
        return False
    from tfrecog.weights import starter

    return Path(start) != starter.place()


def ladder(
    facts: Facts, machine: Machine, start: Start, bases: Sequence[Sequence[Choice]], given: Mapping[str, Any]
) -> list[list[Choice]]:
    """Choices of trainings that start from weights, from the best down.

    Args:
        bases: those from nothing, from the best that the time allows down.
    """
    own, base = start.experiment, bases[0]
    if own.task != facts.task:
        return [[*one, *_of_other_task(facts, start)] for one in bases]
    factors = (1.0,) if machine.gpus else SMALLER
    factors = factors if start.photographs else (_reaching(facts, own, base),)
    return [[*base, *_network(facts, start, base), *_of_size(facts, own, factor, given)] for factor in factors]


def starter_pays(facts: Facts, seen: float) -> bool:
    """Whether this package's weights and network are better than a wider one that sees so many pictures in the time."""
    return facts.task != "classification" and (facts.images <= STARTER_MOST or seen < WIDER_SEES)


def from_starter(plans: Sequence[Plan], first: int, facts: Facts, start: Start, seen: float) -> list[Plan]:
    """Plans from the `first` on, which the time allows; those of this package's network start from its weights.

    Where these pay, there are no others: what they know is more than a wider network learns from few pictures, or a
    narrower one sees in the time. Where the network is given, and another, the plans are as they were; UserError if
    the weights were asked for.
    """
    from_there = [begun(plan, start) for plan in plans]
    if start.asked and not any(from_there):
        own = start.experiment.detector.backbone
        raise UserError(
            f"--start_from=starter: these weights are of a {own.name} of width {own.width}, of a detector with a "
            f"pyramid on it, and this {facts.task} has another network: leave it out"
        )
    if not any(from_there) or not (start.asked or starter_pays(facts, seen)):
        return [there or plan for there, plan in zip(from_there[first:], plans[first:], strict=True)]
    last = max(place for place, plan in enumerate(from_there) if plan)
    return [plan for plan in from_there[min(first, last) :] if plan]


def begun(plan: Plan, start: Start) -> Plan | None:
    """The plan from the weights of this package; None where its network is another."""
    ours, theirs = plan.experiment(), start.experiment
    other_neck = ours.task == "detection" and ours.detector.neck != theirs.detector.neck
    if other_neck or _backbone(ours) != _backbone(theirs):
        return None
    values = {"train.start_from": start.folder, "train.skip_mismatched": True}
    reason = "they know drawn shapes, so few pictures or steps teach more; --start_from=none for random ones"
    return plan.with_choices(Choice("weights", values, reason))


def _backbone(experiment: Experiment) -> tuple[str, int, str]:
    """Name, width and norm of a network's backbone, whose variables are called alike in all tasks."""
    if experiment.task == "classification":
        return experiment.classifier.name, experiment.classifier.width, experiment.classifier.norm
    own = experiment.segmenter.backbone if experiment.task == "segmentation" else experiment.detector.backbone
    return own.name, own.width, own.norm


def _of_other_task(facts: Facts, start: Start) -> Iterator[Choice]:
    """The backbone of the weights, and all else as from nothing; UserError if this task has no such backbone."""
    name, width, norm = _backbone(start.experiment)
    section = {"detection": "detector.backbone", "segmentation": "segmenter.backbone"}.get(facts.task, "classifier")
    if name not in _OF_ALL_TASKS:
        raise UserError(
            f"--start_from={start.folder}: these weights are of a {name} for {start.experiment.task}, and a fit has no "
            f"{name} for {facts.task}: leave it out"
        )
    if facts.task != "classification" and start.photographs and norm == "batch":
        norm = "frozen"
    kept = {f"{section}.name": name, f"{section}.width": width, f"{section}.norm": norm}
    yield Choice("backbone", kept, f"that of the weights, which are of {start.experiment.task}")
    yield _weights(start)
    if start.photographs and facts.task != "classification":
        yield _frozen(facts, section.removesuffix(".backbone"))


def _weights(start: Start) -> Choice:
    values = {"train.start_from": start.folder, "train.skip_mismatched": True}
    return Choice("weights", values, "what knows the classes starts anew if there are others")


def _network(facts: Facts, start: Start, base: Sequence[Choice]) -> Iterator[Choice]:
    """The network and the conventions of the weights, where they are not the defaults."""
    own, section = (
        start.experiment,
        {"detection": "detector", "segmentation": "segmenter"}.get(facts.task, "classifier"),
    )
    chosen = {path for one in base for path in one.flags}
    default = {leaf.path: leaf.value for leaf in flags.leaves(Experiment())}
    kept = {}
    for leaf in validate.read_leaves(own):
        of_network = leaf.path.startswith(f"{section}.") and not leaf.path.endswith(_ASKED)
        if (of_network or leaf.path in _CONVENTIONS) and (leaf.value != default[leaf.path] or leaf.path in chosen):
            kept[leaf.path] = leaf.value
    yield Choice("network", kept, "that of the weights")
    yield _weights(start)
    if start.photographs and section != "classifier":
        yield _frozen(facts, section)


def _frozen(facts: Facts, section: str) -> Choice:
    stages, reason = 2, "the stem and res2 know edges and colours already"
    if facts.images < FEW and facts.camera > 0.5 and facts.grey < 0.5:
        stages = 5
        reason = f"{facts.images} photographs are too few to change what learned from very many; most say which camera"
    return Choice("frozen stages", {f"{section}.backbone.frozen_stages": stages}, reason)


def _reaching(facts: Facts, own: Experiment, base: Sequence[Choice]) -> float:
    """Factor of the objects' own size at which the anchors of weights reach most of the boxes."""
    short = next((one.flags["data.eval_short_side"] for one in base if "data.eval_short_side" in one.flags), 0)
    if facts.task != "detection" or not short:
        return 1.0
    return max(LARGER, key=lambda factor: round(_reached(facts, own, factor * short), 2))


def _of_size(facts: Facts, own: Experiment, factor: float, given: Mapping[str, Any]) -> Iterator[Choice]:
    """The pictures' size, and what hangs on it."""
    reason = "that of the weights" if factor == 1 else f"{factor:g} of that of the weights, so that more are seen"
    if facts.task == "classification":
        least = SMALLEST_CROP.get(own.classifier.name, 32)
        crop = max(least, image_size.up(own.classifier.crop * factor)) if factor < 1 else own.classifier.crop
        side = max(crop, round(own.data.eval_short_side * crop / own.classifier.crop))
        yield Choice("image size", {"classifier.crop": crop, "data.eval_short_side": side}, reason)
    elif facts.task == "segmentation":
        crop = tuple(max(64, image_size.up(side * factor)) for side in own.segmenter.crop)
        yield Choice("image size", {"segmenter.crop": crop if factor < 1 else own.segmenter.crop}, reason)
    else:
        yield from _of_detector(facts, own, factor, reason, given)


def _of_detector(facts, own, factor, reason, given):
    published = own.data.eval_short_side
    short = math.ceil(published * factor / 16) * 16 if factor < 1 else published
    short = given.get("data.eval_short_side") or short
    long = max(short, round(own.data.long_side * short / published))
    sizes = {"data.short_side": (short,), "data.eval_short_side": short, "data.long_side": long}
    yield Choice("image size", sizes, reason)
    rpn, reached = own.detector.rpn, _reached(facts, own, short)
    if reached >= REACHED or own.detector.neck != "fpn" or rpn.every_size:
        kept = {"detector.rpn.anchor_sizes": rpn.anchor_sizes, "detector.rpn.anchor_ratios": rpn.anchor_ratios}
        yield Choice("anchors", kept, f"those of the weights reach {reached:.0%} of the boxes")
        return
    found = anchors.chosen(facts.boxes, short, len(rpn.anchor_sizes))
    # As many ratios as there are outputs for.
    again = anchors.judged(anchors.balanced(facts.boxes), short, found.sizes, rpn.anchor_ratios)
    new = {"detector.rpn.anchor_sizes": again.sizes, "detector.rpn.anchor_ratios": rpn.anchor_ratios}
    yield Choice("anchors", new, f"those of the weights reach {reached:.0%} of the boxes, these {again.reached:.0%}")


def _reached(facts: Facts, own: Experiment, short: float) -> float:
    """Share of the boxes that the weights' anchors reach."""
    rpn = own.detector.rpn
    if not len(facts.boxes):
        return 1.0
    return anchors.judged(anchors.balanced(facts.boxes), short, rpn.anchor_sizes, rpn.anchor_ratios).reached
