"""misclassified.jpg: the pictures of which a classifier was surest, and wrong."""

import heapq
from pathlib import Path

import numpy as np

from tfrecog.data import image, index, records
from tfrecog.drawing import annotations
from tfrecog.inference import image_files

SHEET, MOST = "misclassified.jpg", 24
CELL, COLUMNS, LETTER = 224, 6, 16
LONGEST = 18  # letters of a name


class Mistakes:
    """Keeps the worst ones of a stream: those with the highest probability of a wrong class."""

    def __init__(self):
        self._worst: list[tuple] = []

    def add(self, row: int, label: int, said: int, probabilities: np.ndarray) -> None:
        """An image, row of the index, of class `label` that was taken for `said`, both in 1..K."""
        sure, true = float(probabilities[said - 1]), float(probabilities[label - 1])
        entry = (sure, -row, label, said, true)  # Of equal ones the first in the index stays.
        if len(self._worst) < MOST:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    def write(self, out: Path, folder: str, where: index.Index, names: tuple[str, ...]) -> None:
        """Writes OUT/misclassified.jpg, the worst first, each with its class and what was said; or removes it."""
        if not self._worst:
            (out / SHEET).unlink(missing_ok=True)  # Of an evaluation before this one.
            return
        pictures, captions = [], []
        for sure, negative, label, said, true in sorted(self._worst, reverse=True):
            encoded = records.decode(index.read(folder, where, -negative)).encoded
            pictures.append(image.decode(encoded).numpy())
            captions.append(f"{words(names[label - 1], true)}\nsaid {words(names[said - 1], sure)}")
        image_files.save(annotations.sheet(pictures, COLUMNS, captions, CELL, LETTER), out / SHEET)


def words(name: str, share: float) -> str:
    """A class and its probability, short enough for a caption of these sheets."""
    return f"{name if len(name) <= LONGEST else name[: LONGEST - 1] + '…'} ({share:.0%})"
