"""misclassified.jpg: the pictures of which a classifier was surest, and wrong."""

from pathlib import Path

import numpy as np

from tfrecog.data import image
from tfrecog.data.split import Split
from tfrecog.drawing import contact_sheet
from tfrecog.inference import image_files
from tfrecog.metrics.worst import Worst

SHEET, MOST = "misclassified.jpg", 24
CELL, COLUMNS, LETTER = 224, 6, 16
LONGEST = 18  # letters of a name


class Misclassified:
    """Keeps the images with the highest probability of a wrong class."""

    def __init__(self):
        self._worst: Worst[tuple[int, int, float]] = Worst(MOST)

    def add(self, row: int, label: int, said: int, probabilities: np.ndarray) -> None:
        """An image, row of the index, of class `label` that was taken for `said`, both in 1..K."""
        self._worst.add(probabilities[said - 1], row, lambda: (label, said, float(probabilities[label - 1])))

    def write(self, out: Path, split: Split) -> None:
        """Writes OUT/misclassified.jpg, the worst first, each with its class and what was said; or removes it."""
        if not len(self._worst):
            (out / SHEET).unlink(missing_ok=True)  # Of an evaluation before this one.
            return
        pictures, captions, names = [], [], split.info.names
        for sure, row, (label, said, true) in self._worst.entries():
            pictures.append(image.decode(split.record(row).encoded).numpy())
            captions.append(f"{words(names[label - 1], true)}\nsaid {words(names[said - 1], sure)}")
        image_files.save(contact_sheet.draw(pictures, COLUMNS, captions, CELL, LETTER), out / SHEET)


def words(name: str, share: float) -> str:
    """A class and its probability, short enough for a caption of these sheets."""
    return f"{name if len(name) <= LONGEST else name[: LONGEST - 1] + '…'} ({share:.0%})"
