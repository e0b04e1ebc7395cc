"""Pictures that wait for the model: those of one size go together, and only so many wait at a time."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from . import metrics
from .errors import Refused

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass(eq=False)
class _Waiting:
    picture: np.ndarray
    answer: asyncio.Future
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Gathers pictures of one size and shows them to the model together, one batch at a time, in a thread of its own.

    A batch starts when it is full, or when its first picture has waited long enough; meanwhile the model works on the
    batch before it, so under load batches fill up by themselves. Pictures nobody waits for any more are left out.
    """

    def __init__(self, run: Run, *, max_batch: int, max_wait: float, max_waiting: int, max_pixels: float):
        """
        Args:
            run: images uint8 [B, H, W, 3] → arrays whose first dimension is B.
            max_batch: pictures in a batch.
            max_wait: seconds that a picture waits for others of its size.
            max_waiting: pictures that wait at a time; more are refused.
            max_pixels: of a batch together; a larger picture goes alone.
        """
        self._run, self._max_batch, self._max_wait = run, max_batch, max_wait
        self._max_waiting, self._max_pixels = max_waiting, max_pixels
        self._waiting: list[_Waiting] = []  # who came first stands first
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def see(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What the model says of a picture uint8 [H, W, 3]: its arrays, without the dimension B."""
        self._keep(lambda one: not one.answer.done())
        if len(self._waiting) >= self._max_waiting:
            raise Refused(f"{self._max_waiting} pictures wait already (--max_in_flight); ask again in a second", 503)
        one = _Waiting(picture, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        metrics.WAITING.set(len(self._waiting))
        self._came.set()
        try:
            return await one.answer
        except asyncio.CancelledError:
            self._came.set()  # Its place is free, and the metrics say so.
            raise

    async def work(self) -> None:
        """Shows batches to the model until it is cancelled."""
        try:
            while True:
                try:
                    await self._show(await self._next())
                except Exception as error:  # Ours; who waits is told, and the others after them are served.
                    _tell(self._waiting, error)
        finally:
            self._thread.shutdown(wait=False)

    async def in_thread(self, function, *arguments):
        """Result of a function in the model's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _next(self) -> list[_Waiting]:
        """The next batch, when there is one that need not wait."""
        while True:
            self._came.clear()
            self._keep(lambda one: not one.answer.done())
            now = time.monotonic()
            for first in self._waiting:
                most = self._most(first.picture)
                batch = [one for one in self._waiting if one.picture.shape == first.picture.shape][:most]
                if len(batch) == most or first.since + self._max_wait <= now:
                    self._keep(lambda one, batch=batch: one not in batch)
                    return batch
            patience = self._waiting[0].since + self._max_wait - now if self._waiting else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), patience)

    async def _show(self, batch: list[_Waiting]) -> None:
        metrics.BATCH.observe(len(batch))
        start = time.monotonic()
        try:
            outputs = await self.in_thread(self._run_all, [one.picture for one in batch])
        except Exception as error:
            if len(batch) == 1:
                _tell(batch, error)
                return
            for one in batch:  # What one of them makes fail, or all together, need not fail the others.
                await self._show([one])
            return
        metrics.MODEL_SECONDS.observe(time.monotonic() - start)
        for i, one in enumerate(batch):
            if not one.answer.done():
                one.answer.set_result({name: value[i] for name, value in outputs.items()})

    def _run_all(self, pictures):
        return self._run(pictures[0][None] if len(pictures) == 1 else np.stack(pictures))

    def _most(self, picture: np.ndarray) -> int:
        """Pictures of its size in a batch."""
        height, width, _ = picture.shape
        return max(1, min(self._max_batch, int(self._max_pixels // (height * width))))

    def _keep(self, condition: Callable[[_Waiting], bool]) -> None:
        self._waiting = [one for one in self._waiting if condition(one)]
        metrics.WAITING.set(len(self._waiting))


def _tell(waiting: Iterable[_Waiting], error: Exception) -> None:
    for one in waiting:
        if not one.answer.done():
            one.answer.set_exception(error)


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
