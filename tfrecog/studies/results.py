"""What a study found: mean and standard deviation over the seeds of each change, as tables and as a figure."""

import csv
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.ticker
import numpy as np
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.drawing import figures
from tfrecog.evaluations.report import METRICS
from tfrecog.studies.runner import Run
from tfrecog.training import schedules

TABLE, TABLE_CSV, RUNS_CSV, FIGURE = "table.md", "table.csv", "runs.csv", "study.png"
LOSS = "training/loss"
TRAINING_TIME = "train_seconds"  # with its evaluations


class Row(NamedTuple):
    """A run and what it measured: its results by metric, NaN if it did not finish, and its curves by name."""

    run: Run
    state: str
    results: dict[str, float]
    curves: dict[str, dict[int, float]]  # metric or `training/loss` → step → value


def collect(planned: Sequence[Run], metrics: Sequence[str], last: int) -> list[Row]:
    """Reads the events of every run; its result is the median of the last so many evaluations."""
    rows = []
    for run in planned:
        state, scalars = run.state, read_scalars(run.workdir, run.total)
        evaluations = {name.partition("/")[2]: at for name, at in scalars.items() if name.startswith("evaluation/")}
        curves = {LOSS: scalars.get(LOSS, {})} | {metric: _of_metric(evaluations, metric) for metric in metrics}
        times = _times(run) if state == "finished" else {}
        if state == "finished" and not all(curves[metric] or metric in times for metric in metrics):
            missing = [metric for metric in metrics if not curves[metric] and metric not in times]
            measured = ", ".join(sorted(evaluations | times))
            raise UserError(f"--metric={missing[0]}: {run.workdir} measured {measured}")
        results = {metric: float("nan") for metric in metrics}
        if state == "finished":
            for metric in metrics:
                evaluated = [value for _, value in sorted(curves[metric].items())][-last:]
                results[metric] = statistics.median(evaluated) if evaluated else times[metric]
        rows.append(Row(run, state, results, curves))
    return rows


def read_scalars(workdir: Path, total: int) -> dict[str, dict[int, float]]:
    """Name → step → value of TensorBoard's scalars of a run; of a step that came twice, what came later."""
    times: dict[str, dict[int, tuple[float, float]]] = {}
    for path in sorted(workdir.glob("events.out.tfevents.*")):
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars" and event.step <= total:
                    seen = times.setdefault(value.tag, {})
                    number = float(tensor_util.make_ndarray(value.tensor))
                    seen[event.step] = max(seen.get(event.step, (0.0, 0.0)), (event.wall_time, number))
    return {tag: {step: number for step, (_, number) in sorted(at.items())} for tag, at in times.items()}


def _times(run) -> dict[str, float]:
    """Seconds by name: of the training, and of what its last evaluation noted beside its metrics."""
    path = run.workdir / METRICS
    noted = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    times = {name: float(value) for name, value in noted.items() if _is_time(name) and value is not None}
    return times | ({TRAINING_TIME: float(run.outcome["seconds"])} if "seconds" in run.outcome else {})


def _is_time(metric):
    return "seconds" in metric


def _of_metric(evaluations, metric):
    """Step → value of a metric; `top1_error` is 1 - `top1`."""
    name = metric.removesuffix("_error")
    if metric in evaluations or name not in evaluations:
        return evaluations.get(metric, {})
    return {step: 1 - value for step, value in evaluations[name].items()}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (of a sample: divided by n - 1) of what is not NaN; NaN where there is too little."""
    there = [value for value in values if not np.isnan(value)]
    return (
        statistics.mean(there) if there else float("nan"),
        statistics.stdev(there) if len(there) > 1 else float("nan"),
    )


def write(rows: Sequence[Row], study) -> None:
    """Writes table.md, table.csv, runs.csv and study.png into a study's folder; `study` is a tfrecog.study.Study."""
    folder = Path(study.workdir)
    with files.write(folder / TABLE) as file:
        file.write(markdown(rows, study.metric, study.percent))
    with files.write(folder / TABLE_CSV) as file:
        _write_csv(file, [_summary(group, study.metric) for group in by_change(rows)])
    with files.write(folder / RUNS_CSV) as file:
        _write_csv(file, [_facts(row) for row in rows])
    if any(row.curves[LOSS] for row in rows):
        figures.save(figure(rows, study.metric, study.percent), folder / FIGURE)


def by_change(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each change, in the order of the changes."""
    return [[row for row in rows if row.run.change == name] for name in dict.fromkeys(row.run.change for row in rows)]


def markdown(rows: Sequence[Row], metrics: Sequence[str], percent: bool) -> str:
    """A table in the form of Goyal et al. 2017, table 2: a line for each change, mean ± standard deviation."""
    lines = [f"| change | batch | peak rate | {' | '.join(_titles(metrics, percent))} | runs |"]
    lines.append("| --- " + "| ---: " * (2 + len(metrics)) + "| --- |")
    for group in by_change(rows):
        experiment, states = group[0].run.experiment, [row.state for row in group]
        rate = schedules.peak(experiment.optim, experiment.data.batch_size)
        cells = [group[0].run.change, str(experiment.data.batch_size), f"{rate:.3g}"]
        for metric in metrics:
            mean, deviation = mean_and_deviation([row.results[metric] for row in group])
            scale = _scale(metric, percent)
            form = ".2f" if percent else ".4f"
            if _is_time(metric):
                form = ".3g" if mean < 100 else ".0f"
            text = "–" if np.isnan(mean) else f"{scale * mean:{form}}"
            cells.append(text if np.isnan(deviation) else f"{text} ± {scale * deviation:{form}}")
        others = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states) if state != "finished")
        done = states.count("finished")
        lines.append(f"| {' | '.join(cells)} | {f'{done} of {len(group)}; {others}' if others else done} |")
    return "\n".join(lines) + "\n"


def _titles(metrics, percent):
    return [f"{metric.replace('_', ' ')}{' (%)' if _scale(metric, percent) > 1 else ''}" for metric in metrics]


def _scale(metric, percent):
    return 100 if percent and not _is_time(metric) else 1


def _summary(group, metrics):
    run, states = group[0].run, [row.state for row in group]
    facts = {
        "change": run.change,
        "batch_size": run.experiment.data.batch_size,
        "peak_rate": schedules.peak(run.experiment.optim, run.experiment.data.batch_size),
        "steps": run.total,
        "runs": len(group),
        **{state: states.count(state) for state in ("finished", "diverged", "failed")},
    }
    for metric in metrics:
        mean, deviation = mean_and_deviation([row.results[metric] for row in group])
        facts |= {f"{metric}_mean": mean, f"{metric}_std": deviation}
    return facts


def _facts(row):
    outcome = row.run.outcome
    facts = {"change": row.run.change, "seed": row.run.seed, "state": row.state, **row.results}
    return facts | {
        "seconds": outcome.get("seconds", ""),
        "reason": outcome.get("reason", ""),
        "workdir": row.run.workdir,
    }


def _write_csv(file, facts):
    table = csv.DictWriter(file, list(facts[0]), lineterminator="\n")
    table.writeheader()
    # Six digits: a metric of float32 has no more.
    table.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in facts)


def figure(rows: Sequence[Row], metrics: Sequence[str], percent: bool):
    """Training loss and first metric over the epochs, each run thin and the mean bold; and the results with bars.

    Times among the metrics are panels of their own.
    """
    timed = [metric for metric in metrics[1:] if _is_time(metric)]
    drawn, (losses, curves, final, *clocks) = figures.panels(3 + len(timed))
    metric, scale = metrics[0], _scale(metrics[0], percent)
    groups = by_change(rows)
    for number, group in enumerate(groups):
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        style = "-" if number < len(figures.COLOURS) else "--"
        for axes, name, factor in ((losses, LOSS, 1), (curves, metric, scale)):
            for row in group:
                _draw(axes, row.run, row.curves[name], factor, color=colour, alpha=0.2, linewidth=0.7)
            finished = [row.curves[name] for row in group if row.state == "finished" and row.curves[name]]
            shared = sorted(set.intersection(*map(set, finished))) if finished else []
            mean = {step: statistics.mean(curve[step] for curve in finished) for step in shared}
            _draw(axes, group[0].run, mean, factor, color=colour, linestyle=style, linewidth=1.8)
        for axes, name in ((final, metric), *zip(clocks, timed, strict=True)):
            factor = _scale(name, percent)
            mean, deviation = mean_and_deviation([row.results[name] for row in group])
            if not np.isnan(mean):
                spread = None if np.isnan(deviation) else factor * deviation
                axes.errorbar(factor * mean, number, xerr=spread, fmt="o", color=colour, capsize=4)
                marks = [factor * row.results[name] for row in group]
                axes.plot(marks, [number] * len(group), "|", color=colour, alpha=0.5)
    (title,) = _titles([metric], percent)
    losses.set(xlabel="epoch", ylabel="training loss", yscale="log")
    curves.set(xlabel="epoch", ylabel=title)
    results = [row.results[metric] for row in rows if not np.isnan(row.results[metric])]
    if metric.endswith("_error") and results and min(results) > 0 and max(results) > 4 * min(results):
        curves.set_yscale("log")
        final.set_xscale("log")
        for axis in (curves.yaxis, final.xaxis):
            axis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
            axis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    for clock, time in zip(clocks, timed, strict=True):
        clock.set(xlabel=time.replace("_", " "), xscale="log", ylim=(len(groups) - 0.5, -0.5))
        clock.set_yticks(range(len(groups)), [""] * len(groups))
        clock.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        clock.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        clock.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    final.set(xlabel=f"{title}, mean and standard deviation", ylim=(len(groups) - 0.5, -0.5))
    final.set_yticks(range(len(groups)), [group[0].run.change for group in groups])
    for label, number in zip(final.get_yticklabels(), range(len(groups)), strict=True):
        label.set_color(figures.COLOURS[number % len(figures.COLOURS)])
    return drawn


def _draw(axes, run, curve, factor, **look):
    marker = "o" if len(curve) == 1 else ""  # a line of one point is not seen
    epochs = [step / run.steps_per_epoch for step in curve]
    axes.plot(epochs, [factor * value for value in curve.values()], marker=marker, **look)
