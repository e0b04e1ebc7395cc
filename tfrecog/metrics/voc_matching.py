"""Which detections of an image find an object by Pascal VOC's rule, and what is wrong with the others."""

import enum
from dataclasses import dataclass

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.metrics.coco_matching import NEAR, most
from tfrecog.ops.overlaps import pairwise_iou, pairwise_share


class Verdict(enum.IntEnum):
    """What a detection is; the last four are kinds of false positives (Hoiem et al. 2012, section 3.1).

    The first that fits counts. A box with an overlap from 0.1 to the threshold with another class has neither the place
    nor the class of any object: neither alone would mend it, so that it is background.
    """

    HIT = 0
    IGNORED = 1  # of a difficult object or in a crowd: neither a hit nor a false positive
    DUPLICATE = 2  # of an object that a detection with a higher score has found
    MISLOCALISED = 3  # an overlap from 0.1 to the threshold with its own class
    MISCLASSIFIED = 4  # enough overlap, with another class
    BACKGROUND = 5


FALSE = (Verdict.MISLOCALISED, Verdict.MISCLASSIFIED, Verdict.DUPLICATE, Verdict.BACKGROUND)


@dataclass(frozen=True)
class Truth:
    """The m objects of an image."""

    boxes: np.ndarray  # float64 [m, 4]
    labels: np.ndarray  # int [m], 1..K
    difficult: np.ndarray  # bool [m]
    crowd: np.ndarray  # bool [m]

    @property
    def counts(self):
        """Whether each object is one to find, bool [m]."""
        return ~(self.difficult | self.crowd)


@dataclass(frozen=True)
class Judged:
    """What an image's n detections are, beside its m objects."""

    verdicts: np.ndarray  # int8 [n], a Verdict
    nearest: np.ndarray  # int [n], the object that the verdict is about, -1 where there is none
    overlaps: np.ndarray  # float64 [n, m], IoU; with a crowd the share of the detection that lies in it
    missed: np.ndarray  # bool [m], an object to find that no detection finds


def check_numbers(key, *columns: np.ndarray) -> None:
    """UserError if a detection of an image has NaN or infinity."""
    if not all(np.isfinite(column).all() for column in columns):
        raise UserError(
            f"a detection of image {key} has a score or a place that is not a number: the weights or the moving "
            "statistics have grown out of range; take an earlier checkpoint, or train with a lower learning rate"
        )


def judge(truth: Truth, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, threshold: float) -> Judged:
    """Verdicts on the detections [n, 4], [n], [n] of an image.

    As in VOC's development kit (VOCevaldet.m), which counts an overlap of just the threshold too, where the paper asks
    for more (Everingham et al. 2010, section 4.2.2), a detection is judged by the object of its class that it overlaps
    most, the first of equals, even if another has found that already: then it is false, although it may overlap a
    second object well enough. Of one object's detections that with the highest score is the hit, the first of equals.

    VOC has no crowds (COCO's regions of many objects). Here a detection that finds no object of its own is ignored if
    so much of its area lies in a crowd of its class.
    """
    overlaps = pairwise_iou(boxes, truth.boxes)
    if truth.crowd.any():
        overlaps[:, truth.crowd] = pairwise_share(boxes, truth.boxes[truth.crowd])
    same = labels[:, None] == truth.labels
    own, own_iou = most(np.where(same & ~truth.crowd, overlaps, 0))
    other, other_iou = most(np.where(~same & ~truth.crowd, overlaps, 0))
    near, near_iou = most(np.where(truth.crowd, 0, overlaps))
    _, own_crowd = most(np.where(same & truth.crowd, overlaps, 0))

    enough = own_iou >= threshold
    difficult = enough & np.append(truth.difficult, False)[own]
    conditions = [
        (difficult | (~enough & (own_crowd >= threshold)), Verdict.IGNORED),
        (enough, Verdict.DUPLICATE),
        (own_iou >= NEAR, Verdict.MISLOCALISED),
        (other_iou >= threshold, Verdict.MISCLASSIFIED),
    ]
    verdicts = np.select(*map(list, zip(*conditions, strict=True)), default=Verdict.BACKGROUND).astype(np.int8)
    order = np.argsort(-scores, kind="stable")
    claims = order[verdicts[order] == Verdict.DUPLICATE]
    found, first = np.unique(own[claims], return_index=True)
    verdicts[claims[first]] = Verdict.HIT

    nearest = np.where(verdicts == Verdict.MISCLASSIFIED, other, np.where(near_iou > 0, near, -1))
    nearest = np.where(enough | (own_iou >= NEAR), own, nearest)
    missed = truth.counts & ~np.isin(np.arange(len(truth.labels)), found)
    return Judged(verdicts, nearest, overlaps, missed)
