"""What the shards of a split hold, added up."""

from typing import Self


class Sums:
    """A dataclass whose fields are counts, counters and lists: two of them add up field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: value + getattr(other, name) for name, value in vars(self).items()})
