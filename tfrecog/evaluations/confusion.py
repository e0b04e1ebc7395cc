"""confusion.csv and confusion.png: how many images, or pixels, of each class were taken for which."""

from pathlib import Path

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tfrecog.drawing import figures
from tfrecog.evaluations import loop
from tfrecog.metrics.classification import most_confused, worst_pairs

TABLE, PICTURE = "confusion.csv", "confusion.png"
MOST = 30  # classes that a picture has room for
LETTERS = 22  # of a class name


def write(
    out: Path, confusion: np.ndarray, names: tuple[str, ...], title: str, pixels: np.ndarray | None = None
) -> None:
    """Writes both files: counts [true, predicted] of classes with these names.

    The table has a row and a column for each class. The picture has those that are mistaken most, if there are many.
    Where pixels are counted, `pixels` [K] is how many there are of each class: the picture then has percentages.
    """
    with loop.csv_rows(out, TABLE, ["true \\ predicted", *names]) as write_row:
        for name, counts in zip(names, confusion.tolist(), strict=True):
            write_row([name, *counts])
    figures.save(picture(confusion, names, title, pixels), out / PICTURE)


def picture(confusion: np.ndarray, names: tuple[str, ...], title: str, pixels: np.ndarray | None = None) -> Figure:
    """A figure of the counts [true, predicted], or of percentages of `pixels`; the colour is the part of its row."""
    chosen = most_confused(confusion, MOST)
    if len(chosen) < len(names):
        of_all = f"{len(chosen)} of {len(names):,} classes"
        title += f"\nthe {of_all} in the commonest mistakes" if worst_pairs(confusion, 1) else f"\nthe first {of_all}"
    part, of_class = confusion[np.ix_(chosen, chosen)], (confusion.sum(axis=1) if pixels is None else pixels)[chosen]
    share = part / np.maximum(of_class, 1)[:, None]
    labels = [name if len(name := names[i]) <= LETTERS else name[: LETTERS - 1] + "…" for i in chosen]

    side = max(3.0, 0.36 * len(chosen))
    margin = 0.9 + 0.085 * max(map(len, labels), default=1)
    figure = Figure(figsize=(side + margin + 0.4, side + margin + 0.7), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    # The root, for most mistakes are few beside what is right.
    axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    places = range(len(chosen))
    axes.set_xticks(places, labels, rotation=90 if max(map(len, labels), default=1) > 2 else 0, parse_math=False)
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true" if pixels is None else "true, and which % of its pixels")
    axes.set_title(title, fontsize=10, parse_math=False)
    for row, column in zip(*np.nonzero(part), strict=True):
        ink = "white" if share[row, column] > 0.4 else "black"
        number = _brief(int(part[row, column])) if pixels is None else _percent(share[row, column])
        axes.text(column, row, number, ha="center", va="center", color=ink, fontsize=9 if len(number) < 4 else 7)
    return figure


def _brief(count):
    """A count in at most four letters."""
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def _percent(share):
    """A share in at most four letters; nothing where it would be 0.0."""
    percent = 100 * share
    return f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}" if percent >= 0.05 else ""
