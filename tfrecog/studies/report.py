"""The files of a study: table.md and table.csv with a line for each change, runs.csv for each run, and study.png."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrecog.cli import files
from tfrecog.drawing import figures
from tfrecog.studies import curves
from tfrecog.studies.results import LOSS, Row, by_change, is_time, mean_and_deviation, scale, title
from tfrecog.training import schedules

TABLE, TABLE_CSV, RUNS_CSV, FIGURE = "table.md", "table.csv", "runs.csv", "study.png"


def write(rows: Sequence[Row], workdir: str | Path, metrics: Sequence[str], percent: bool) -> None:
    """Writes all of them into a study's folder; the figure once there is a loss to draw."""
    folder = Path(workdir)
    with files.write(folder / TABLE) as file:
        file.write(markdown(rows, metrics, percent))
    for name, lines in (
        (TABLE_CSV, [_of_change(group, metrics) for group in by_change(rows)]),
        (RUNS_CSV, [_of_run(row) for row in rows]),
    ):
        with files.write(folder / name) as file:
            table = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
            table.writeheader()
            # Six digits: a metric of float32 has no more.
            table.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in line.items()} for line in lines)
    if any(row.curves[LOSS] for row in rows):
        figures.save(curves.figure(rows, metrics, percent), folder / FIGURE)


def markdown(rows: Sequence[Row], metrics: Sequence[str], percent: bool) -> str:
    """A table in the form of Goyal et al. 2017, table 2: a line for each change, mean ± standard deviation."""
    titles = [title(metric, percent) for metric in metrics]
    lines = [f"| change | batch | peak rate | {' | '.join(titles)} | runs |"]
    lines.append("| --- " + "| ---: " * (2 + len(metrics)) + "| --- |")
    for group in by_change(rows):
        run, states = group[0].run, [row.state for row in group]
        cells = [run.change, str(run.experiment.data.batch_size), f"{_peak(run):.3g}"]
        cells += [_cell([row.results[metric] for row in group], metric, percent) for metric in metrics]
        others = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states) if state != "finished")
        finished = states.count("finished")
        cells.append(f"{finished} of {len(group)}; {others}" if others else str(finished))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(values, metric, percent):
    mean, deviation = mean_and_deviation(values)
    factor, form = scale(metric, percent), ".2f" if percent else ".4f"
    if is_time(metric):
        form = ".3g" if mean < 100 else ".0f"
    text = "–" if np.isnan(mean) else f"{factor * mean:{form}}"
    return text if np.isnan(deviation) else f"{text} ± {factor * deviation:{form}}"


def _of_change(group, metrics):
    run, states = group[0].run, [row.state for row in group]
    facts = {
        "change": run.change,
        "batch_size": run.experiment.data.batch_size,
        "peak_rate": _peak(run),
        "steps": run.total,
        "runs": len(group),
        **{state: states.count(state) for state in ("finished", "diverged", "failed")},
    }
    for metric in metrics:
        mean, deviation = mean_and_deviation([row.results[metric] for row in group])
        facts |= {f"{metric}_mean": mean, f"{metric}_std": deviation}
    return facts


def _of_run(row):
    run, outcome = row.run, row.run.outcome
    facts = {"change": run.change, "seed": run.seed, "state": row.state, **row.results}
    return facts | {name: outcome.get(name, "") for name in ("seconds", "reason")} | {"workdir": run.workdir}


def _peak(run):
    return schedules.peak(run.experiment.optim, run.experiment.data.batch_size)
