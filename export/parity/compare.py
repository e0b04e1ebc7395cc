"""How far an exported model and its checkpoint are apart on a picture, and the table that judges it.

Detections of one class whose boxes are nearest are partners. Partners agree if their scores, boxes, masks and keypoints
are within the tolerances. Of the others the fraction counts: where two scores are equal but for rounding, either
detection may suppress the other, or have the last place. Outputs that the model lacks, or that are not numbers, agree
with nothing.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import numpy as np

from tfrecog.ops import overlaps, pasting, rle

SAME_OBJECT = 0.5  # least IoU of partners
LEAST = 1e-20  # Smaller probabilities are rounded by softmax itself.
# What logits may differ by, of a difference of scores. Of two classes, a probability changes by a quarter of what the
# logit does, at most; the largest of many logits with some error is off by more than one is.
LOGITS = 10


@dataclass(frozen=True)
class Tolerance:
    """The largest differences that are allowed; verify's --NAME_tolerance sets another."""

    score: float  # of scores and probabilities
    box: float  # pixels of the photo, of boxes and keypoints
    mask: float  # 1 - IoU of pasted masks
    pixel: float  # fraction of the pixels of a label map with another label
    unmatched: float  # fraction of the detections that agree with none of the other side
    ap: float  # of AP, top-1 or mean IoU

    @property
    def limits(self) -> dict[str, float]:
        """The largest difference allowed of each quantity of `WORDS` that is judged."""
        logits = LOGITS * self.score
        return asdict(self) | {
            "probability": self.score, "ratio": logits, "keypoint": self.box, "keypoint_score": logits
        }  # fmt: skip


_FLOAT32 = Tolerance(score=1e-4, box=0.1, mask=0.01, pixel=1e-4, unmatched=0.01, ap=0.001)
# What these give for single pictures is shown and not judged: their accuracy is.
BY_ACCURACY = ("int8", "full")
KINDS = {
    "SavedModel": Tolerance(score=1e-5, box=0.01, mask=0.01, pixel=1e-5, unmatched=0.01, ap=0.001),
    "bfloat16": Tolerance(score=5e-2, box=2.0, mask=0.1, pixel=2e-2, unmatched=0.1, ap=0.02),
    "ONNX": _FLOAT32,
    "none": _FLOAT32,
    "float16": Tolerance(score=1e-2, box=0.5, mask=0.05, pixel=1e-2, unmatched=0.05, ap=0.005),
    "dynamic": Tolerance(score=1e-2, box=0.5, mask=0.05, pixel=1e-2, unmatched=0.05, ap=0.01),
    "int8": Tolerance(score=5e-2, box=2.0, mask=0.1, pixel=2e-2, unmatched=0.1, ap=0.03),
    "full": Tolerance(score=5e-2, box=2.0, mask=0.1, pixel=2e-2, unmatched=0.1, ap=0.01),
}
# The rows of the table: a quantity, and what it is.
WORDS = {
    "probability": "scores, largest difference",
    "ratio": "log(score / best score)",
    "pixel": "pixels with another label, fraction",
    "unmatched": "detections that agree with none, fraction",
    "detections": "detections of both",
    "score": "of those that agree: scores, largest difference",
    "box": "boxes, pixels",
    "mask": "masks, 1 - IoU",
    "keypoint": "keypoints, pixels",
    "keypoint_score": "keypoints' scores, relative",
    "classes": "classes, seen by the checkpoint",
}


@dataclass
class Differences:
    """What differs in some pictures, of detections between partners that agree."""

    largest: dict[str, float] = field(default_factory=dict)  # quantity of `WORDS` → largest difference
    classes: set[int] = field(default_factory=set)  # labels that the checkpoint gave
    detections: int = 0  # of both sides
    matched: int = 0  # of both sides, those that agree
    scores: list[np.ndarray] = field(default_factory=list)  # [K] of each picture of a classifier, of the checkpoint

    @property
    def unmatched(self) -> float:
        """Fraction of the detections that agree with none of the other side."""
        return 1 - self.matched / self.detections if self.detections else 0.0

    def add(self, other: "Differences") -> None:
        """Adds other pictures'."""
        for name, value in other.largest.items():
            self.largest[name] = max(value, self.largest.get(name, 0.0))
        self.classes |= other.classes
        self.detections += other.detections
        self.matched += other.matched
        self.scores += other.scores


def total(each: Iterable[Differences]) -> Differences:
    """The differences in all of some pictures."""
    found = Differences()
    for one in each:
        found.add(one)
    return found


def scores(checkpoint: dict, exported: dict) -> Differences:
    """Of the probabilities of a picture, and of how many times less probable than the best the others are.

    Where one class is all but certain, the others' scores are so small that no difference of theirs shows.
    """
    own, other = checkpoint["scores"], exported["scores"]
    best = int(np.argmax(own))
    logs = [np.log(np.maximum(values.astype(float), LEAST)) for values in (own, other)]
    ratios = [values - values[best] for values in logs]
    largest = {"probability": _largest(own - other), "ratio": _largest(ratios[0] - ratios[1])}
    return Differences(largest, {best + 1}, scores=[own])


def label_maps(checkpoint: dict, exported: dict) -> Differences:
    """Of the labels of a picture's pixels."""
    differing = float(np.mean(checkpoint["labels"] != exported["labels"]))
    return Differences({"pixel": differing}, {int(label) for label in np.unique(checkpoint["labels"])})


def detections(
    checkpoint: dict, exported: dict, tolerance: Tolerance, metadata: dict, photo: tuple[int, ...]
) -> Differences:
    """Of the detections in a photo of a size (height, width).

    Args:
        checkpoint: as `CheckpointReader.predict` gives them, with squares.
        exported: as a reader of exported models gives them.
        metadata: the exported model's `mask_threshold` and rule `paste`.
    """
    found = Differences(
        classes={int(label) for label in checkpoint["labels"]},
        detections=len(checkpoint["labels"]) + len(exported["labels"]),
    )
    limits = tolerance.limits
    for a, b in _partners(checkpoint, exported):
        between = _between(checkpoint, exported, a, b, tolerance, metadata, photo)
        if all(value <= limits[name] for name, value in between.items()):
            found.add(Differences(between, matched=2))
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
    pairs: dict[int, int] = {}
    for i, j in zip(*np.unravel_index(order, distance.shape), strict=True):
        if np.isfinite(distance[i, j]) and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return list(pairs.items())


def _between(checkpoint, exported, a, b, tolerance, metadata, photo) -> dict[str, float]:
    """Differences of a detection of the checkpoint and its partner."""
    found = {
        "score": _largest(checkpoint["scores"][a] - exported["scores"][b]),
        "box": _largest(checkpoint["boxes"][a] - exported["boxes"][b]),
    }
    if "squares" in checkpoint:
        found["mask"] = 1.0
        if "masks" in exported:
            mask = rle.decode(exported["masks"][b], *photo)
            square, box = checkpoint["squares"][a : a + 1], exported["boxes"][b : b + 1]
            found["mask"] = 1 - _mask_iou(square, mask, box, tolerance, metadata)
    if "keypoints" in checkpoint:
        found["keypoint"] = found["keypoint_score"] = float("inf")
        if "keypoints" in exported:
            own, difference = checkpoint["keypoints"][a], checkpoint["keypoints"][a] - exported["keypoints"][b]
            found["keypoint"] = _largest(difference[:, :2])
            found["keypoint_score"] = _largest(difference[:, 2] / np.maximum(np.abs(own[:, 2]), 1))
    return found


def _mask_iou(square, mask, box, tolerance, metadata) -> float:
    """IoU of a mask [H, W] with a square [1, S, S] pasted into its box, without pixels that are at the threshold.

    The rule of pasting cuts boxes to whole pixels, so a hair's difference of two boxes may move a mask by a pixel: what
    boxes differ by is measured apart.
    """
    ((top, left, soft),) = pasting.soft(square, box, *mask.shape, metadata["paste"])
    soft = soft.T
    window = mask[top : top + soft.shape[0], left : left + soft.shape[1]]
    counts = np.abs(soft - metadata["mask_threshold"]) > tolerance.score
    own = soft > metadata["mask_threshold"]
    union = np.sum((own | window) & counts) + np.sum(mask) - np.sum(window)
    return float(np.sum(own & window & counts) / union) if union else 1.0


def _largest(difference) -> float:
    """Largest absolute value; infinite where there is none because something is not a number."""
    worst = float(np.max(np.abs(difference), initial=0))  # NaN if one is.
    return worst if np.isfinite(worst) else float("inf")


def table(found: Differences, tolerance: Tolerance | None) -> list[dict]:
    """Rows for some pictures: what, how much, the limit, and whether it is fine; without a tolerance all is."""
    values: dict[str, float] = {**found.largest, "classes": len(found.classes)}
    if found.detections:
        values |= {"unmatched": found.unmatched, "detections": found.detections}
    limits = tolerance.limits if tolerance else {}
    return [row(words, values[name], limits.get(name)) for name, words in WORDS.items() if name in values]


def row(what: str, value: float, limit: float | None) -> dict:
    """A row of the table; without a limit it is only shown."""
    return {"what": what, "value": value, "limit": limit, "fine": limit is None or value <= limit}


def outliers(rows: list[dict], each: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
    """Of what is too far over all pictures (`rows`), the pictures where it is, and how far, given the rows of each."""
    what = {row["what"] for row in rows if not row["fine"]}
    found = {
        path: {row["what"]: row["value"] for row in own if not row["fine"] and row["what"] in what}
        for path, own in each.items()
    }
    return {path: values for path, values in found.items() if values}


def text_of(rows: list[dict]) -> str:
    """The table for people."""
    lines = []
    for row in rows:
        limit = "" if row["limit"] is None else f"at most {row['limit']:g}"
        value = f"{row['value']:.4g}" if row["fine"] else f"{row['value']:.4g}  TOO FAR"
        each = ", ".join(f"{side} {one:.4f}" for side, one in row.get("each", {}).items())
        lines.append(f"  {row['what']:48} {value:>12}  {limit:16} {each}".rstrip())
    return "\n".join(lines)
