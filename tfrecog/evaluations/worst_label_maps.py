"""worst.jpg: the images of which a segmenter says most pixels wrongly, each with its true and its said label map."""

from pathlib import Path

import numpy as np

from tfrecog.data import image, info, records
from tfrecog.data.split import Split
from tfrecog.drawing import contact_sheet, label_map
from tfrecog.inference import image_files
from tfrecog.metrics.worst import Worst

SHEET, MOST = "worst.jpg", 8
CELL, LETTER = 400, 16  # pixels of a picture's longer side, of three in a row


class WorstLabelMaps:
    """Keeps the label maps with the lowest pixel accuracy."""

    def __init__(self):
        self._worst: Worst[bytes] = Worst(MOST)

    def add(self, row: int, accuracy: float, said: np.ndarray) -> None:
        """An image, row of the index, and what was said of it [H, W]."""
        self._worst.add(-accuracy, row, lambda: records.to_label_map(said))  # As a PNG, which takes less memory.

    def write(self, out: Path, split: Split) -> None:
        """Writes OUT/worst.jpg, the worst first: picture, truth and what was said; or removes it if all is right."""
        failures = [(row, -badness, said) for badness, row, said in self._worst.entries() if -badness < 1]
        if not failures:
            (out / SHEET).unlink(missing_ok=True)  # Of an evaluation before this one.
            return
        seen = []
        for row, accuracy, said in failures:
            record = split.record(row)
            assert record.label_map is not None  # The evaluation has read it.
            picture = image.decode(record.encoded).numpy()
            labels = [records.from_label_map(png) for png in (record.label_map, said)]
            seen.append((picture, *labels, f"{record.filename}: pixel accuracy {accuracy:.1%}"))
        image_files.save(triples(seen, split.info), out / SHEET)


def triples(seen: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]], dataset: info.DatasetInfo) -> np.ndarray:
    """Sheet uint8 [H, W, 3] of rows of a picture [h, w, 3], its true and its said labels [h, w], with a legend.

    Each comes with a caption. The legend has the share of each class in the truth and in what was said.
    """
    colours = [category.colour for category in dataset.categories]
    pictures, captions = [], []
    for picture, truth, said, caption in seen:
        pictures += [picture, *(label_map.draw(picture, labels, colours=colours) for labels in (truth, said))]
        captions += [caption, "true", "said"]
    cell = min(CELL, max(max(picture.shape) for picture in pictures))
    sheet = contact_sheet.draw(pictures, 3, captions, cell, LETTER)
    truths, saids = (np.concatenate([one[place].ravel() for one in seen]) for place in (1, 2))
    legend = label_map.legend(truths, dataset.names, colours, width=sheet.shape[1], said=saids)
    return np.concatenate([sheet, legend])
