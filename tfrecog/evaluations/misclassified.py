"""misclassified.jpg: the pictures of which a classifier was surest, and wrong."""

import numpy as np

from tfrecog.data import image
from tfrecog.data.split import Split
from tfrecog.drawing import contact_sheet
from tfrecog.metrics.worst import Worst

SHEET, MOST = "misclassified.jpg", 24
CELL, COLUMNS, LETTER = 224, 6, 16
LONGEST = 18  # letters of a name


def sheet(worst: Worst[tuple[int, int, float]], split: Split) -> np.ndarray | None:
    """Sheet uint8 [H, W, 3] of the worst images, each with its class and what was predicted; None if all are right.

    Args:
        worst: by row of the index and probability of what was predicted: the label, the one predicted, both in 1..K,
            and the probability of the label.
    """
    pictures, captions, names = [], [], split.info.names
    for sure, row, (label, predicted, true) in worst.entries():
        pictures.append(image.decode(split.record(row).encoded).numpy())
        captions.append(f"{words(names[label - 1], true)}\nsaid {words(names[predicted - 1], sure)}")
    return contact_sheet.draw(pictures, COLUMNS, captions, CELL, LETTER) if pictures else None


def words(name: str, share: float) -> str:
    """A class and its probability, short enough for a caption of these sheets."""
    return f"{name if len(name) <= LONGEST else name[: LONGEST - 1] + '…'} ({share:.0%})"
