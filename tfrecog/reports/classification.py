"""The parts of a classifier's page: accuracy, the classes, and what is taken for what."""

from collections.abc import Sequence

import numpy as np

from tfrecog.cli.spelling import counted
from tfrecog.metrics.classification import share_error
from tfrecog.reports import confusion, precision_recall
from tfrecog.reports.blocks import Number, Picture, Pictures, Section, Table, Tiles, Words

_MEANS = {
    "top1": "the most probable class is right",
    "top5": "the class is among the five most probable ones",
    "error": "the most probable class is wrong: 1 - top1",
}


def results(written: dict) -> Section:
    """The numbers with their standard errors; `written` is what metrics.json has."""
    errors = written.get("standard_errors", {})
    names = {"top1": "top-1 accuracy", "top5": "top-5 accuracy", "error": "error"}
    tiles = [
        (names.get(name, name), Number(value, errors.get(name)), _MEANS.get(name, ""))
        for name, value in written["metrics"].items()
    ]
    text = (
        f"In percent of {counted(written['images'], 'image')}. ± is the standard error of a share of so many images, "
        "√(p (1 - p) / n): over all images of the same kind, of which these are a sample, the share lies within twice "
        "of it nineteen times in twenty."
    )
    blocks: list = [Tiles(tiles), Words(text)]
    if written.get("undefined"):
        images = counted(written["undefined"], "image")
        blocks.append(Words(f"Of {images} the network's outputs are not numbers, which counts as a mistake."))
    return Section("results", "Results", blocks)


def classes(table: Sequence[dict], diagnosis: dict | None) -> Section:
    """A row for each class, the least accurate first: its numbers, and its best threshold."""
    known = {row["name"]: row for row in (diagnosis or {}).get("classes", ())}
    five = ["top5"] * any("top5" in row for row in table)
    rows = []
    for row in sorted(table, key=lambda row: (row["accuracy"] is None, row["accuracy"])):
        best = known.get(row["name"], {}).get("best") or {}
        error = None if row["accuracy"] is None else share_error(row["accuracy"], row["images"])
        cells = [Number(row["images"], form="count"), Number(row["accuracy"], error)]
        cells += [Number(row.get(name)) for name in five]
        cells += [f"{row['taken_for']} ({row['times']:,})" if row["taken_for"] else "none"]
        cells += [Number(best.get("threshold"), form="score")]
        rows.append([row["name"], *cells, *(Number(best.get(name)) for name in ("precision", "recall", "f1"))])
    heads = ["class", "images", "accuracy", *five, "taken for most", "best threshold", "precision", "recall", "F1"]
    text = (
        "In percent but for counts and thresholds; the least accurate class first. Accuracy is the share of the "
        "class's images that are said to be of it. The best threshold is the least probability with the highest F1 = "
        "2 · right / (said + images), where an image is said to be of a class if that is the most probable one and "
        "has at least this probability; precision, recall and F1 are those at it. It is chosen on these very images, "
        "so that F1 on others will be a little lower."
    )
    dash = "there is no image of the class, or none is right"
    return Section("classes", "Classes", [Words(text), Table(heads, rows, more="more classes", dash=dash)])


def curves(diagnosis: dict | None) -> Section:
    """Precision over recall as the least probability falls."""
    text = (
        "An image is said to be of its most probable class, if that has at least a probability, which falls along the "
        "curve. The last recall is the accuracy of the class."
    )
    nothing = "Not measured: there is no image of any class."
    return precision_recall.section(text, (diagnosis or {}).get("classes", ()), "AP", nothing)


def confusions(matrix: np.ndarray, images: np.ndarray, names: Sequence[str]) -> Section:
    """Which class is taken for which; `images` [K] of each class, also those of which nothing is said."""
    text = "Images: rows are true classes, columns the most probable ones."
    return confusion.section(text, matrix, names, "images", totals=images, percent=False)


def pictures(worst: Sequence[Picture], random: Sequence[Picture]) -> Section:
    """The most confident mistakes, and some images at random."""
    blocks: list = [Words("The true class of each image, and the most probable one with its probability.")]
    if worst:
        blocks += [Words("The mistakes with the highest probabilities:"), Pictures(worst)]
    if random:
        blocks += [Words("Chosen at random of the others:" if worst else "Chosen at random:"), Pictures(random)]
    return Section("pictures", "Pictures", blocks)
