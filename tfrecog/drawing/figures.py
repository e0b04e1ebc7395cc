"""Figures as PNG files, drawn without a screen."""

import functools
import warnings
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from tfrecog.cli import files
from tfrecog.drawing import fonts

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
    """Writes a PNG whole or not at all, with texts in the fonts of pictures; the same figure gives the same bytes."""
    _set_fonts(figure)
    with warnings.catch_warnings(), files.write(path, "wb") as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `fonts` says so, once.
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})


def _set_fonts(figure):
    """Each letter in the first font that has it, as in pictures; Matplotlib by itself has one font for all."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()  # They are made when they are asked for.
    for text in figure.findobj(Text):
        if files_of_text := fonts.of(text.get_text()):
            text.set_fontfamily([_family(file) for file in files_of_text])


@functools.cache
def _family(file):
    """A name by which Matplotlib finds this file, and no other of the family."""
    font_manager.fontManager.ttflist.append(font_manager.FontEntry(fname=file, name=file))
    return file
