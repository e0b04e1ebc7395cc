"""The curves of a training, from the metrics.csv of its run."""

import csv
import io
from pathlib import Path

import numpy as np

from tfrecog.reports.blocks import Charts, Section, Words
from tfrecog.reports.charts import MOST_LINES, Chart, Line

TABLE = "metrics.csv"
_TRAINING, _EVALUATION = "training/", "evaluation/"
_NO_LOSS = ("learning_rate", "gradient_norm", "loss_scale", "top1", "top5", "pixel_accuracy")
# The metrics that are drawn, of those that there are; without any of them, the first ones.
_METRICS = (
    "box_AP", "box_AP50", "mask_AP", "mask_AP50", "keypoint_AP", "keypoint_AP50", "voc_mAP", "top1", "top5", "mean_iou",
    "mean_accuracy", "pixel_accuracy",
)  # fmt: skip


def section(workdir: str | Path, step: int | None, numbers: dict[str, float]) -> Section:
    """Losses, learning rate and metrics over the steps.

    Args:
        workdir: of the run.
        step, numbers: of an evaluation on the split of the training, which joins those of the file.
    """
    rows = _numbers(Path(workdir) / TABLE) if workdir else []
    if not rows:
        text = f"Not measured: the run has no {TABLE}, as of imported weights or of a training before there was one."
        return Section("training", "Training curves", [Words(text)])
    if step is not None and not any(row["step"] == step and _metrics_of(row) for row in rows):
        rows.append({"step": step} | {_EVALUATION + name: value for name, value in numbers.items()})
    rows.sort(key=lambda row: row["step"])  # The evaluation may be of an earlier checkpoint.
    columns = {name: None for row in rows for name in row}
    losses = [name for name in columns if name.startswith(_TRAINING) and name.removeprefix(_TRAINING) not in _NO_LOSS]
    losses = losses[:1] if len(losses) == 2 else losses  # The sum of one term is that term.
    measured = [name.removeprefix(_EVALUATION) for name in columns if name.startswith(_EVALUATION)]
    known = [name for name in _METRICS if name in measured] or measured
    metrics = [_EVALUATION + name for name in known]
    metrics += [name for name in (f"{_TRAINING}top1", f"{_TRAINING}pixel_accuracy") if name in columns]
    charts = [
        _chart("Losses in training", rows, losses[:MOST_LINES], log=True),
        _chart("Metrics", rows, metrics[:MOST_LINES], between=(0.0, 1.0)),
        _chart("Learning rate", rows, [f"{_TRAINING}learning_rate"]),
        _chart("Norm of the gradient", rows, [f"{_TRAINING}gradient_norm"], log=True),
    ]
    charts = [chart for chart in charts if not chart.empty]
    text = f"From {TABLE} of the run: losses are means over the steps between two rows."
    return Section("training", "Training curves", [Words(text), Charts(charts)])


def read(path: Path) -> tuple[list[str], dict[int, dict[str, str]]]:
    """The columns of a metrics.csv, none if it is no table, and its whole rows by their steps."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    table = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))  # A killed process leaves half a line.
    try:
        rows = [row for row in table if None not in (*row, *row.values())]
    except csv.Error:
        return [], {}
    columns = list(table.fieldnames or ["step"])
    steps = [row for row in rows if row.get("step", "").isdecimal() and len(row["step"]) < 20]
    return columns, {int(row["step"]): row for row in steps}


def _numbers(path):
    """What is a number in each row; none of a file that cannot be read."""
    try:
        _, rows = read(path)
    except OSError:
        return []
    return [
        {name: number for name, value in row.items() if (number := _number(value)) is not None} for row in rows.values()
    ]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def _metrics_of(row):
    return [name for name in row if name.startswith(_EVALUATION)]


def _chart(title, rows, names, between=None, log=False):
    lines = []
    for name in names:
        some = [(row["step"], row[name]) for row in rows if name in row and row[name] != -1]
        x, y = zip(*some, strict=True) if some else ((), ())
        words = name.removeprefix(_EVALUATION).removeprefix(_TRAINING)
        words += " in training" * (name.startswith(_TRAINING) and words in ("top1", "pixel_accuracy"))
        lines.append(Line(words, x, y))
    lines = [line for line in lines if len(line.points)]
    values = np.concatenate([line.points[:, 1] for line in lines]) if lines else np.zeros(0)
    if between and not (len(values) and between[0] <= values.min() and between[1] / 2 < values.max() <= between[1]):
        between = None  # Small ones would lie on the axis.
    return Chart(title, "step", "", lines, y_range=between, log=log)
