"""What the runs of a study measured: results and curves by metric, their mean and standard deviation over the seeds."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util

from tfrecog.cli import json_values
from tfrecog.cli.errors import UserError
from tfrecog.evaluations.loop import METRICS
from tfrecog.studies.runner import Run

LOSS = "training/loss"
TRAINING_TIME = "train_seconds"  # with its evaluations


class Row(NamedTuple):
    """A run and what it measured: its results by metric, NaN if it did not finish, and its curves by name."""

    run: Run
    state: str
    results: dict[str, float]
    curves: dict[str, dict[int, float]]  # metric or `training/loss` → step → value


def collect(planned: Sequence[Run], metrics: Sequence[str], last: int) -> list[Row]:
    """Reads the events of every run; its result is the median of its last so many evaluations.

    UserError if a finished run did not measure one of the metrics.
    """
    rows = []
    for run in planned:
        state, scalars = run.state, read_scalars(run.workdir, run.total)
        evaluations = {name.partition("/")[2]: at for name, at in scalars.items() if name.startswith("evaluation/")}
        curves = {metric: _curve(evaluations, metric) for metric in metrics}
        results = {metric: float("nan") for metric in metrics}
        if state == "finished":
            times = _times(run)
            for metric, curve in curves.items():
                if not curve and metric not in times:
                    measured = ", ".join(sorted(evaluations | times))
                    raise UserError(f"--metric={metric}: {run.workdir} measured {measured}")
                evaluated = [value for _, value in sorted(curve.items())][-last:]
                results[metric] = statistics.median(evaluated) if evaluated else times[metric]
        rows.append(Row(run, state, results, {LOSS: scalars.get(LOSS, {}), **curves}))
    return rows


def read_scalars(workdir: Path, total: int) -> dict[str, dict[int, float]]:
    """Name → step → value of TensorBoard's scalars of a run; of a step that came twice, what came later."""
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for path in sorted(workdir.glob("events.out.tfevents.*")):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars" and event.step <= total:
                    values = found.setdefault(value.tag, {})
                    number = float(tensor_util.make_ndarray(value.tensor))
                    values[event.step] = max(values.get(event.step, (0.0, 0.0)), (event.wall_time, number))
    return {tag: {step: number for step, (_, number) in sorted(values.items())} for tag, values in found.items()}


def _times(run):
    """Seconds by name: of the training, and of what its last evaluation noted beside its metrics."""
    path = run.workdir / METRICS
    noted = json_values.load(path, dict[str, Any], "evaluate the run again") if path.is_file() else {}
    times = {name: float(value) for name, value in noted.items() if is_time(name) and value is not None}
    return times | ({TRAINING_TIME: float(run.outcome["seconds"])} if "seconds" in run.outcome else {})


def _curve(evaluations, metric):
    """Step → value of a metric; `top1_error` is 1 - `top1`."""
    name = metric.removesuffix("_error")
    if metric in evaluations or name not in evaluations:
        return evaluations.get(metric, {})
    return {step: 1 - value for step, value in evaluations[name].items()}


def is_time(metric: str) -> bool:
    """Whether a metric is in seconds."""
    return "seconds" in metric


def scale(metric: str, percent: bool) -> int:
    """What a metric is multiplied with where it is shown: 100 for `percent`, but for a time."""
    return 100 if percent and not is_time(metric) else 1


def title(metric: str, percent: bool) -> str:
    """A metric's name for people, as `top1 error (%)`."""
    return f"{metric.replace('_', ' ')}{' (%)' if scale(metric, percent) > 1 else ''}"


def by_change(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each change, in the order of the changes."""
    return [[row for row in rows if row.run.change == name] for name in dict.fromkeys(row.run.change for row in rows)]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample: divided by n - 1) of what is not NaN; NaN where there is too little."""
    known = [value for value in values if not np.isnan(value)]
    return (
        statistics.mean(known) if known else float("nan"),
        statistics.stdev(known) if len(known) > 1 else float("nan"),
    )
