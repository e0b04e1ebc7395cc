"""Top-1 and top-5 accuracy, and the confusion matrix, from the probabilities of one image after the other.

Top-k accuracy is the share of the images whose class is among the k most probable ones (Russakovsky et al. 2015,
section 4.1, with one class an image); of equally probable classes the first counts as the best.
"""

import math
from collections.abc import Sequence

import numpy as np

from tfrecog.metrics import diagnosis

RULE = (
    "an image is a detection of its most probable class, with that probability as its score; best: the least score "
    "that counts for the highest F1; precision and score at the recalls 0, 0.01, …, 1"
)
FEW = 5  # Among so many classes top-5 is 1 by itself, and is left out.


class Evaluator:
    """Counts; memory grows with the square of the number of classes, and not with that of images."""

    def __init__(self, num_classes: int):
        self.confusion = np.zeros([num_classes, num_classes], np.int64)  # [true, predicted]
        self.among_five = np.zeros(num_classes, np.int64)
        self.undefined = np.zeros(num_classes, np.int64)  # images of each class whose outputs are NaN

    def add(self, label: int, probabilities: np.ndarray) -> np.ndarray:
        """An image of a label in 1..K, and its probabilities [K].

        Returns:
            The labels of the best five classes, best first; empty, and a mistake, where they are not numbers.
        """
        place = label - 1
        if not np.isfinite(probabilities).all():
            self.undefined[place] += 1
            return np.zeros(0, np.int64)
        best = np.argsort(-probabilities, kind="stable")[:FEW]
        self.confusion[place, best[0]] += 1
        self.among_five[place] += place in best
        return best + 1

    @property
    def images(self) -> np.ndarray:
        """How many of each class, [K]."""
        return self.confusion.sum(axis=1) + self.undefined

    def summarize(self) -> dict[str, float]:
        """`top1`, `top5` (of more than five classes) and `error`, 1 - top1: shares of all images; nothing of none."""
        images, right = int(self.images.sum()), int(np.trace(self.confusion))
        if not images:
            return {}
        five = {"top5": int(self.among_five.sum()) / images} if len(self.confusion) > FEW else {}
        return {"top1": right / images, **five, "error": (images - right) / images}

    def standard_errors(self) -> dict[str, float]:
        """Of each number, that of a share of independent images: sqrt(p (1 - p) / n)."""
        images = int(self.images.sum())
        return {name: share_error(share, images) for name, share in self.summarize().items()}

    def table(self, names: Sequence[str]) -> list[dict]:
        """A row for each class: `name`, `images`, `accuracy`, `top5`, and which other it is taken for most often.

        `accuracy` and `top5` are shares of its images, None without any. `taken_for` is None where it never is.
        """
        rows = []
        columns = zip(
            names, self.images.tolist(), self.among_five.tolist(), taken_for(self.confusion, names), strict=True
        )
        for i, (name, images, among_five, (other, times)) in enumerate(columns):
            row = {"name": name, "images": images, "accuracy": int(self.confusion[i, i]) / images if images else None}
            if len(names) > FEW:
                row["top5"] = among_five / images if images else None
            rows.append(row | {"taken_for": other, "times": times})
        return rows


def share_error(share: float, count: int) -> float:
    """The standard error of a share of so many independent images."""
    return math.sqrt(share * (1 - share) / count)


class Answers:
    """The most probable class of each image and its probability, as detections of the classes."""

    def __init__(self, names: Sequence[str]):
        self._names = tuple(names)
        self._images: list[tuple[int, int, float]] = []

    def add(self, label: int, predicted: int, probability: float) -> None:
        """An image of a label in 1..K that is taken for another or the same; 0 for none."""
        self._images.append((label, predicted, probability))

    def report(self) -> dict:
        """Ready for JSON: a row for each class, as of `diagnosis.report`, with `best`, `precision` and `score`.

        An image is a detection of its most probable class, with that probability as its score.
        """
        label, predicted, score = (np.array(column) for column in zip(*self._images, strict=True))
        order = np.argsort(-score, kind="stable")
        label, predicted, score = label[order], predicted[order], score[order]
        rows: list[dict] = []
        for one, name in enumerate(self._names, 1):
            own, images = predicted == one, int(np.sum(label == one))
            hits = label[own] == one
            row: dict = {"name": name, "images": images, "best": None}
            if images:
                row["best"] = diagnosis.best_threshold(hits, ~hits, score[own], images)
                row |= diagnosis.curve(hits, ~hits, score[own], images)
            rows.append(row)
        return {"rule": RULE, "classes": rows}


def taken_for(confusion: np.ndarray, names: Sequence[str]) -> list[tuple[str | None, int]]:
    """Of each class of a matrix [true, predicted] the other for which it is taken most, None if never; how often."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    worst = zip(wrong.argmax(axis=1).tolist(), wrong.max(axis=1).tolist(), strict=True)
    return [(names[other] if times else None, times) for other, times in worst]


def worst_pairs(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The commonest mistakes in a matrix [true, predicted]: how often, and the places of the two classes."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    flat = wrong.ravel()
    most = np.argsort(-flat, kind="stable")[:count]
    return [(int(flat[i]), *map(int, divmod(int(i), len(confusion)))) for i in most if flat[i]]


def most_confused(confusion: np.ndarray, most: int) -> list[int]:
    """Places of all classes, or of at most this many with the most frequent mistakes, in their order."""
    if len(confusion) <= most:
        return list(range(len(confusion)))
    chosen: dict[int, None] = {}
    for _, *pair in worst_pairs(confusion, most * most):
        if len(chosen | dict.fromkeys(pair)) <= most:
            chosen |= dict.fromkeys(pair)
    if not chosen:  # No mistake at all.
        return list(range(most))
    return sorted(chosen)
