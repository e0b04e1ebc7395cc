"""How well proposals cover objects: recall and best overlap against their number (Uijlings et al. 2013, section 5)."""

from dataclasses import dataclass, field

import numpy as np

from tfrecog.data import records
from tfrecog.ops.overlaps import pairwise_iou

from .sums import Sums

NUMBERS = (10, 30, 100, 300, 1000, 2000, 5000)
OVERLAPS = (0.5, 0.7)
LARGE = 32**2  # square pixels, COCO's bound of small objects


@dataclass
class Coverage(Sums):
    """Of the objects that count: the best overlap with the first NUMBERS proposals of their image."""

    counts: list[int] = field(default_factory=list)  # proposals of each image that has a list of them
    labels: list[int] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    best: list[list[float]] = field(default_factory=list)  # IoU by NUMBERS

    def add(self, record: records.Record) -> None:
        """Adds a record with proposals; crowds, difficult objects and boxes without an inside do not count."""
        if record.proposals is None:
            return
        self.counts.append(len(record.proposals))
        counts = ~record.crowd & np.all(record.boxes[:, 2:] > record.boxes[:, :2], axis=1)
        if record.difficult is not None:
            counts &= ~record.difficult
        self.labels += record.labels[counts].tolist()
        self.areas += record.areas[counts].tolist()
        overlaps = pairwise_iou(record.boxes[counts].astype(float), record.proposals.astype(float))
        first = [overlaps[:, :number].max(axis=1, initial=0) for number in NUMBERS]
        self.best += np.stack(first, axis=1).tolist()

    def numbers(self, at_least: float = 0.0) -> list[tuple[int, list[float], float, float]]:
        """Of objects with such an area: a number of proposals, recall at OVERLAPS, ABO over all, and MABO by class.

        The last number is that of all proposals, if no image has as many as the next of NUMBERS. Without objects there
        is none.
        """
        big = np.array(self.areas) >= at_least
        best, labels = np.array(self.best).reshape(-1, len(NUMBERS))[big], np.array(self.labels)[big]
        rows, most = [], max(self.counts, default=0)
        for i, number in enumerate(NUMBERS if big.any() else ()):
            if i and NUMBERS[i - 1] >= most:
                break
            own = best[:, i]
            recall = [float(np.mean(own >= overlap)) for overlap in OVERLAPS]
            mabo = np.mean([own[labels == label].mean() for label in np.unique(labels)])
            rows.append((min(number, most or number), recall, float(own.mean()), float(mabo)))
        return rows

    def lines(self) -> list[str]:
        """The table of recall, for people."""
        if not self.counts:
            return []
        mean, none = np.mean(self.counts), self.counts.count(0)
        most = f"{min(self.counts):,} to {max(self.counts):,}"
        found = [f"  proposals: {mean:,.0f} an image ({most}), {none:,} images have none"]
        head = "".join(f"{f'IoU {overlap}':>9}" for overlap in OVERLAPS)
        for what, least in GROUPS.items():
            total = int(np.sum(np.array(self.areas) >= least))
            found.append(f"  {total:,} {what}: recall at IoU {' and '.join(map(str, OVERLAPS))}, mean best overlap")
            found.append(f"    proposals  {head}      ABO     MABO")
            for number, recall, abo, mabo in self.numbers(least):
                found.append(f"    {number:9,}  " + "".join(f"{value:9.3f}" for value in [*recall, abo, mabo]))
        return found


GROUPS = {"objects": 0.0, "objects of 32 x 32 pixels and more": LARGE}


def draw(splits: dict[str, Coverage], path: str) -> None:
    """Writes a PNG of recall and best overlap against the number of proposals, a row for each split."""
    from tfrecog.drawing import figures  # Matplotlib takes a second, and a check seldom draws.

    figure, axes = figures.panels(len(GROUPS), rows=len(splits))
    for row, (split, coverage) in enumerate(splits.items()):
        for column, (what, least) in enumerate(GROUPS.items()):
            ax, rows = axes[row * len(GROUPS) + column], coverage.numbers(least)
            numbers = [number for number, *_ in rows]
            curves = {f"recall at IoU {overlap}": [r[1][i] for r in rows] for i, overlap in enumerate(OVERLAPS)}
            curves["mean best overlap"] = [r[2] for r in rows]
            for (name, values), colour in zip(curves.items(), figures.COLOURS, strict=False):
                ax.plot(numbers, values, marker="o", color=colour, label=name)
            ax.set(xscale="log", ylim=(0, 1), xlabel="proposals an image", title=f"{split}: {what}")
            ax.legend(loc="upper left")
    figures.save(figure, path)
