"""What a detector does wrong: kinds of false positives and missed objects (Hoiem et al. 2012), and the worst of each.

Hoiem, Chodpathumwan and Dai, "Diagnosing error in object detectors", ECCV 2012. Duplicates, which are a part of the
errors of localisation there, are counted apart, and all other classes alike are "another class".
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.metrics.voc_matching import FALSE, Judged, Truth, Verdict
from tfrecog.metrics.worst import Worst

RULE = "of each class with N objects the N best detections, without those of difficult objects and in crowds"
MISSED = "missed"
KINDS = (*(kind.name.lower() for kind in FALSE), MISSED)


@dataclass(frozen=True)
class Error:
    """A false positive and the object that it overlaps most, or a missed object and the detection that does."""

    key: Any  # of the image
    overlap: float  # IoU
    label: int = 0  # of the detection; 0: there is none
    score: float = 0.0
    box: np.ndarray | None = None  # [4]
    true_label: int = 0  # of the object; 0: there is none
    true_box: np.ndarray | None = None  # [4]
    elsewhere: bool = False  # the detection counts for another object of its class, which it overlaps more


def counts(verdicts: np.ndarray, objects: int) -> dict[str, int]:
    """How many of the best detections of a class are correct and how many of each kind; and objects that none finds.

    Counted are as many as there are objects (Hoiem et al., section 3.1: those that would be enough), for with ever
    lower scores there are ever more false positives. An object is missed if no detection finds it, whatever its score.

    Args:
        verdicts: [n] of all detections of the class, best first, without those that are ignored.
    """
    best = verdicts[:objects]
    found = {"correct": int(np.sum(best == Verdict.HIT))}
    found |= {kind.name.lower(): int(np.sum(best == kind)) for kind in FALSE}
    return found | {MISSED: objects - int(np.sum(verdicts == Verdict.HIT))}


def total(table: Sequence[dict]) -> dict[str, int]:
    """The counts of all classes together, from the rows of each."""
    return {name: sum(row[name] for row in table) for name in ("objects", "correct", *KINDS)}


class WorstErrors:
    """Keeps the worst few of each kind: false positives with the highest scores, and the largest missed objects.

    Of false positives the worst few of each class, for only the whole ranking of a class tells which of them count.
    """

    def __init__(self, most: int):
        self._most = most
        self._worst: dict[tuple[str, int], Worst[Error]] = {}  # by kind and class
        self._number = itertools.count()  # Of equal ones the first stays.

    def add(self, key, truth: Truth, boxes, labels, scores, judged: Judged) -> None:
        """The detections [n] of an image, its objects [m] and what the former were found to be."""

        def keep(kind, label, badness, i, j):
            worst = self._worst.setdefault((kind, label), Worst(self._most))
            worst.add(badness, next(self._number), lambda: error(i, j))

        def error(i, j):
            """Detection i beside object j; -1 is none."""
            found: dict = {"key": key, "overlap": float(judged.overlaps[i, j]) if min(i, j) >= 0 else 0.0}
            if i >= 0:
                found |= {"label": int(labels[i]), "score": float(scores[i]), "box": boxes[i].copy()}
            if j >= 0:
                found |= {"true_label": int(truth.labels[j]), "true_box": truth.boxes[j].copy()}
            if min(i, j) >= 0 and judged.nearest[i] != j:
                found["elsewhere"] = bool(judged.verdicts[i] in (Verdict.HIT, Verdict.DUPLICATE))
            return Error(**found)

        for kind in FALSE:
            for i in np.flatnonzero(judged.verdicts == kind):
                keep(kind.name.lower(), int(labels[i]), scores[i], i, judged.nearest[i])
        areas = np.prod(truth.boxes[:, 2:] - truth.boxes[:, :2], axis=1)
        for j in np.flatnonzero(judged.missed):
            near = len(boxes) and judged.overlaps[:, j].any()
            keep(MISSED, 0, areas[j], int(judged.overlaps[:, j].argmax()) if near else -1, j)

    def errors(self, rankings: Sequence) -> dict[str, list[Error]]:
        """The worst few of each kind, the worst first; of false positives those that `counts` counts.

        Args:
            rankings: a `voc.Ranking` of each class [K].
        """
        best = [ranking.scores[: ranking.objects] for ranking in rankings]
        least = [scores[-1] if len(scores) else np.inf for scores in best]
        found: dict[str, list[Error]] = {}
        for kind in KINDS:
            every = [entry for (of, _), worst in self._worst.items() if of == kind for entry in worst.entries()]
            ranked = [error for _, _, error in sorted(every, key=lambda entry: (-entry[0], entry[1]))]
            counted = [error for error in ranked if kind == MISSED or error.score >= least[error.label - 1]]
            found[kind] = counted[: self._most]
        return found

    def __len__(self) -> int:
        """How many errors are in memory."""
        return sum(map(len, self._worst.values()))
