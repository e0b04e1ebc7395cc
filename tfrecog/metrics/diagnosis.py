"""What the numbers of a detector do not say: standard errors, best thresholds, confusions and kinds of errors.

Kinds of errors are those of TIDE (Bolya et al., "TIDE: A general toolbox for identifying object detection errors",
ECCV 2020): how often each occurs, and by how much AP50 would rise without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfrecog.metrics.coco_matching import RECALLS, THRESHOLDS, Kind

RESAMPLES = 50  # The standard error of a standard error is then a tenth of it.
ERRORS = tuple(kind for kind in Kind if kind > Kind.IGNORED)
MENDED = (Kind.CLASSIFICATION, Kind.LOCALISATION)  # Without its error such a detection is a hit, if none is there.
RULE = (
    "count, errors and confusion: of the detections with at least the threshold of their class, that of the highest "
    "F1, or of a class without hits the median of the others'; ap50: of all detections, by how much AP50 would rise "
    "without that kind of error; confusion: true and predicted class, 1 the first, 0 the background, and how often"
)
MISSED = "missed"  # objects that are neither found nor what an error of classification or localisation is about


@dataclass(frozen=True)
class Ranking:
    """All n detections of K classes, best first, beside the m objects that are to be found in I images."""

    classes: int
    images: int
    image: np.ndarray  # int [n], 0..I - 1
    label: np.ndarray  # int [n], 1..K
    score: np.ndarray  # [n]
    hits: np.ndarray  # bool [n, THRESHOLDS]
    false: np.ndarray  # bool [n, THRESHOLDS], those that are neither hits nor ignored
    object_image: np.ndarray  # int [m]
    object_label: np.ndarray  # int [m]

    @property
    def objects(self) -> np.ndarray:
        """How many of each class, [K]."""
        return np.bincount(self.object_label, minlength=self.classes + 1)[1:]

    def of_class(self) -> list[np.ndarray]:
        """Places of the detections of each class [K], best first."""
        order = np.argsort(self.label, kind="stable")
        return np.split(order, np.searchsorted(self.label[order], np.arange(2, self.classes + 1)))


@dataclass(frozen=True)
class Detections(Ranking):
    """A ranking with what is wrong of the boxes."""

    kinds: np.ndarray  # [n], a Kind
    about: np.ndarray  # int [n], an object of 0..m - 1, or -1; see `coco_matching.Matched`
    pairs: np.ndarray  # int [p, 2], detections and objects with an IoU of 0.5 or more, of any class
    pair_overlap: np.ndarray  # [p]


def precision(hits: np.ndarray, false: np.ndarray, objects: float) -> tuple[np.ndarray, np.ndarray]:
    """Precision [T, 101] at the recalls 0, 0.01, …, 1, the highest at one or a higher one, as COCO has it.

    And the places [T, 101] of the detections at which they are reached; n, where none reaches one.

    Args:
        hits, false: [T, n] how often each detection counts, best first.
        objects: to find, more than 0.
    """
    found = np.cumsum(hits, axis=1)
    return _highest(found, found + np.cumsum(false, axis=1), objects)


def _highest(found, counted, objects):
    """`precision` of detections of which so many, [T, n], were found and counted up to each."""
    exact = found / np.maximum(counted, np.finfo(float).tiny)
    highest = np.maximum.accumulate(exact[:, ::-1], axis=1)[:, ::-1]
    places = np.stack([np.searchsorted(one / objects, RECALLS) for one in found])
    return np.take_along_axis(np.pad(highest, [(0, 0), (0, 1)]), places, axis=1), places


def average_precision(hits: np.ndarray, false: np.ndarray, objects: float) -> np.ndarray:
    """AP [T] of a class; see `precision`."""
    return precision(hits, false, objects)[0].mean(axis=1)


class Resampled:
    """A class whose images may count several times: its average precision is that of `average_precision`.

    The highest precision from a place on is that at a hit, so the detections that are no hits are counted alone.
    """

    def __init__(self, image: np.ndarray, hits: np.ndarray, false: np.ndarray):
        """Of n detections, best first: int [n], bool [T, n] and bool [T, n]."""
        self._image, self._places = image, np.flatnonzero(hits.any(axis=0))
        self._hits, self._hit_image = hits[:, self._places], image[self._places]
        left_out = ~(hits | false)
        void = np.flatnonzero(left_out.any(axis=0))
        self._left_out, self._void_image = left_out[:, void], image[void]
        self._void_before = np.searchsorted(void, self._places, side="right")

    def average_precision(self, times: np.ndarray, objects: float) -> np.ndarray:
        """AP [T] where each image counts so many `times` [I]."""
        found = np.cumsum(self._hits * times[self._hit_image], axis=1)
        counted = np.cumsum(times[self._image])[self._places]
        void = np.cumsum(self._left_out * times[self._void_image], axis=1)
        void = np.pad(void, [(0, 0), (1, 0)])[:, self._void_before]
        return _highest(found, counted - void, objects)[0].mean(axis=1)


def standard_errors(found: Ranking, seed: int = 0) -> tuple[dict[str, float], np.ndarray]:
    """Standard errors of `AP` and `AP50` and of the AP of each class [K]: bootstrap over the images.

    NaN of a class whose objects are in fewer than two images, and none of all if each class is such.
    """
    values = _resamples(found, seed)
    together = np.unique(np.stack([found.object_label, found.object_image]), axis=1)[0]
    known = np.bincount(together, minlength=found.classes + 1)[1:] > 1
    by_class = np.full(found.classes, np.nan)
    if not known.any():
        return {}, by_class
    by_class[known] = np.nanstd(values[:, known].mean(axis=2), axis=0, ddof=1)
    values = values[~np.isnan(values).all(axis=(1, 2))]  # A resample of images without objects has no AP.
    means = {"AP": np.nanmean(values, axis=(1, 2)), "AP50": np.nanmean(values[:, :, 0], axis=1)}
    return {name: float(np.std(some, ddof=1)) for name, some in means.items()}, by_class


def difference_error(one: Ranking, other: Ranking, seed: int = 0) -> float:
    """Standard error of the difference of two APs of the same images and objects: bootstrap over the images.

    Both have the same images in each resample, so that what is hard in them for both does not count. NaN of fewer than
    two images with objects.
    """
    if len(np.unique(one.object_image)) < 2:
        return float("nan")
    # A class that is in no image of a resample is in none of the other's.
    values = _resamples(one, seed) - _resamples(other, seed)
    values = values[~np.isnan(values).all(axis=(1, 2))]
    return float(np.std(np.nanmean(values, axis=(1, 2)), ddof=1))


def _resamples(found, seed):
    """AP [RESAMPLES, K, T] of as many images, drawn with replacement; NaN of a class that is in none of them."""
    rng = np.random.default_rng(seed)
    parts = [Resampled(found.image[own], found.hits[own].T, found.false[own].T) for own in found.of_class()]
    values = np.full([RESAMPLES, found.classes, len(THRESHOLDS)], np.nan)
    for resample in values:
        times = np.bincount(rng.integers(0, found.images, found.images), minlength=found.images)
        objects = np.bincount(found.object_label, times[found.object_image], found.classes + 1)[1:]
        for label in np.flatnonzero(objects):
            resample[label] = parts[label].average_precision(times, objects[label])
    return values


def best_threshold(hits: np.ndarray, false: np.ndarray, scores: np.ndarray, objects: int) -> dict[str, float] | None:
    """The least score that counts for the highest F1 of a class, and precision, recall and F1 there; None of no hit.

    Args:
        hits, false: bool [n], best first.
        scores: [n].
    """
    if not hits.any():
        return None
    found, counted = np.cumsum(hits), np.cumsum(hits | false)
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # Of equal scores all count, or none.
    f1 = 2 * found[last] / (counted[last] + objects)
    best = last[f1.argmax()]
    named = {"threshold": scores[best], "precision": found[best] / max(1, counted[best])}
    named |= {"recall": found[best] / objects, "f1": f1.max()}
    return {name: float(value) for name, value in named.items()}


def curve(hits: np.ndarray, false: np.ndarray, scores: np.ndarray, objects: int) -> dict[str, list[float]]:
    """`precision` and `score` of a class at the recalls 0, 0.01, …, 1; the arguments are those of `best_threshold`."""
    (reached,), (places,) = precision(hits[None], false[None], objects)
    return {"precision": reached.round(4).tolist(), "score": np.append(scores, 0)[places].round(4).tolist()}


def confusion(found: Detections, kept: np.ndarray) -> np.ndarray:
    """How often which class is taken for which, [K + 1, K + 1] true and predicted; 0 is the background.

    Kept hits take their objects. Each other detection, best first, takes one that is left and that it overlaps by 0.5
    or more, the nearest first. Ignored ones have no place.

    Args:
        kept: bool [n].
    """
    taken, free = np.zeros(len(found.label), int), np.full(len(found.object_label), True)
    hits = kept & (found.kinds == Kind.HIT)
    free[found.about[hits]], taken[hits] = False, found.label[hits]
    kept = kept & (found.kinds != Kind.IGNORED)
    pairs = found.pairs[np.lexsort((-found.pair_overlap, found.pairs[:, 0]))]
    for detection, thing in pairs[(kept & ~hits)[pairs[:, 0]]].tolist():
        if free[thing] and not taken[detection]:
            free[thing], taken[detection] = False, found.object_label[thing]
    matrix = np.zeros([found.classes + 1] * 2, int)
    np.add.at(matrix, (taken[kept], found.label[kept]), 1)
    np.add.at(matrix, (found.object_label[free], 0), 1)
    return matrix


def missed(found: Detections, kept: np.ndarray) -> np.ndarray:
    """Whether an object is missed by the kept detections, bool [m]; see MISSED."""
    named = kept & np.isin(found.kinds, (Kind.HIT, *MENDED))
    return ~np.isin(np.arange(len(found.object_label)), found.about[named])


def mistakes(found: Detections, kept: np.ndarray) -> list[dict[str, int]]:
    """Of each image [I] its `right` detections, `false` ones and `missed` objects, by the kept detections."""
    columns = {
        "right": found.image[kept & (found.kinds == Kind.HIT)],
        "false": found.image[kept & (found.kinds > Kind.IGNORED)],
        "missed": found.object_image[missed(found, kept)],
    }
    counted = [np.bincount(images, minlength=found.images).tolist() for images in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*counted, strict=True)]


def kept_of(found: Detections, classes: Sequence[dict]) -> np.ndarray:
    """Whether a detection has at least the threshold of its class, bool [n]; `classes` are rows of a `report`."""
    return found.score >= np.array([row["threshold"] for row in classes])[found.label - 1]


def without(found: Detections, kind: Kind) -> Detections:
    """The detections as they would be without one kind of error, at the first threshold.

    A detection whose class or place alone is wrong becomes a hit, if nothing has found its object and it is the best of
    those; all others of the kind are dropped.
    """
    wrong = np.flatnonzero(found.kinds == kind)
    hits, label, keep = found.hits.copy(), found.label.copy(), found.kinds != kind
    if kind in MENDED:
        able = wrong[~np.isin(found.about[wrong], found.about[found.kinds == Kind.HIT])]
        best = able[np.unique(found.about[able], return_index=True)[1]]
        hits[best], keep[best], label[best] = True, True, found.object_label[found.about[best]]
    names = ("image", "score", "kinds", "about")
    left = {name: getattr(found, name)[keep] for name in names}
    return replace(found, hits=hits[keep], false=(found.false & ~hits)[keep], label=label[keep], **left)


def lost(found: Detections) -> dict[str, float]:
    """By how much AP50 would rise without each kind of error alone (TIDE's dAP, section 2.3)."""

    def ap50(some, objects):
        parts = [
            (own, count) for own, count, all_of in zip(some.of_class(), objects, found.objects, strict=True) if all_of
        ]
        values = [
            average_precision(some.hits[own, :1].T, some.false[own, :1].T, count)[0] if count else 0.0
            for own, count in parts
        ]
        return float(np.mean(values)) if values else 0.0

    now = ap50(found, found.objects)
    gains = {kind.name.lower(): ap50(without(found, kind), found.objects) - now for kind in ERRORS}
    left = found.object_label[~missed(found, np.full(len(found.label), True))]
    gains[MISSED] = ap50(found, np.bincount(left, minlength=found.classes + 1)[1:]) - now
    return gains


def errors(found: Detections, kept: np.ndarray) -> list[dict[str, int]]:
    """How many kept detections of each class [K] are hits and errors of each kind, and how many objects are missed."""
    counted = {kind.name.lower(): found.label[kept & (found.kinds == kind)] for kind in (Kind.HIT, *ERRORS)}
    counted[MISSED] = found.object_label[missed(found, kept)]
    columns = {name: np.bincount(some, minlength=found.classes + 1)[1:].tolist() for name, some in counted.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def report(found: Detections, names: Sequence[str]) -> dict:
    """All of it, ready for JSON: `errors`, `confusion` (true, predicted, how often) and a row for each class.

    A row has `name`, `objects`, `best` (see `best_threshold`), `threshold`, `errors`, and of classes with objects
    `precision` and `score` at the recalls 0, 0.01, …, 1, with an IoU of 0.5. `rule` says of what the numbers are.
    """
    rows: list[dict] = []
    for name, own, objects in zip(names, found.of_class(), found.objects.tolist(), strict=True):
        row: dict = {"name": name, "objects": objects, "best": None}
        if objects:
            hits, false, scores = found.hits[own, 0], found.false[own, 0], found.score[own]
            row["best"] = best_threshold(hits, false, scores, objects)
            row |= curve(hits, false, scores, objects)
        rows.append(row)
    known = [row["best"]["threshold"] for row in rows if row["best"]]
    otherwise = float(np.median(known)) if known else 0.5
    rows = [row | {"threshold": row["best"]["threshold"] if row["best"] else otherwise} for row in rows]
    kept = kept_of(found, rows)
    counted = errors(found, kept)
    rows = [row | {"errors": one} for row, one in zip(rows, counted, strict=True)]
    totals = {name: {"count": sum(one[name] for one in counted), "ap50": gain} for name, gain in lost(found).items()}
    matrix = confusion(found, kept)
    cells = [[*map(int, place), int(matrix[tuple(place)])] for place in np.argwhere(matrix)]
    return {"rule": RULE, "iou": float(THRESHOLDS[0]), "errors": totals, "confusion": cells, "classes": rows}
