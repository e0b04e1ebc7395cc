"""How far a checkpoint and the artefact that was made of it are apart on a picture.

Detections of one class whose boxes are nearest are partners. Partners agree if their scores, boxes, masks and keypoints
are within the tolerances. Of the others the share counts: where two scores are equal but for rounding, either detection
may suppress the other, or have the last place. What the artefact has no results of, or none that are numbers, agrees
with nothing.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from tfrecog.ops import overlaps, rle

SAME_OBJECT = 0.5  # least IoU of partners
LEAST = 1e-20  # Smaller probabilities are rounded by softmax itself.
# What logits may differ by, of a difference of scores. Of two classes, a probability changes by a quarter of what the
# logit does, at most; the largest of many logits with some error is off by more than one is.
LOGITS = 10


@dataclass(frozen=True)
class Tolerance:
    """How far an artefact may be off."""

    score: float  # of scores and probabilities
    box: float  # pixels of the photo, of boxes and keypoints
    mask: float  # lowest IoU of pasted masks
    pixels: float  # share of the pixels of a label map with another label
    unmatched: float  # share of the detections that agree with none of the other side
    accuracy: float  # of AP, top-1 or mean IoU


@dataclass
class Differences:
    """The largest differences in some pictures, of detections those between partners that agree."""

    score: float = 0.0
    ratio: float = 0.0  # of a classifier: of log(score / best score)
    box: float = 0.0
    mask_iou: float = 1.0
    keypoint: float = 0.0
    keypoint_score: float = 0.0  # of peak logits, relative to the checkpoint's where that is above 1
    pixels: float = 0.0
    detections: int = 0  # of both sides
    matched: int = 0  # of both sides, those that agree
    classes: set = dataclasses.field(default_factory=set)  # labels that the checkpoint gave

    @property
    def unmatched(self) -> float:
        """Share of the detections that agree with none of the other side."""
        return 1 - self.matched / self.detections if self.detections else 0.0

    def within(self, tolerance: Tolerance) -> bool:
        """Whether partners agree."""
        return (
            max(self.score, self.keypoint_score / LOGITS) <= tolerance.score
            and max(self.box, self.keypoint) <= tolerance.box
            and self.mask_iou >= tolerance.mask
        )

    def add(self, other: "Differences") -> None:
        """Adds another picture's."""
        join = {"classes": set.union, "detections": int.__add__, "matched": int.__add__, "mask_iou": min}
        for field in dataclasses.fields(self):
            values = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, join.get(field.name, max)(*values))


def scores(checkpoint: dict, artefact: dict) -> Differences:
    """Of the probabilities of a picture, and of how many times less probable than the best the others are.

    Where one class is all but certain, the others' scores are so small that no difference of theirs shows.
    """
    own, other = checkpoint["scores"], artefact["scores"]
    best = int(np.argmax(own))
    logs = [np.log(np.maximum(values.astype(float), LEAST)) for values in (own, other)]
    ratios = [values - values[best] for values in logs]
    return Differences(score=_largest(own - other), ratio=_largest(ratios[0] - ratios[1]), classes={best + 1})


def label_maps(checkpoint: dict, artefact: dict) -> Differences:
    """Of the labels of a picture's pixels."""
    share = float(np.mean(checkpoint["labels"] != artefact["labels"]))
    return Differences(pixels=share, classes={int(label) for label in np.unique(checkpoint["labels"])})


def detections(
    checkpoint: dict, artefact: dict, tolerance: Tolerance, metadata: dict, photo: tuple[int, ...]
) -> Differences:
    """Of the detections in a photo of a size (height, width).

    Args:
        metadata: the artefact's `mask_threshold` and rule `paste`.
    """
    partners = [
        _between(checkpoint, artefact, i, j, tolerance, metadata, photo) for i, j in _partners(checkpoint, artefact)
    ]
    agree = [one for one in partners if one.within(tolerance)]
    found = Differences(
        detections=len(checkpoint["labels"]) + len(artefact["labels"]),
        matched=2 * len(agree),
        classes={int(label) for label in checkpoint["labels"]},
    )
    for one in agree:
        found.add(one)
    return found


def _partners(a, b):
    """Pairs (i, j) of detections of the same class that are meant for each other, the nearest first."""
    if not len(a["labels"]) or not len(b["labels"]):
        return []
    distance = np.abs(a["boxes"][:, None] - b["boxes"][None]).max(-1)
    overlap = overlaps.pairwise_iou(a["boxes"].astype(float), b["boxes"].astype(float))
    near = (overlap >= SAME_OBJECT) | (distance < 0.1)  # A box without an area overlaps nothing.
    distance = np.where((a["labels"][:, None] == b["labels"]) & near, distance, np.inf)
    # Equal boxes of a class, which suppression leaves only if they are tiny, are told apart by their scores.
    order = np.lexsort((np.abs(a["scores"][:, None] - b["scores"]).ravel(), distance.ravel()))
    pairs, left, right = [], set(range(len(distance))), set(range(distance.shape[1]))
    for i, j in zip(*np.unravel_index(order, distance.shape), strict=True):
        if np.isfinite(distance[i, j]) and i in left and j in right:
            pairs.append((int(i), int(j)))
            left.remove(i)
            right.remove(j)
    return pairs


def _between(checkpoint, artefact, a, b, tolerance, metadata, photo) -> Differences:
    """Differences of a detection of the checkpoint and its partner."""
    found = Differences(
        score=_largest(checkpoint["scores"][a] - artefact["scores"][b]),
        box=_largest(checkpoint["boxes"][a] - artefact["boxes"][b]),
    )
    if "masks" in checkpoint:
        has_masks = "masks" in artefact or "pasted" in artefact
        found.mask_iou = _mask_iou(checkpoint, artefact, a, b, tolerance, metadata, photo) if has_masks else 0.0
    if "keypoints" in checkpoint:
        found.keypoint = found.keypoint_score = float("inf")
        if "keypoints" in artefact:
            own, difference = checkpoint["keypoints"][a], checkpoint["keypoints"][a] - artefact["keypoints"][b]
            found.keypoint = _largest(difference[:, :2])
            found.keypoint_score = _largest(difference[:, 2] / np.maximum(np.abs(own[:, 2]), 1))
    return found


def _mask_iou(checkpoint, artefact, a, b, tolerance, metadata, photo) -> float:
    """IoU of the masks, both in the artefact's box, without pixels whose probability is at the threshold.

    The rule of pasting cuts boxes to whole pixels, so a hair's difference of two boxes may move a mask by a pixel: what
    boxes differ by is measured apart.
    """
    box = artefact["boxes"][b : b + 1]
    threshold, rule = metadata["mask_threshold"], metadata["paste"]
    ((top, left, soft),) = rle.soft(checkpoint["masks"][a : a + 1], box, *photo, rule)
    soft, outside = soft.T, 0
    if "pasted" in artefact:
        other = artefact["pasted"][b][top : top + soft.shape[0], left : left + soft.shape[1]]
        outside = np.sum(artefact["pasted"][b]) - np.sum(other)
    else:
        ((_, _, other_soft),) = rle.soft(artefact["masks"][b : b + 1], box, *photo, rule)
        other = np.greater(other_soft.T, threshold)
    counts = np.abs(soft - threshold) > tolerance.score
    own = soft > threshold
    union = np.sum((own | other) & counts) + outside
    return float(np.sum(own & other & counts) / union) if union else 1.0


def _largest(difference) -> float:
    """Largest absolute value; infinite where there is none because something is not a number."""
    worst = float(np.max(np.abs(difference), initial=0))  # NaN if one is.
    return worst if np.isfinite(worst) else float("inf")
