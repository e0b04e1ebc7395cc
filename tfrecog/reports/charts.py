"""Lines over an axis as what an SVG of a page needs: paths and ticks in its own units."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 360, 230  # as many pixels where a page is narrow: the letters stay legible
LEFT, RIGHT, TOP, BOTTOM = 48, 344, 10, 190  # of the frame
MOST_POINTS = 300  # of a line: a page holds the run of a week
MOST_LINES = 8  # that can be told from each other: page.css has their colours and dashes


@dataclass(frozen=True)
class Line:
    """A line, or steps of which each value lasts until the next; points that are not numbers are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    steps: bool = False

    @cached_property
    def finite(self) -> np.ndarray:
        """Finite points [n, 2] of x, y."""
        points = np.stack([np.asarray(self.x, float), np.asarray(self.y, float)], axis=1)
        return points[np.isfinite(points).all(axis=1)]

    @cached_property
    def points(self) -> np.ndarray:
        """What is drawn of them [n, 2]; of many, means of neighbours."""
        points = self.finite
        if len(points) <= MOST_POINTS:
            return points
        return np.stack([part.mean(axis=0) for part in np.array_split(points, MOST_POINTS)])


@dataclass(frozen=True)
class Chart:
    """Lines over an axis.

    Args:
        y_label: may be empty, where the title says it.
        x_range, y_range: of the axes; None: of the lines.
        mark: a point x, y to mark, and what it is.
        log: the y axis is logarithmic, if all values are positive and far from each other.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    mark: tuple[float, float, str] | None = None
    log: bool = False

    frame: ClassVar[dict[str, int]] = dict(left=LEFT, right=RIGHT, top=TOP, bottom=BOTTOM, width=WIDTH, height=HEIGHT)

    @cached_property
    def _all(self):
        return np.concatenate([line.points for line in self.lines] or [np.zeros([0, 2])])

    @property
    def empty(self) -> bool:
        """Whether there is no point."""
        return not len(self._all)

    @cached_property
    def logarithmic(self) -> bool:
        """Whether the y axis is."""
        y = self._all[:, 1]
        return self.log and len(y) > 0 and y.min() > 0 and y.max() / y.min() > 20

    @cached_property
    def x_ticks(self) -> list[tuple[float, str]]:
        """Places on the x axis, and their texts."""
        low, high = self._ranges[0]
        return [(self._place_x(tick), _text(tick)) for tick in _nice(low, high, 5)]

    @cached_property
    def y_ticks(self) -> list[tuple[float, str]]:
        """Places on the y axis, and their texts."""
        low, high = self._ranges[1]
        ticks = _powers(low, high) if self.logarithmic else _nice(low, high, 5)
        return [(self._place_y(tick), _text(tick)) for tick in ticks]

    @cached_property
    def _ranges(self):
        points = self._all
        if not len(points):
            points = np.array([[0, 0], [1, 1]])
        (x_low, y_low), (x_high, y_high) = points.min(axis=0), points.max(axis=0)
        x_low, x_high = self.x_range or (x_low, x_high)
        if self.y_range:
            y_low, y_high = self.y_range
        elif not self.logarithmic:
            y_low = min(0.0, y_low)
            y_high += 0.05 * (y_high - y_low)
        return (x_low, x_high if x_high > x_low else x_low + 1), (y_low, y_high if y_high > y_low else y_low + 1)

    def _place_x(self, value):
        low, high = self._ranges[0]
        return round(LEFT + (RIGHT - LEFT) * (value - low) / (high - low), 1)

    def _place_y(self, value):
        (low, high) = self._ranges[1]
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)

    @cached_property
    def paths(self) -> list[str]:
        """The path of each line; of a single point a short dash."""
        return [self._path(line) for line in self.lines]

    def _path(self, line):
        places = [(self._place_x(x), self._place_y(y)) for x, y in line.points.tolist()]
        if not places:
            return ""
        if len(places) == 1:
            ((x, y),) = places
            return f"M{x - 3:g} {y:g}H{x + 3:g}"
        (x, y), *others = places
        path = [f"M{x:g} {y:g}"]
        for x, y in others:
            path.append(f"H{x:g}V{y:g}" if line.steps else f"L{x:g} {y:g}")
        return "".join(path)

    @property
    def mark_place(self) -> tuple[float, float] | None:
        """Where the mark is."""
        return (self._place_x(self.mark[0]), self._place_y(self.mark[1])) if self.mark else None

    @property
    def description(self) -> str:
        """The chart in words."""
        ends = [f"{line.name} ends at {_text(float(line.finite[-1, 1]))}" for line in self.lines if len(line.finite)]
        return f"{self.title}, over {self.x_label}: {', '.join(ends)}"


def _nice(low, high, most):
    return [tick for tick in MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]


def _powers(low, high, most=6):
    """Powers of ten in between, with their doubles and halves where these are few."""
    tens = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    for ticks in ([factor * ten for ten in tens for factor in (1, 2, 5)], tens):
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= most:
            return inside
    return inside[:: -(-len(inside) // most)]


def _text(value):
    if value and abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    if 0 < abs(value) < 0.001:
        mantissa, _, power = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value:.4g}"
