"""worst.jpg: the images of which a segmenter has most pixels wrong, each with its true and its predicted label map."""

import numpy as np

from tfrecog.data import image, info, records
from tfrecog.data.split import Split
from tfrecog.drawing import contact_sheet, label_map
from tfrecog.metrics.worst import Worst

SHEET, MOST = "worst.jpg", 8
CELL, LETTER = 400, 16  # pixels of a picture's longer side, of three in a row


def sheet(worst: Worst[bytes], split: Split) -> np.ndarray | None:
    """Sheet uint8 [H, W, 3] of the worst images: picture, truth and prediction; None if all is right.

    Args:
        worst: by row of the index and pixel accuracy, which is negative there: PNG of the prediction.
    """
    seen = []
    for badness, row, predicted in worst.entries():
        if badness > -1:
            record = split.record(row)
            assert record.label_map is not None  # The evaluation has read it.
            labels = [records.from_label_map(png) for png in (record.label_map, predicted)]
            caption = f"{record.filename}: pixel accuracy {-badness:.1%}"
            seen.append((image.decode(record.encoded).numpy(), *labels, caption))
    return triples(seen, split.info) if seen else None


def triples(seen: list[tuple[np.ndarray, np.ndarray, np.ndarray, str]], dataset: info.DatasetInfo) -> np.ndarray:
    """Sheet uint8 [H, W, 3] of rows of a picture [h, w, 3], its true and its predicted labels [h, w], with a legend.

    Each comes with a caption. The legend has the share of each class in the truth and in the prediction.
    """
    colours = [category.colour for category in dataset.categories]
    pictures, captions = [], []
    for picture, truth, predicted, caption in seen:
        pictures += [picture, *(label_map.draw(picture, labels, colours=colours) for labels in (truth, predicted))]
        captions += [caption, "true", "predicted"]
    cell = min(CELL, max(max(picture.shape) for picture in pictures))
    sheet = contact_sheet.draw(pictures, 3, captions, cell, LETTER)
    truths, predictions = (np.concatenate([one[place].ravel() for one in seen]) for place in (1, 2))
    legend = label_map.legend(truths, dataset.names, colours, width=sheet.shape[1], predicted=predictions)
    return np.concatenate([sheet, legend])
