"""Pictures that wait for the model: those of one size go together, and only so many wait at a time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from . import metrics
from .errors import Refused


@dataclass(eq=False)
class _Waiting:
    picture: np.ndarray
    outputs: asyncio.Future
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Gathers pictures of one size and shows them to the model together, one batch at a time, in a thread of its own.

    A batch starts when it is full, or when its first picture has waited long enough; meanwhile the model works on the
    batch before it, so under load batches fill up by themselves. Pictures nobody waits for any more are left out.
    """

    def __init__(
        self, run: Callable, statistics: metrics.Statistics, *, max_batch: int, max_wait: float, max_waiting: int,
        max_pixels: float,
    ):  # fmt: skip
        """
        Args:
            run: images uint8 [B, H, W, 3] → arrays by name, whose first dimension is B.
            statistics: are told how long pictures waited, and the model took.
            max_batch: pictures in a batch.
            max_wait: seconds that a picture waits for others of its size.
            max_waiting: pictures that wait at a time; more are refused.
            max_pixels: of a batch together; a larger picture goes alone.
        """
        self._run, self._statistics = run, statistics
        self._max_batch, self._max_wait = max_batch, max_wait
        self._max_waiting, self._max_pixels = max_waiting, max_pixels
        self._all: list[_Waiting] = []  # who came first stands first
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        statistics.waiting(lambda: len(self._waiting()))

    async def see(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """The model's outputs for a picture uint8 [H, W, 3], without the dimension B."""
        if len(self._waiting()) >= self._max_waiting:
            raise Refused(f"{self._max_waiting} pictures wait already (--max_in_flight); ask again in a second", 503)
        self._all.append(_Waiting(picture, asyncio.get_running_loop().create_future()))
        self._changed.set()
        return await self._all[-1].outputs

    async def work(self) -> None:
        """Shows batches to the model until it is cancelled."""
        try:
            while True:
                try:
                    batch = await self._next()
                    for one in batch:
                        self._statistics.took("queue", time.monotonic() - one.since)
                    await self._show(batch)
                except Exception as error:  # Ours; who waits is told, and the others after them are served.
                    for one in self._waiting():
                        one.outputs.set_exception(error)
        finally:
            self._thread.shutdown(wait=False)

    async def in_thread(self, function: Callable, *arguments):
        """Result of a function in the model's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _waiting(self) -> list[_Waiting]:
        self._all = [one for one in self._all if not one.outputs.done()]
        return self._all

    async def _next(self) -> list[_Waiting]:
        """The next batch, when there is one that need not wait."""
        while True:
            self._changed.clear()
            waiting, now = self._waiting(), time.monotonic()
            for first in waiting:
                height, width, _ = first.picture.shape
                most = max(1, min(self._max_batch, int(self._max_pixels // (height * width))))
                batch = [one for one in waiting if one.picture.shape == first.picture.shape][:most]
                if len(batch) == most or first.since + self._max_wait <= now:
                    self._all = [one for one in waiting if one not in batch]
                    return batch
            patience = waiting[0].since + self._max_wait - now if waiting else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), patience)

    async def _show(self, batch: list[_Waiting]) -> None:
        begun = time.monotonic()
        try:
            outputs = await self.in_thread(lambda: self._run(np.stack([one.picture for one in batch])))
            self._statistics.batch(len(batch), time.monotonic() - begun)
        except Exception as error:
            for one in batch:
                if len(batch) > 1:  # What one of them makes fail, or all together, need not fail the others.
                    await self._show([one])
                elif not one.outputs.done():
                    one.outputs.set_exception(error)
            return
        for i, one in enumerate(batch):
            if not one.outputs.done():
                one.outputs.set_result({name: value[i] for name, value in outputs.items()})


class Budget:
    """An amount that is shared, first come, first served: who asks for more than is left waits."""

    def __init__(self, amount: float):
        self._amount = self._left = amount
        self._turn, self._returned = asyncio.Lock(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def taken(self, amount: float) -> AsyncIterator[None]:
        """A context that waits for an amount, or for all where it is more than there is, and has it until its end."""
        amount = min(amount, self._amount)
        async with self._turn:  # which others wait for in the order in which they came
            while amount > self._left:
                self._returned.clear()
                await self._returned.wait()
            self._left -= amount
        try:
            yield
        finally:
            self._left += amount
            self._returned.set()
