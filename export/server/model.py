"""A version of a model: pictures in, results out, by way of the queue that makes batches."""

import asyncio
import gc
import time
from collections.abc import Callable
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

_WARM_UP = (240, 320)


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

    async def warm_up(self) -> None:
        """Loads the model and lets it see two batches; UserError if it cannot be served."""
        self._saved = await self._batcher.in_thread(_load, self.path)
        for count in (1, 2):
            await self._batcher.in_thread(self._saved.see, np.zeros([count, *_WARM_UP, 3], np.uint8))
        self.outputs = {
            name: (np.dtype(spec.dtype.as_numpy_dtype), spec.shape.as_list())
            for name, spec in self._saved.outputs.items()
        }
        gc.freeze()  # TensorFlow's million objects, which each full collection would visit while nothing else runs.
        self._work = asyncio.create_task(self._batcher.work())

    async def answer(self, request: InferenceRequest, respond: Callable) -> Any:
        """What `respond` makes, in a thread, of this model, a request, and the results of its pictures in order."""
        with self.statistics.request(len(request.pictures)):
            results = await self._results(request.pictures)
            return await self.workers.run(respond, self, request, results)

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


def _load(path: Path):
    """The model of a version; UserError if it reads more than pictures."""
    from ..served_graph import reader, signatures

    saved = reader.SavedReader(path, [signatures.PIXELS])
    if saved.reads_proposals:
        raise UserError(
            f"{path} reads proposals, and a server has only pictures: a detector on the proposals of its records "
            "cannot be served"
        )
    return saved
