"""Figures as PNG files, drawn without a screen."""

from pathlib import Path

from matplotlib.figure import Figure

from tfrecog.cli import files

# Readable in greyscale, and by people who do not tell red from green (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def panels(count: int, height: float = 4.0, *, rows: int = 1, width: float = 5.2) -> tuple[Figure, list]:
    """A figure with so many axes side by side in each row, and these, row by row; sizes in inches are of one."""
    figure = Figure(figsize=(width * count, height * rows), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False).ravel()
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def save(figure: Figure, path: str | Path) -> None:
    """Writes a PNG whole or not at all; the same figure gives the same bytes."""
    with files.write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
