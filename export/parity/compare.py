"""How far two detectors, classifiers or segmenters are apart on a picture: a checkpoint and its artefact.

Detections of the same class are pairs where their boxes are nearest. What has no partner within the tolerances is a tie
where the checkpoint itself is undecided: its score is as near to a threshold as the tolerance, or the checkpoint says
otherwise once its pixels are off by a hair (`again`): two scores of which either may be greater suppress each other,
and two anchors compete for the last place among the proposals. What the artefact has no results of, or none that are
numbers, is infinitely far away.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfrecog.ops import overlaps, rle

SAME_OBJECT = 0.5  # IoU of detections of the same class that are meant for each other
STEADY = 0.9  # IoU of a detection with itself in disturbed pixels
LEAST = 1e-20  # Smaller probabilities are rounded by softmax itself.


@dataclass(frozen=True)
class Tolerance:
    """How far an artefact may be off."""

    score: float  # of scores and probabilities
    box: float  # pixels of the photo, of boxes and keypoints
    mask: float  # lowest IoU of pasted masks
    pixels: float  # share of the pixels of a label map with another label
    noise: float  # of pixels in 0..255, at which a checkpoint's decision must stand


@dataclass
class Differences:
    """What was found in some pictures; the largest difference of each kind, and how many of what there was."""

    score: float = 0.0
    ratio: float = 0.0  # of a classifier: of log(score / best score)
    box: float = 0.0
    mask_probability: float = 0.0
    mask_iou: float = 1.0
    keypoint: float = 0.0
    keypoint_score: float = 0.0  # of peak logits, relative to the checkpoint's where that is above 1
    pixels: float = 0.0
    detections: int = 0  # of the checkpoint
    matched: int = 0
    only_checkpoint: int = 0
    only_artefact: int = 0
    ties: list = dataclasses.field(default_factory=list)  # dicts: side, label, score, why
    classes: set = dataclasses.field(default_factory=set)  # labels that the checkpoint gave

    def add(self, other: "Differences") -> None:
        """Adds another picture's."""
        for field in dataclasses.fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name == "classes":
                value = mine | theirs
            elif field.name in ("detections", "matched", "only_checkpoint", "only_artefact", "ties"):
                value = mine + theirs
            else:
                value = (min if field.name == "mask_iou" else max)(mine, theirs)
            setattr(self, field.name, value)


def of_scores(checkpoint: dict, artefact: dict) -> Differences:
    """Of the probabilities of a picture, and of how many times less probable than the best the others are.

    Where one class is all but certain, the others' scores are so small that no difference of theirs shows.
    """
    own, other = checkpoint["scores"], artefact["scores"]
    best = int(np.argmax(own))
    logs = [np.log(np.maximum(scores.astype(float), LEAST)) for scores in (own, other)]
    ratios = [values - values[best] for values in logs]
    return Differences(score=_largest(own - other), ratio=_largest(ratios[0] - ratios[1]), classes={best + 1})


def of_label_maps(checkpoint: dict, artefact: dict, again: Callable[[], dict], tolerance: Tolerance) -> Differences:
    """Of the labels of a picture's pixels; those count not of which the checkpoint is undecided."""
    apart = checkpoint["labels"] != artefact["labels"]
    share, ties = float(np.mean(apart)), []
    if share > tolerance.pixels:
        unsteady = again()["labels"] != checkpoint["labels"]
        if np.any(apart & unsteady):
            ties.append({"side": "pixels", "count": int(np.sum(apart & unsteady)), "why": "unsteady"})
        share = float(np.mean(apart & ~unsteady))
    return Differences(pixels=share, ties=ties, classes={int(label) for label in np.unique(checkpoint["labels"])})


def of_detections(
    checkpoint: dict, artefact: dict, again: Callable[[], dict], tolerance: Tolerance, about: dict, slots: int
) -> Differences:
    """Of the detections in a picture.

    Args:
        again: what the checkpoint says of the pixels with some noise, another time with other noise.
        about: `min_score`, `mask_threshold`, the rule `paste`, and the size of the `photo` (height, width).
        slots: detections that there can be at most.
    """
    pairs = _pairs(checkpoint, artefact)
    close = [pair for pair in pairs if _within(checkpoint, artefact, pair, tolerance)]
    apart = [pair for pair in pairs if pair not in close]
    found = Differences(detections=len(checkpoint["labels"]), matched=len(close))
    found.classes = {int(label) for label in checkpoint["labels"]}
    kept = [pair[0] for pair in close]
    kept = {name: checkpoint[name][kept] for name in ("labels", "scores", "boxes")}
    memory = _Memory(again)
    undecided = {}
    for side, own, other, used in (
        ("checkpoint", checkpoint, artefact, {pair[0] for pair in close}),
        ("artefact", artefact, checkpoint, {pair[1] for pair in close}),
    ):
        undecided[side] = {}
        for i in range(len(own["labels"])):
            if i not in used:
                why = _undecided(side, own, i, other, kept, memory, tolerance, about, slots)
                undecided[side][i] = why
                if why:
                    facts = {"side": side, "label": int(own["labels"][i]), "score": float(own["scores"][i]), "why": why}
                    found.ties.append(facts)
    for a, b in apart:  # Meant for each other, and too far apart: a difference, unless they are ties both.
        mine, theirs = undecided["checkpoint"].pop(a), undecided["artefact"].pop(b)
        if not mine and not theirs:
            found.add(_of_pair(checkpoint, artefact, a, b, memory, tolerance, about))
            found.matched += 1
        elif not mine or not theirs:
            undecided["artefact"][b] = ""
    found.only_checkpoint = sum(not why for why in undecided["checkpoint"].values())
    found.only_artefact = sum(not why for why in undecided["artefact"].values())
    for a, b in close:
        found.add(_of_pair(checkpoint, artefact, a, b, memory, tolerance, about))
    return found


class _Memory:
    """What the checkpoint says of disturbed pixels; each is asked for once."""

    TIMES = 6

    def __init__(self, again):
        self._again, self._known = again, []

    def __iter__(self):
        for i in range(self.TIMES):
            if i == len(self._known):
                self._known.append(self._again())
            yield self._known[i]


def _pairs(a, b):
    """Pairs (i, j) of detections of the same class that are meant for each other, the nearest first."""
    if not len(a["labels"]) or not len(b["labels"]):
        return []
    distance = np.abs(a["boxes"][:, None] - b["boxes"][None]).max(-1)
    overlap = overlaps.pairwise_iou(a["boxes"].astype(float), b["boxes"].astype(float))
    distance = np.where(
        (a["labels"][:, None] == b["labels"]) & ((overlap >= SAME_OBJECT) | (distance < 0.1)), distance, np.inf
    )
    pairs = []
    # Equal boxes of a class, which suppression leaves only if they are tiny, are told apart by their scores.
    order = np.lexsort((np.abs(a["scores"][:, None] - b["scores"]).ravel(), distance.ravel()))
    left, right = set(range(len(distance))), set(range(distance.shape[1]))
    for i, j in zip(*np.unravel_index(order, distance.shape), strict=True):
        if not np.isfinite(distance[i, j]):
            break
        if i in left and j in right:
            pairs.append((int(i), int(j)))
            left.remove(i)
            right.remove(j)
    return pairs


def _within(a, b, pair, tolerance):
    i, j = pair
    same = abs(float(a["scores"][i]) - float(b["scores"][j])) <= tolerance.score
    return same and _largest(a["boxes"][i] - b["boxes"][j]) <= tolerance.box


def _undecided(side, own, i, other, kept, memory, tolerance, about, slots) -> str:
    """Why detection i of a side need not be among the other's; empty if it should.

    `kept` are the checkpoint's that have a partner, whose doubles nothing excuses.
    """
    score = float(own["scores"][i])
    if score <= about["min_score"] + tolerance.score:
        return "its score is at the threshold"
    if len(other["scores"]) == slots and score <= other["scores"].min() + tolerance.score:
        return "there was no room for it"
    for said in memory:
        if side == "artefact":
            # Said by the checkpoint too, once its pixels are off by a hair, and in addition to what it has said.
            known = {k for k, _ in _pairs(said, kept)}
            if any(_within(said, own, (k, i), tolerance) for k, j in _pairs(said, own) if j == i and k not in known):
                return "the checkpoint is undecided"
        else:
            same = said["labels"] == own["labels"][i]
            overlap = overlaps.pairwise_iou(own["boxes"][i : i + 1].astype(float), said["boxes"][same].astype(float))
            if overlap.max(initial=0) < STEADY:
                return "the checkpoint is undecided"
    return ""


def _of_pair(checkpoint, artefact, a, b, memory, tolerance, about) -> Differences:
    """Differences of a detection of the checkpoint and that of the artefact that is meant for the same."""
    found = Differences(
        score=_largest(checkpoint["scores"][a] - artefact["scores"][b]),
        box=_largest(checkpoint["boxes"][a] - artefact["boxes"][b]),
    )
    if "masks" in checkpoint and "masks" in artefact:
        found.mask_probability = _largest(checkpoint["masks"][a] - artefact["masks"][b])
    if "masks" in checkpoint:
        there = "masks" in artefact or "pasted" in artefact
        found.mask_iou = _mask_iou(checkpoint, artefact, a, b, tolerance, about) if there else 0.0
    if "keypoints" in checkpoint:
        found.keypoint = found.keypoint_score = float("inf")
        if "keypoints" in artefact:
            found.keypoint, found.keypoint_score, ties = _of_keypoints(checkpoint, artefact, a, b, memory, tolerance)
            found.ties += ties
    return found


def _mask_iou(checkpoint, artefact, a, b, tolerance, about) -> float:
    """IoU of the masks, both in the artefact's box, without pixels whose probability is at the threshold.

    The rule of pasting cuts boxes to whole pixels, so a hair's difference of two boxes may move a mask by a pixel: what
    boxes differ by is measured apart.
    """
    height, width = about["photo"]
    box = artefact["boxes"][b : b + 1]
    threshold, rule = about["mask_threshold"], about["paste"]
    ((top, left, soft),) = rle.soft(checkpoint["masks"][a : a + 1], box, height, width, rule)
    soft, outside = soft.T, 0
    if "pasted" in artefact:
        there = artefact["pasted"][b][top : top + soft.shape[0], left : left + soft.shape[1]]
        outside = np.sum(artefact["pasted"][b]) - np.sum(there)
    else:
        ((_, _, other),) = rle.soft(artefact["masks"][b : b + 1], box, height, width, rule)
        there = np.greater(other.T, threshold)
    counts = np.abs(soft - threshold) > tolerance.score
    mine = soft > threshold
    union = np.sum((mine | there) & counts) + outside
    return float(np.sum(mine & there & counts) / union) if union else 1.0


def _of_keypoints(checkpoint, artefact, a, b, memory, tolerance):
    """Largest distance of two sets of keypoints, and of their scores, but of those of which the checkpoint is
    undecided, and these."""
    apart = np.abs(checkpoint["keypoints"][a] - artefact["keypoints"][b])
    apart = np.where(np.isfinite(apart), apart, np.inf)
    distance, scores = apart[:, :2].max(-1), apart[:, 2] / np.maximum(np.abs(checkpoint["keypoints"][a, :, 2]), 1)
    far = distance > tolerance.box
    ties = []
    if far.any():
        for said in memory:
            pairs = [i for i, j in _pairs(said, artefact) if j == b]
            if pairs:
                near = (
                    np.abs(said["keypoints"][pairs[0], :, :2] - artefact["keypoints"][b, :, :2]).max(-1)
                    <= tolerance.box
                )
                far &= ~near
        decided = np.where(distance > tolerance.box, far, True)
        for joint in np.flatnonzero(~decided):
            facts = {"side": "keypoint", "label": int(artefact["labels"][b]), "joint": int(joint)}
            ties.append(facts | {"score": float(artefact["scores"][b]), "why": "the checkpoint is undecided"})
        distance, scores = np.where(decided, distance, 0), np.where(decided, scores, 0)
    return float(distance.max(initial=0)), float(scores.max(initial=0)), ties


def _largest(difference) -> float:
    """Largest absolute value; infinite where there is none because something is not a number."""
    worst = float(np.max(np.abs(difference), initial=0))  # NaN if one is.
    return worst if np.isfinite(worst) else float("inf")
