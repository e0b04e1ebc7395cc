"""Which detections of an image find which object by COCO's rule, at each overlap, and what is wrong with the others."""

import enum
from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the overlap (IoU, of keypoints OKS)
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision
NEAR = 0.1  # The least overlap with an object that a detection is said to have missed, and not the background.


class Kind(enum.IntEnum):
    """What a detection is at an IoU of 0.5; false ones as Bolya et al. 2020 (TIDE, section 2.2) name them."""

    HIT = 0
    IGNORED = 1  # of a difficult object or in a crowd
    CLASSIFICATION = 2  # enough overlap, with another class
    LOCALISATION = 3  # an overlap from 0.1 to 0.5 with its own class
    BOTH = 4  # an overlap from 0.1 to 0.5 with another class
    DUPLICATE = 5  # of an object that a detection with a higher score has found
    BACKGROUND = 6


@dataclass(frozen=True)
class Matched:
    """The n detections of an image, best first, beside its m objects."""

    found: np.ndarray  # int [n, THRESHOLDS], the object that each is a match of; -1 none
    kinds: np.ndarray  # int8 [n], a Kind
    about: np.ndarray  # int [n], the object that a hit, a duplicate or an error of one of the two sorts is about; or -1


def match(overlaps: np.ndarray, same: np.ndarray, crowd: np.ndarray, ignored: np.ndarray) -> Matched:
    """Matches detections with objects.

    A detection takes the object of its class that it overlaps most among those that are not taken, the last of equals;
    one to be found before one that is ignored. A crowd is never taken.

    Args:
        overlaps: [n, m] IoU of the detections, best first, and the objects; with a crowd the share that lies in it.
        same: bool [n, m], whether both are of one class.
        crowd, ignored: bool [m]; a crowd is ignored.
    """
    found = np.full([len(overlaps), len(THRESHOLDS)], -1)
    free = np.ones([len(THRESHOLDS), len(crowd)], bool)
    able = same & (overlaps >= THRESHOLDS[0])
    places = np.arange(len(THRESHOLDS))
    # Where no detection of an object may be one of another, the first that overlaps it enough has it.
    alone = np.flatnonzero(~able[able.sum(axis=1) > 1].any(axis=0))
    enough = able[:, alone, None] & (overlaps[:, alone, None] >= THRESHOLDS)
    enough &= crowd[alone, None] | (np.cumsum(enough, axis=0) == 1)
    detection, place, threshold = enough.nonzero()
    found[detection, threshold] = alone[place]
    able[:, alone] = False
    for i in np.flatnonzero(able.any(axis=1)):
        objects = np.flatnonzero(able[i])[::-1]
        overlap = overlaps[i, objects]
        fits = (free[:, objects] | crowd[objects]) & (overlap >= THRESHOLDS[:, None])
        rank = np.where(fits, overlap + 2 * ~ignored[objects], -1)
        best = rank.argmax(axis=1)
        hit = rank[places, best] >= 0
        found[i, hit] = objects[best[hit]]
        free[hit, found[i, hit]] = False
    kinds, about = _kinds(overlaps, same, ignored, found[:, 0])
    return Matched(found, kinds, about)


def _kinds(overlaps, same, ignored, found):
    """The first that fits counts, in the order of TIDE's program."""
    own, own_iou = most(np.where(same & ~ignored, overlaps, 0))
    other, other_iou = most(np.where(~same & ~ignored, overlaps, 0))
    void = np.append(ignored, False)[found]
    enough = THRESHOLDS[0]
    conditions = [
        (void, Kind.IGNORED, -1),
        (found >= 0, Kind.HIT, found),
        ((own_iou >= NEAR) & (own_iou < enough), Kind.LOCALISATION, own),
        (other_iou >= enough, Kind.CLASSIFICATION, other),
        (own_iou >= enough, Kind.DUPLICATE, own),
        (other_iou >= NEAR, Kind.BOTH, -1),
    ]
    tests, kinds, about = zip(*conditions, strict=True)
    kinds = np.select(tests, kinds, default=Kind.BACKGROUND).astype(np.int8)
    return kinds, np.select(tests, about, default=-1)


def most(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of [n, m] the place of the largest, the first of equals, and its value; -1 and 0 where m is 0."""
    if not overlaps.shape[1]:
        return np.full(len(overlaps), -1), np.zeros(len(overlaps))
    place = overlaps.argmax(axis=1)
    return place, overlaps[np.arange(len(overlaps)), place]
