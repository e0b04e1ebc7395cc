"""What a page is made of, as plain values: page.html draws each kind of block."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

STANDARD_ERROR = (
    "± is the standard error, by the bootstrap over the images: over all images of the same kind, of which these are a "
    "sample, a number lies within twice of it nineteen times in twenty. It does not cover the choice of the training "
    "images, or the seed."
)


@dataclass(frozen=True)
class Number:
    """A number, and its standard error if it has one.

    What is None, NaN, or the -1 of COCO's and VOC's numbers is not measured.
    """

    number: float | None
    error: float | None = None
    form: str = "percent"  # or "count", "score", "plain"

    @property
    def value(self) -> float | None:
        """The number, None where it is not measured."""
        return None if self.number is None or math.isnan(self.number) or self.number == -1 else self.number

    @property
    def text(self) -> str:
        """The number for people; of one that is not measured, a dash."""
        return "–" if self.value is None else shown(self.value, self.form)

    @property
    def margin(self) -> str:
        """`± 1.2`; empty without a standard error, or where it is 0, as of all or none of a few images."""
        unknown = self.value is None or not self.error or math.isnan(self.error)
        return "" if unknown else f"± {shown(self.error, self.form)}"


def shown(value: float, form: str) -> str:
    """A share in percent, a count with its thousands, a score in two places, or a plain number; 0 has no sign."""
    return {
        "percent": f"{100 * value:z.1f}",
        "count": f"{value:z,.0f}",
        "score": f"{value:z.2f}",
        "plain": f"{value:z.4g}",
    }[form]


@dataclass(frozen=True)
class Bar:
    """A number with a bar beside it, whose length is a share from 0 to 1."""

    number: Number
    share: float


Cell = str | Number | Bar


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str


@dataclass(frozen=True)
class Tiles:
    """The numbers that are read first: label, number, and what it is."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[tuple[str, Number, str]]


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first of each its name; those after the first `shown` can be opened."""

    kind: ClassVar[str] = "table"
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    shown: int = 20
    more: str = "more rows"  # what those are that can be opened
    dash: str = "not measured"  # what a dash says

    @property
    def parts(self) -> list[Sequence[Sequence[Cell]]]:
        """The rows that are seen, and those that can be opened."""
        return [self.rows[: self.shown], self.rows[self.shown :]]

    @property
    def has_dash(self) -> bool:
        """Whether a cell has no number."""
        numbers = (cell.number if isinstance(cell, Bar) else cell for row in self.rows for cell in row)
        return any(isinstance(one, Number) and one.value is None for one in numbers)


@dataclass(frozen=True)
class Facts:
    """Names and what is said of them."""

    kind: ClassVar[str] = "facts"
    facts: dict[str, str]


@dataclass(frozen=True)
class Matrix:
    """Counts by true and predicted class; `counts` [n, n], `totals` [n] of the rows whose shares are the shades."""

    kind: ClassVar[str] = "matrix"
    names: Sequence[str]
    counts: Sequence[Sequence[int]]
    totals: Sequence[float]
    percent: bool = False  # the cells say the share of the row, and not the count

    def shade(self, row: int, column: int) -> int:
        """Of a cell, 0 to 9; the root of its share, for most mistakes are few beside what is right."""
        share = self.counts[row][column] / max(self.totals[row], 1)
        return min(9, math.ceil(9 * math.sqrt(share)))

    def text(self, row: int, column: int) -> str:
        """Of a cell; nothing where it is 0."""
        count = self.counts[row][column]
        if not count:
            return ""
        share = count / max(self.totals[row], 1)
        if self.percent:
            return f"{100 * share:.0f}" if share >= 0.005 else "<1"
        return f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"


@dataclass(frozen=True)
class Picture:
    """Pictures of one image, as data addresses with a name each, and what is said of them."""

    title: str
    parts: Sequence[tuple[str, str]]
    text: str = ""


@dataclass(frozen=True)
class Pictures:
    """Some images; `legend`: colours "#rrggbb" and their names."""

    kind: ClassVar[str] = "pictures"
    pictures: Sequence[Picture]
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Charts:
    """Charts side by side; see `charts.Chart`."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Any]


@dataclass(frozen=True)
class Listing:
    """Lines of text that can be opened."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A heading with the blocks below it."""

    name: str  # of its anchor
    title: str
    blocks: Sequence[Any] = field(default_factory=tuple)
