"""The worst few of a stream, of which no others are in memory."""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worst(Generic[Item]):
    """Keeps the `most` items with the highest badness; of equally bad ones those with the lowest numbers."""

    def __init__(self, most: int):
        self._most = most
        self._heap: list[tuple[tuple[float, int], Item]] = []

    def add(self, badness: float, number: int, make: Callable[[], Item]) -> None:
        """Keeps what `make` returns if it is among the worst so far. No two items have the same number."""
        rank = float(badness), -number
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (rank, make()))
        elif self._heap and rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, make()))

    def entries(self) -> list[tuple[float, int, Item]]:
        """Badness, number and item of each that is kept, the worst first."""
        ranked = sorted(self._heap, key=lambda entry: entry[0], reverse=True)
        return [(badness, -number, item) for (badness, number), item in ranked]

    def __len__(self) -> int:
        return len(self._heap)
