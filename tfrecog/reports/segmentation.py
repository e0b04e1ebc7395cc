"""The parts of a segmenter's page: IoU, the classes, and which pixels are taken for which."""

from collections.abc import Sequence

import numpy as np

from tfrecog.cli.spelling import counted
from tfrecog.reports import confusion
from tfrecog.reports.blocks import STANDARD_ERROR, Bar, Number, Picture, Pictures, Section, Table, Tiles, Words

_MEANS = {
    "mean_iou": "mean over the classes of right pixels / (pixels of the class or predicted as it)",
    "mean_accuracy": "mean over the classes of the share of their pixels that are right",
    "pixel_accuracy": "share of all pixels that are right",
    "frequency_weighted_iou": "mean IoU, each class by its share of the pixels",
}


def results(written: dict) -> Section:
    """The numbers with their standard errors; `written` is what metrics.json has."""
    errors = written.get("standard_errors", {})
    tiles = [
        (name.replace("_", " ").replace("iou", "IoU"), Number(value, errors.get(name)), _MEANS.get(name, ""))
        for name, value in written["metrics"].items()
    ]
    said = STANDARD_ERROR if errors else "Standard errors are not measured: it takes two images."
    images, pixels = counted(written["images"], "image"), counted(written["pixels"], "pixel")
    size = f"{images}, {pixels} beside {written['ignored']:,} that do not count"
    return Section("results", "Results", [Tiles(tiles), Words(f"In percent; {size}. {said}")])


def classes(table: Sequence[dict], iou_errors: np.ndarray) -> Section:
    """A row for each class, that of the lowest IoU first; `iou_errors` [K] are standard errors."""
    rows = []
    known = dict(zip([row["name"] for row in table], iou_errors.tolist(), strict=True))
    for row in sorted(table, key=lambda row: (row["iou"] is None, row["iou"])):
        iou = Number(row["iou"], known[row["name"]])
        taken = f"{row['taken_for']} ({100 * row['taken']:.1f} %)" if row["taken_for"] else "none"
        others = (Number(row[name]) for name in ("accuracy", "precision", "share"))
        rows.append([row["name"], Bar(iou, iou.value or 0.0), *others, taken])
    heads = ["class", "IoU", "recall", "precision", "share of the pixels", "taken for most"]
    text = (
        "In percent; the class with the lowest IoU first. Recall (accuracy): the share of its pixels that are "
        "predicted as it; precision: the share of right ones among those predicted as it."
    )
    dash = "no pixel is of the class, or none is predicted as it"
    return Section("classes", "Classes", [Words(text), Table(heads, rows, more="more classes", dash=dash)])


def scores() -> Section:
    """Why there is no curve."""
    text = (
        "Curves over thresholds and best thresholds are not measured: a segmenter gives each pixel its most probable "
        "class, and no score. Precision and recall of each class are in the table above."
    )
    return Section("curves", "Precision and recall", [Words(text)])


def confusions(matrix: np.ndarray, pixels: np.ndarray, names: Sequence[str]) -> Section:
    """Which class is taken for which; `pixels` [K] of each class, also those predicted as none."""
    text = "Of the pixels of each true class (rows) how many percent are predicted as which (columns)."
    return confusion.section(text, matrix, names, "pixels", totals=pixels, percent=True)


def pictures(worst: Sequence[Picture], random: Sequence[Picture], legend: Sequence[tuple[str, str]]) -> Section:
    """The images with the lowest pixel accuracy, and some at random, in the colours of the classes."""
    blocks: list = [Words("Each image, its true and its predicted label map; what does not count is hatched.")]
    if worst:
        blocks += [Words("Those with the lowest pixel accuracy:"), Pictures(worst, legend)]
    if random:
        blocks += [
            Words("Chosen at random of the others:" if worst else "Chosen at random:"),
            Pictures(random, () if worst else legend),
        ]
    return Section("pictures", "Pictures", blocks)
