"""Pascal VOC's average precision of boxes, with the all-points and the 11-point rule (Everingham et al. 2010)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.metrics import voc_errors
from tfrecog.metrics.voc_matching import Truth, Verdict, check_numbers, judge

THRESHOLD = 0.5  # of the overlap (IoU); one of just so much counts
# Mean over the classes of the area under the precision envelope (the rule since VOC2010), and of the mean precision at
# the recalls 0, 0.1, …, 1 (VOC2007).
NUMBERS = ("voc_mAP", "voc_mAP_11")
NOTHING_TO_MEASURE = -1.0  # of a class without objects, as with COCO's numbers


@dataclass(frozen=True)
class Ranking:
    """All detections of a class, best first, without those that are neither hits nor false positives."""

    scores: np.ndarray  # float64 [n]
    verdicts: np.ndarray  # int8 [n], a Verdict
    objects: int  # to find
    difficult: int  # that need not be found

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Recall, precision and score [h] at each of the h hits; between two of them precision only falls."""
        ranks = np.flatnonzero(self.verdicts == Verdict.HIT)
        hits = np.arange(1, len(ranks) + 1)
        return hits / max(self.objects, 1), hits / (ranks + 1), self.scores[ranks]

    def envelope(self) -> np.ndarray:
        """At each hit the highest precision at its recall or a higher one, float64 [h]."""
        return np.maximum.accumulate(self.curve()[1][::-1])[::-1]

    def average_precision(self) -> float:
        """Area under the envelope, which each hit widens by one part of `objects`; -1 without objects."""
        return float(self.envelope().sum() / self.objects) if self.objects else NOTHING_TO_MEASURE

    def eleven_points(self) -> float:
        """Mean of the envelope at the recalls 0, 0.1, …, 1, and 0 where no recall is as high; -1 without objects.

        Hits are counted in whole numbers, so that 3 of 10 objects are a recall of 0.3. As floating point numbers
        3 · 0.1 is more than 3 / 10, which takes that point from implementations that compare these.
        """
        if not self.objects:
            return NOTHING_TO_MEASURE
        envelope = self.envelope()
        needed = [max(1, -(-tenth * self.objects // 10)) for tenth in range(11)]
        return sum(float(envelope[hits - 1]) for hits in needed if hits <= len(envelope)) / 11


class Evaluator:
    """Collects images, in any order, and compares what is detected in them with their ground truth (see `judge`).

    Of an image only the verdicts and scores are kept. Its key is any sortable value that no other image has; where
    scores tie, detections count in the order of the keys, and in their own within an image.
    """

    def __init__(self, categories: Sequence, threshold: float = THRESHOLD, keep: int = 0):
        """`categories` [K] have a `name` and an `id`; `keep` is how many of the worst errors of each kind are kept."""
        if not 0 < threshold <= 1:
            raise ValueError(f"the overlap at which a box counts is more than 0 and at most 1, not {threshold}")
        self.categories, self.threshold = tuple(categories), threshold
        self.worst = voc_errors.WorstErrors(keep)
        self._judged: dict = {}  # labels, scores and verdicts
        self._objects, self._difficult = np.zeros([2, len(self.categories) + 1], int)
        self._crowd = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many images, instances (without crowd), crowd regions, difficult objects and detections were added."""
        return {
            "images": len(self._judged),
            "instances": int(self._objects.sum() + self._difficult.sum()),
            "crowd": self._crowd,
            "difficult": int(self._difficult.sum()),
            "detections": sum(len(labels) for labels, *_ in self._judged.values()),
        }

    def add(self, key, record, boxes, labels, scores, *others) -> None:
        """Adds an image: its ground truth and its detections.

        Args:
            record: a `records.Record`, of which boxes, labels, crowd and difficult are read.
            boxes, labels, scores: [n, 4] in pixels of the original image, [n] in 1..K, [n].
            others: masks and keypoints, which have no number here.

        Raises:
            UserError: a score or a box is not a number, or a label of the record is not in 1..K.
        """
        if key in self._judged:
            raise ValueError(f"image {key} was added twice")
        highest = len(self.categories)
        crowd, own = np.asarray(record.crowd, bool).reshape(-1), np.asarray(record.labels, int).reshape(-1)
        if strangers := own[(own < 1) | (own > highest)].tolist():
            raise UserError(f"{record.filename!r} has an object of label {strangers[0]}, not in 1..{highest}")
        difficult = np.zeros(len(own), bool) if record.difficult is None else np.asarray(record.difficult, bool)
        truth = Truth(np.asarray(record.boxes, float).reshape(-1, 4), own, difficult & ~crowd, crowd)
        boxes, scores = np.asarray(boxes, float).reshape(-1, 4), np.asarray(scores, float).reshape(-1)
        check_numbers(key, scores, boxes)
        labels = np.asarray(labels, int).reshape(-1)
        if np.any((labels < 1) | (labels > highest)):
            raise ValueError(f"a detection of image {key} has a label that is not in 1..{highest}")
        self._objects += np.bincount(own[truth.counts], minlength=highest + 1)
        self._difficult += np.bincount(own[truth.difficult], minlength=highest + 1)
        self._crowd += int(crowd.sum())
        judged = judge(truth, boxes, labels, scores, self.threshold)
        self.worst.add(key, truth, boxes, labels, scores, judged)
        self._judged[key] = labels, scores, judged.verdicts

    def rankings(self) -> list[Ranking]:
        """The detections of each class [K], best first."""
        if not self._judged:
            raise UserError("there is no image to evaluate on")
        columns = zip(*(self._judged[key] for key in sorted(self._judged)), strict=True)
        labels, scores, verdicts = map(np.concatenate, columns)
        order = np.argsort(-scores, kind="stable")
        order = order[verdicts[order] != Verdict.IGNORED]
        rankings = []
        for label in range(1, len(self.categories) + 1):
            own = order[labels[order] == label]
            counted = int(self._objects[label]), int(self._difficult[label])
            rankings.append(Ranking(scores[own], verdicts[own], *counted))
        return rankings

    def summarize(self) -> tuple[dict[str, float], list[dict]]:
        """`voc_mAP` and `voc_mAP_11`, over the classes that have objects, and a table with a row for each class.

        A row has name, id, objects, difficult, voc_AP, voc_AP_11 and the counts of `voc_errors.counts`. A number is -1
        where there is nothing to measure: of a class without objects that are not difficult.
        """
        table: list[dict] = []
        for category, ranking in zip(self.categories, self.rankings(), strict=True):
            row = {"name": category.name, "id": category.id}
            row |= {"objects": ranking.objects, "difficult": ranking.difficult}
            row |= {"voc_AP": ranking.average_precision(), "voc_AP_11": ranking.eleven_points()}
            table.append(row | voc_errors.counts(ranking.verdicts, ranking.objects))
        measured = [row for row in table if row["objects"]]
        numbers = dict.fromkeys(NUMBERS, NOTHING_TO_MEASURE)
        if measured:
            numbers = {name: float(np.mean([row[name.replace("mAP", "AP")] for row in measured])) for name in NUMBERS}
        return numbers, table
