"""A version of a model: pictures in, results out, by way of the queue that makes batches."""

import asyncio
import contextlib
import functools
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.cli.errors import UserError

from ..artifact.metadata import reading
from . import pictures, responses
from .batching import Batcher
from .metrics import Statistics
from .requests import InferenceRequest
from .workers import Workers

_LOOK = 0.05  # seconds between two looks whether all that was begun is answered


class ServedModel:
    """A SavedModel that answers requests of any protocol."""

    def __init__(self, name: str, path: Path, metadata: dict[str, Any], workers: Workers):
        self.name, self.path, self.metadata = name, path, metadata
        self.version = path.name if path.name.isdecimal() else "1"
        self.statistics = Statistics(name, self.version)
        self.outputs: dict[str, tuple[np.dtype, list[int | None]]] = {}  # of the model: types and shapes, by name
        self.workers = workers
        self._saved: Any = None
        self._reading = reading(metadata)
        config = workers.config
        self._batcher = Batcher(
            lambda images: self._saved.see(images),
            self.statistics,
            max_batch=config.max_batch,
            max_wait=config.max_wait_ms / 1000,
            max_waiting=config.max_in_flight,
            max_pixels=config.max_megapixels * 1e6,
        )
        self._work: asyncio.Task | None = None
        self._open = 0  # requests in work

    async def warm_up(self) -> None:
        """Loads the model and lets it see pictures as its run had them; UserError if it cannot be served."""
        with ThreadPoolExecutor(1, thread_name_prefix="load", initializer=_stand_back) as loading:
            self._saved = await asyncio.get_running_loop().run_in_executor(loading, self._loaded)
        self.outputs = {
            name: (np.dtype(spec.dtype.as_numpy_dtype), spec.shape.as_list())
            for name, spec in self._saved.outputs.items()
        }
        self._work = asyncio.create_task(self._batcher.work())

    def _loaded(self):
        from ..served_graph import warm_up

        saved = _load(self.path)
        for height, width in warm_up.sizes(self.path):
            for count in (1, 2):
                saved.see(np.zeros([count, height, width, 3], np.uint8))
        return saved

    async def leave(self) -> None:
        """Answers what it has begun, and closes."""
        while self._open:
            await asyncio.sleep(_LOOK)
        self.close()
        gc.collect()  # A SavedModel is full of cycles, and its weights hang on them.

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
            for task in tasks:
                task.cancel()

    async def _see(self, picture: pictures.Picture) -> dict[str, Any]:
        begun = time.monotonic()
        async with self.workers.budget.taken(picture.pixels):
            pixels = await self.workers.run(picture.decode, self._reading)
            self.statistics.took("decode", time.monotonic() - begun)
            outputs = await self._batcher.see(pixels)
        size, begun = pixels.shape[:2], time.monotonic()
        del pixels
        results = await self.workers.run(responses.of_picture, outputs, size, self.metadata)
        self.statistics.took("results", time.monotonic() - begun)
        return results

    def close(self) -> None:
        """Ends its thread, and forgets the model."""
        if self._work:
            self._work.cancel()
        self._saved = None
        self.statistics.forget()


def _stand_back() -> None:
    """A thread that loads a model leaves the cores to those that answer, where the system has such an order."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def _load(path: Path):
    """The model of a version; UserError if it reads more than pictures."""
    _import_once()
    from ..served_graph import reader, signatures

    saved = reader.SavedReader(path, [signatures.PIXELS])
    if saved.reads_proposals:
        raise UserError(
            f"{path} reads proposals, and a server has only pictures: a detector on the proposals of its records "
            "cannot be served"
        )
    return saved


@functools.cache
def _import_once() -> None:
    """Imports TensorFlow, and takes its million objects out of collections, in which nothing else runs.

    Not those of models, which go again.
    """
    from ..served_graph import reader, signatures  # noqa: F401

    gc.freeze()
