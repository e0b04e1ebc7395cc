"""precision_recall.csv and precision_recall.png: how precise a detector is at each recall, class by class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrecog.drawing import figures
from tfrecog.evaluations import loop
from tfrecog.metrics.voc import Ranking

TABLE, PICTURE = "precision_recall.csv", "precision_recall.png"
COLUMNS, MOST = 5, 40  # panels side by side, and classes that a picture has room for

ENVELOPE, HITS = "highest from here on; its area is AP", "at each object that is found"


def write(out: Path, rankings: Sequence[Ranking], names: Sequence[str]) -> None:
    """Writes both files: the curves of the classes [K] with these names.

    The table has a row for each hit, and so at most one an object: the score down to which one has to go for it, and
    recall and precision there; `interpolated` is the highest precision at this recall or a higher one, whose mean over
    all objects is the average precision. The picture has the classes with most objects, if there are many.
    """
    with loop.csv_rows(out, TABLE, ["class", "score", "recall", "precision", "interpolated"]) as write_row:
        for name, ranking in zip(names, rankings, strict=True):
            recall, precision, scores = ranking.curve()
            for values in zip(scores, recall, precision, ranking.envelope(), strict=True):
                write_row([name, *(f"{value:.6g}" for value in values)])
    there = [i for i, ranking in enumerate(rankings) if ranking.objects]
    if not there:
        (out / PICTURE).unlink(missing_ok=True)  # Of an evaluation before this one.
        return
    most = sorted(sorted(there, key=lambda i: -rankings[i].objects)[:MOST])
    figures.save(picture([rankings[i] for i in most], [names[i] for i in most]), out / PICTURE)


def picture(rankings: Sequence[Ranking], names: Sequence[str]):
    """A figure with a panel for each class: precision over recall, and the envelope whose area is the AP."""
    rows = -(-len(rankings) // COLUMNS)
    figure, axes = figures.panels(min(len(rankings), COLUMNS), 3.0, rows=rows, width=3.0)
    for ax, name, ranking in zip(axes, names, rankings, strict=False):
        recall, precision, _ = ranking.curve()
        # To each recall belongs the precision of the hit that reaches it: the steps whose area is summed.
        edges = np.concatenate([[0], recall])
        envelope = np.append(ranking.envelope(), [0])
        ax.step([*edges, edges[-1]], [*envelope, 0], where="post", color=figures.COLOURS[0], label=ENVELOPE)
        ax.fill_between(edges, envelope, step="post", color=figures.COLOURS[0], alpha=0.15, linewidth=0)
        ax.plot(recall, precision, color=figures.COLOURS[1], linewidth=1, label=HITS)
        ax.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="recall", ylabel="precision")
        ax.set(xticks=np.arange(6) / 5, yticks=np.arange(6) / 5)
        title = f"{name}: AP {100 * ranking.average_precision():.1f} %, {ranking.objects:,} objects"
        ax.set_title(title, fontsize=9, parse_math=False)
    # Below all panels, where no curve is.
    curves = axes[0].get_legend_handles_labels()
    figure.legend(*curves, loc="outside lower center", ncols=min(len(rankings), 2), fontsize=7)
    for ax in axes[len(rankings) :]:
        ax.set_axis_off()
    return figure
