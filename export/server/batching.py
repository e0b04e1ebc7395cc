"""Pictures that wait for the model: those of one size go together, and only so many wait at a time."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from . import metrics
from .errors import busy

Run = Callable[[np.ndarray], dict[str, np.ndarray]]


@dataclass
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
        self._groups: OrderedDict[tuple[int, ...], deque[_Waiting]] = OrderedDict()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    @property
    def waiting(self) -> int:
        """How many pictures wait."""
        return sum(len(group) for group in self._groups.values())

    async def see(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What the model says of a picture uint8 [H, W, 3]: its arrays, without the dimension B."""
        self._forget_the_gone()
        if self.waiting >= self._max_waiting:
            raise busy(f"{self._max_waiting} pictures wait already (--max_in_flight); ask again in a second")
        one = _Waiting(picture, asyncio.get_running_loop().create_future())
        self._groups.setdefault(picture.shape, deque()).append(one)
        metrics.WAITING.set(self.waiting)
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
                    for group in self._groups.values():
                        for one in group:
                            _tell(one.answer, error)
                    self._groups.clear()
        finally:
            self._thread.shutdown(wait=False)

    async def in_thread(self, function, *arguments):
        """Result of a function in the model's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _next(self) -> list[_Waiting]:
        """The next batch, when there is one that need not wait."""
        while True:
            self._came.clear()
            self._forget_the_gone()
            now = time.monotonic()
            due = {shape: group[0].since + self._max_wait for shape, group in self._groups.items()}
            ready = [s for s, when in due.items() if when <= now or len(self._groups[s]) >= self._most(s)]
            if ready:
                shape = min(ready, key=due.__getitem__)  # whose first picture has waited longest
                group = self._groups[shape]
                batch = [group.popleft() for _ in range(min(len(group), self._most(shape)))]
                if not group:
                    del self._groups[shape]
                metrics.WAITING.set(self.waiting)
                return batch
            patience = min(due.values()) - now if due else None
            try:
                await asyncio.wait_for(self._came.wait(), patience)
            except TimeoutError:
                continue

    async def _show(self, batch: list[_Waiting]) -> None:
        metrics.BATCH.observe(len(batch))
        start = time.monotonic()
        try:
            outputs = await self.in_thread(self._run_all, [one.picture for one in batch])
        except Exception as error:
            if len(batch) == 1:
                _tell(batch[0].answer, error)
                return
            for one in batch:  # What one of them makes fail, or all together, need not fail the others.
                await self._show([one])
            return
        metrics.MODEL_SECONDS.observe(time.monotonic() - start)
        for i, one in enumerate(batch):
            if not one.answer.done():
                one.answer.set_result({name: value[i] for name, value in outputs.items()})

    def _run_all(self, pictures):
        images = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
        return self._run(images)

    def _most(self, shape) -> int:
        return max(1, min(self._max_batch, int(self._max_pixels // (shape[0] * shape[1]))))

    def _forget_the_gone(self) -> None:
        for shape in [*self._groups]:
            kept = deque(one for one in self._groups[shape] if not one.answer.done())
            if kept:
                self._groups[shape] = kept
            else:
                del self._groups[shape]
        metrics.WAITING.set(self.waiting)


def _tell(answer, error):
    if not answer.done():
        answer.set_exception(error)


class Budget:
    """An amount that is shared, first come, first served: who asks for more than is left waits."""

    def __init__(self, amount: float):
        self._amount = self._left = amount
        self._queue: deque[tuple[float, asyncio.Future]] = deque()

    async def take(self, amount: float) -> None:
        """Waits for an amount, or for all where it is more than there is, and takes it."""
        amount = min(amount, self._amount)
        if not self._queue and amount <= self._left:
            self._left -= amount
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # It was given in the moment in which it was no longer wanted.
                self.give_back(amount)
            elif (amount, turn) in self._queue:  # Another's leaving may have taken it out.
                self._queue.remove((amount, turn))
                self._next()
            raise

    def give_back(self, amount: float) -> None:
        """Returns an amount that was taken."""
        self._left += min(amount, self._amount)
        self._next()

    def _next(self):
        while self._queue and self._queue[0][0] <= self._left:
            amount, turn = self._queue.popleft()
            if not turn.done():
                self._left -= amount
                turn.set_result(None)
