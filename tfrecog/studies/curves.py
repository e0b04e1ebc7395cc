"""The figure of a study: training loss and metric over the epochs, and the results of each change side by side."""

import statistics
from collections.abc import Sequence

import matplotlib.ticker
import numpy as np

from tfrecog.drawing import figures
from tfrecog.studies.results import LOSS, Row, by_change, is_time, mean_and_deviation, scale, title


def figure(rows: Sequence[Row], metrics: Sequence[str], percent: bool):
    """Training loss and first metric over the epochs, each run thin and the mean bold; and the results with bars.

    Times among the metrics are panels of their own.
    """
    metric, *others = metrics
    timed = [name for name in others if is_time(name)]
    drawn, (losses, measured, final, *clocks) = figures.panels(3 + len(timed))
    groups = by_change(rows)
    for number, group in enumerate(groups):
        look = {"color": _colour(number), "linestyle": "-" if number < len(figures.COLOURS) else "--"}
        _draw_curves(losses, group, LOSS, 1, look)
        _draw_curves(measured, group, metric, scale(metric, percent), look)
        for axes, name in ((final, metric), *zip(clocks, timed, strict=True)):
            _draw_results(axes, group, name, scale(name, percent), number)
    losses.set(xlabel="epoch", ylabel="training loss", yscale="log")
    measured.set(xlabel="epoch", ylabel=title(metric, percent))
    final.set(xlabel=f"{title(metric, percent)}, mean and standard deviation", ylim=(len(groups) - 0.5, -0.5))
    results = [row.results[metric] for row in rows if not np.isnan(row.results[metric])]
    if metric.endswith("_error") and results and min(results) > 0 and max(results) > 4 * min(results):
        measured.set_yscale("log")
        final.set_xscale("log")
        for axis in (measured.yaxis, final.xaxis):
            _label(axis, matplotlib.ticker.ScalarFormatter())
    for clock, time in zip(clocks, timed, strict=True):
        clock.set(xlabel=time.replace("_", " "), xscale="log", ylim=(len(groups) - 0.5, -0.5))
        clock.set_yticks(range(len(groups)), [""] * len(groups))
        clock.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        _label(clock.xaxis, matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    final.set_yticks(range(len(groups)), [group[0].run.change for group in groups])
    for number, label in enumerate(final.get_yticklabels()):
        label.set_color(_colour(number))
    return drawn


def _draw_curves(axes, group, name, factor, look):
    """The curves of the runs of a change, and the mean of those that finished at the steps that all of these have."""
    for row in group:
        _draw(axes, row.run, row.curves[name], factor, color=look["color"], alpha=0.2, linewidth=0.7)
    finished = [row.curves[name] for row in group if row.state == "finished" and row.curves[name]]
    shared = sorted(set.intersection(*map(set, finished))) if finished else []
    mean = {step: statistics.mean(curve[step] for curve in finished) for step in shared}
    _draw(axes, group[0].run, mean, factor, linewidth=1.8, **look)


def _draw(axes, run, curve, factor, **look):
    marker = "o" if len(curve) == 1 else ""  # A line of one point is not visible.
    epochs = [step / run.steps_per_epoch for step in curve]
    axes.plot(epochs, [factor * value for value in curve.values()], marker=marker, **look)


def _draw_results(axes, group, name, factor, number):
    """Mean and standard deviation of a change in a line of its own, with a mark for each of its runs."""
    results = [row.results[name] for row in group]
    mean, deviation = mean_and_deviation(results)
    if not np.isnan(mean):
        error = None if np.isnan(deviation) else factor * deviation
        axes.errorbar(factor * mean, number, xerr=error, fmt="o", color=_colour(number), capsize=4)
        marks = [factor * result for result in results]
        axes.plot(marks, [number] * len(group), "|", color=_colour(number), alpha=0.5)


def _label(axis, formatter):
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def _colour(number):
    return figures.COLOURS[number % len(figures.COLOURS)]
