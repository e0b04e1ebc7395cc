"""Which class is taken for which: a matrix, of many classes of those that are confused most, and pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecog.metrics.classification import most_confused, worst_pairs
from tfrecog.reports.blocks import Matrix, Number, Section, Table, Words

MOST, PAIRS = 12, 20  # classes in a matrix, pairs in a table
SHADES = "The stronger its colour, the larger a cell's share of the row."


def section(
    text: str,
    matrix: np.ndarray,
    names: Sequence[str],
    what: str,
    *,
    background: str = "",
    totals: np.ndarray | None = None,
    percent: bool = False,
) -> Section:
    """The section of a matrix [true, predicted].

    Args:
        text: says what is counted.
        names: of the classes; the matrix has one row and column more if there is a `background`, the last.
        what: of the true class a pair is a share of: "objects".
        background: its name.
        totals: of the rows, where they are more than the cells.
        percent: the cells have percentages of the totals.
    """
    known, sums = len(names), matrix.sum(axis=1) if totals is None else totals
    inner, every = matrix[:known, :known], [*names, background]
    shown = most_confused(inner, MOST)
    chosen = [*shown, *range(known, len(matrix))]
    blocks: list[Any] = [Words(f"{text} {SHADES}")]
    pairs = worst_pairs(inner, PAIRS)
    if len(shown) < known:
        beside = ", and the background" if background else ""
        of_all = f"{len(shown)} of {known:,} classes"
        which = f"{of_all} in the commonest confusions" if pairs else f"first {of_all}"
        blocks.append(Words(f"The {which}{beside}:"))
    part = matrix[np.ix_(chosen, chosen)].tolist()
    blocks.append(Matrix([every[i] for i in chosen], part, sums[chosen].tolist(), percent=percent))
    rows = [[names[a], names[b], Number(times, form="count"), Number(times / max(sums[a], 1))] for times, a, b in pairs]
    if rows:
        heads = ["true class", "taken for", "how often", f"% of its {what}"]
        blocks.append(Table(heads, rows, shown=8, more="more pairs"))
    else:
        blocks.append(Words("No class is taken for another."))
    return Section("confusion", "Confusions", blocks)
