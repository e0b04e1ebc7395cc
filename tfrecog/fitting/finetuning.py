"""The choices of a training that starts from weights: their network stays, and what is new is the rest."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfrecog.cli import flags, validate
from tfrecog.config import Experiment
from tfrecog.fitting import anchors, augmentation, detection
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.start import Start
from tfrecog.runs import folder as runs

REACHED = 0.95  # share of the boxes that the weights' own anchors have to reach
_OF_NETWORK = ("detector.", "classifier.", "segmenter.")
_OF_PICTURES = ("data.resize", "data.size_rounding", "data.long_side", "data.short_side", "data.eval_short_side")
FEW = 50  # ordinary photographs, for which the backbone stays as it is


def is_published(experiment: Experiment) -> bool:
    """Whether a training starts from a published file's weights."""
    start = experiment.train.start_from
    return bool(start) and (Path(start) / runs.IMPORTED).is_file()


def choices(facts: Facts, machine: Machine, start: Start, given: Mapping[str, Any]) -> Iterator[Choice]:
    """All of a training that starts from weights, but for its length, batch and rate."""
    own = start.experiment
    yield Choice("task", {"task": own.task}, "that of the weights")
    yield Choice("weights", {"train.start_from": start.folder, "train.skip_mismatched": True}, "given")
    values = _values(own)
    network = {path: value for path, value in values.items() if path.startswith(_OF_NETWORK) or path in _OF_PICTURES}
    yield Choice("network and size", network, f"those of the weights, {title(own)}")
    yield from _frozen(facts, start)
    if own.task == "detection":
        masks, keypoints = detection.branches(facts, given)
        yield Choice("task", {"task": "detection", "detector.masks": masks, "detector.keypoints": keypoints}, "found")
        yield from _anchors(facts, own)
    yield augmentation.flips(facts)


def title(experiment: Experiment) -> str:
    """The name of its network."""
    sections = {"detection": experiment.detector.backbone, "segmentation": experiment.segmenter.backbone}
    return sections.get(experiment.task, experiment.classifier).name


def _values(experiment):
    """Settings that something reads and that are not the defaults."""
    default = {leaf.path: leaf.value for leaf in flags.leaves(Experiment())}
    return {leaf.path: leaf.value for leaf in validate.read_leaves(experiment) if leaf.value != default[leaf.path]}


def _frozen(facts, start):
    if not start.photographs or facts.task == "classification":
        return
    stages = 5 if facts.images < FEW and facts.camera > 0.5 and facts.grey < 0.5 else 2
    section = "detector" if facts.task == "detection" else "segmenter"
    reason = "the stem and res2 know edges and colours already"
    if stages == 5:
        reason = f"{facts.images} photographs are too few to change what learned from very many"
    yield Choice("frozen stages", {f"{section}.backbone.frozen_stages": stages}, reason)


def _anchors(facts, own):
    rpn = own.detector.rpn
    short = own.data.eval_short_side
    reached = anchors.judged(anchors.balanced(facts.boxes), short, rpn.anchor_sizes, rpn.anchor_ratios).reached
    if own.detector.neck != "fpn" or rpn.every_size or reached >= REACHED:
        kept = {"detector.rpn.anchor_sizes": rpn.anchor_sizes, "detector.rpn.anchor_ratios": rpn.anchor_ratios}
        yield Choice("anchors", kept, f"those of the weights reach {reached:.0%} of the boxes")
        return
    found = anchors.chosen(facts.boxes, short, len(rpn.anchor_sizes))
    new = {"detector.rpn.anchor_sizes": found.sizes, "detector.rpn.anchor_ratios": rpn.anchor_ratios}
    yield Choice("anchors", new, f"those of the weights reach {reached:.0%} of the boxes, these {found.reached:.0%}")
