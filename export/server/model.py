"""A version of a model: pictures in, results out, by way of the queue that makes batches."""

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..artifact.metadata import reading
from . import engines, pictures
from .batching import Batcher
from .metrics import Statistics
from .requests import InferenceRequest
from .workers import Workers

_LOOK = 0.05  # seconds between two looks whether all that was begun is answered
CALM = 1.0  # seconds after which a version that has left is freed


class ServedModel:
    """A model that answers requests of any protocol."""

    def __init__(self, name: str, path: Path, metadata: dict[str, Any], workers: Workers):
        self.name, self.path, self.metadata = name, path, metadata
        self.version = path.name if path.name.isdecimal() else "1"
        self.statistics = Statistics(name, self.version)
        self.outputs: engines.Outputs = {}
        self.workers = workers
        self._engine: Any = None
        self._reading = reading(metadata)
        config = workers.config
        self._batcher = Batcher(
            lambda images: self._engine.see(images),
            self.statistics,
            max_batch=1 if path.suffix == engines.LITE else config.max_batch,  # It sees one picture at a time.
            max_wait=config.max_wait_ms / 1000,
            max_waiting=config.max_in_flight,
            max_pixels=config.max_megapixels * 1e6,
        )
        self._work: asyncio.Task | None = None
        self._open = 0  # requests in work

    async def warm_up(self) -> None:
        """Loads the model and lets it see pictures as its run had them; UserError if it cannot be served."""
        with ThreadPoolExecutor(1, thread_name_prefix="load", initializer=_stand_back) as loading:
            loop = asyncio.get_running_loop()
            self._engine = await loop.run_in_executor(loading, engines.load, self.path)
        self.outputs = self._engine.outputs
        self._work = asyncio.create_task(self._batcher.work())

    async def leave(self) -> None:
        """Answers what it has begun, closes, and is freed.

        A SavedModel is full of cycles, and its weights hang on them. Collecting its objects, 55,000 of a Mask R-CNN,
        stops everything for a tenth of a second: not while the first answers of the version after it are awaited.
        """
        while self._open:
            await asyncio.sleep(_LOOK)
        self.close()
        await asyncio.sleep(CALM)
        gc.collect()

    async def answer(self, request: InferenceRequest, respond: Callable) -> Any:
        """What `respond` makes, in a thread, of this model, a request, and the results of its pictures in order."""
        self._open += 1
        try:
            with self.statistics.request(len(request.pictures)):
                results = await self._results(request.pictures)
                return await self.workers.run(respond, self, request, results)
        finally:
            self._open -= 1

    async def _results(self, pictures_: list[pictures.Picture]) -> list[dict[str, Any]]:
        """Results of pictures, in their order; the first that is refused refuses them all."""
        tasks = [asyncio.create_task(self._see(picture)) for picture in pictures_]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # The error of one has this call in its traceback: they would keep one another and the pictures for long.
            while tasks:
                tasks.pop().cancel()

    async def _see(self, picture: pictures.Picture) -> dict[str, Any]:
        begun, engine = time.monotonic(), self._engine
        async with self.workers.budget.taken(picture.pixels):
            pixels = await self.workers.run(picture.decode, self._reading)
            self.statistics.took("decode", time.monotonic() - begun)
            outputs = await self._batcher.see(pixels)
        size, begun = pixels.shape[:2], time.monotonic()
        del pixels
        results = await self.workers.run(engine.results, outputs, size)
        self.statistics.took("results", time.monotonic() - begun)
        return results

    def close(self) -> None:
        """Ends its thread, and forgets the model."""
        if self._work:
            self._work.cancel()
        self._engine = None
        self.statistics.forget()


def _stand_back() -> None:
    """A thread that loads a model leaves the cores to those that answer, where the system has such an order."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
