"""Precision over recall: the mean of all classes, and those of the worst."""

from collections.abc import Sequence

import numpy as np

from tfrecog.metrics.coco_matching import RECALLS
from tfrecog.reports.blocks import Charts, Section, Words
from tfrecog.reports.charts import Chart, Line

MOST = 8  # classes with a curve of their own
ENVELOPE = (
    "At each recall the highest precision at it or a higher one; the mean height of a curve is the average precision. "
    "The dot is at the best threshold, with the exact precision, which may lie below the curve."
)


def section(text: str, classes: Sequence[dict], name: str, nothing: str) -> Section:
    """The section of classes, each with its `precision` at the recalls 0, 0.01, …, 1, if it has any, and its `best`.

    Args:
        text: says what is a hit.
        name: of the mean height of a curve: "AP50".
        nothing: says why there is no curve.
    """
    there = [row for row in classes if "precision" in row]
    if not there:
        return Section("curves", "Precision and recall", [Words(nothing)])
    charts = []
    if len(there) > 1:
        mean = np.mean([row["precision"] for row in there], axis=0)
        charts = [_curve(f"mean of {len(there):,} classes", mean, None, name)]
    chosen = sorted(there, key=lambda row: float(np.mean(row["precision"])))[:MOST]
    charts += [_curve(row["name"], row["precision"], row["best"], name) for row in chosen]
    text = f"{text} {ENVELOPE}"
    if len(there) > MOST:
        text += f" Drawn are the {MOST} classes of the lowest {name} of {len(there):,}; diagnosis.json has all."
    return Section("curves", "Precision and recall", [Words(text), Charts(charts)])


def _curve(title, precision, best, name):
    mark = (best["recall"], best["precision"], f"threshold {best['threshold']:.2f}") if best else None
    line = Line("precision", RECALLS, precision)
    title = f"{title}: {name} {100 * float(np.mean(precision)):.1f}"
    return Chart(title, "recall", "precision", [line], (0.0, 1.0), (0.0, 1.0), mark=mark)
