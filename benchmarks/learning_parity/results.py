"""What the runs amount to: means, standard errors, and the figure."""

import math
import statistics
from pathlib import Path

from benchmarks.learning_parity.rules import Rules
from benchmarks.learning_parity.runs import SIDES
from tfrecog.drawing import figures

METRICS = ("AP", "AP50")


def last(run: dict, metric: str) -> float:
    """A metric at the end of a run, in percent."""
    return 100 * list(run["curve"].values())[-1][metric]


def line(run: dict) -> str:
    """A run in a line."""
    numbers = ", ".join(f"{metric} {last(run, metric):.1f}" for metric in METRICS)
    check = 100 * run["pycocotools"]["AP"]
    times = f"{run['cpu_seconds']:.0f} s of CPU, {run['wall_seconds']:.0f} s"
    return f"{run['side']:12} seed {run['seed']}: {numbers} (pycocotools: AP {check:.1f}); {times}"


def summary(found: list[dict]) -> dict:
    """By side the mean and the standard error of each metric and the mean times; by metric how far apart they are.

    Two means of independent runs differ by chance by the root of the sum of their squared standard errors.
    """
    of_side, apart = {}, {}
    for side in SIDES:
        group = [run for run in found if run["side"] == side]
        of_side[side] = {metric: mean_and_error([last(run, metric) for run in group]) for metric in METRICS}
        of_side[side] |= {
            f"{kind}_seconds": statistics.mean(run[f"{kind}_seconds"] for run in group) for kind in ("cpu", "wall")
        }
    for metric in METRICS:
        (one, error), (other, other_error) = (of_side[side][metric] for side in SIDES)
        apart[metric] = {"difference": one - other, "standard_error": math.hypot(error, other_error)}
    return {"sides": of_side, "apart": apart}


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean, and its standard error from the deviation of the runs; not a number of one run."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return statistics.mean(values), error


def table(found: list[dict]) -> str:
    """Markdown: a row for each side, and what is between them."""
    known = summary(found)
    rows = ["| | AP | AP50 | CPU | time |", "| --- | --- | --- | --- | --- |"]
    for side, of in known["sides"].items():
        numbers = " | ".join("{:.1f} ± {:.1f}".format(*of[metric]) for metric in METRICS)
        rows.append(f"| {side} | {numbers} | {of['cpu_seconds']:.0f} s | {of['wall_seconds']:.0f} s |")
    apart = " | ".join(
        "{difference:+.1f} ± {standard_error:.1f}".format(**known["apart"][metric]) for metric in METRICS
    )
    return "\n".join([*rows, f"| difference | {apart} | | |"])


def draw(found: list[dict], rules: Rules, path: Path) -> None:
    """Draws the metrics over the epochs: each run thin, the mean of a side's runs bold."""
    figure, panels = figures.panels(len(METRICS))
    for axes, metric in zip(panels, METRICS, strict=True):
        for side, colour in zip(SIDES, figures.COLOURS, strict=False):
            curves = [
                {int(step) / rules.steps_per_epoch: 100 * at[metric] for step, at in run["curve"].items()}
                for run in found
                if run["side"] == side
            ]
            for curve in curves:
                axes.plot(list(curve), list(curve.values()), color=colour, alpha=0.35, linewidth=0.8)
            mean = [statistics.mean(curve[epoch] for curve in curves) for epoch in curves[0]]
            axes.plot(list(curves[0]), mean, color=colour, linewidth=2, label=side)
        axes.set(xlabel="epoch", ylabel=f"box {metric}", ylim=0)
        axes.legend(frameon=False)
    figures.save(figure, path)
