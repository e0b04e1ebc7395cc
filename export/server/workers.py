"""What all models of a server share: threads that parse and decode, and memory for pictures."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tfrecog.runtime import cores

from . import requests
from .batching import Budget

LARGE = 2**18  # bytes of a body; of those that have more, one is parsed at a time


class Workers:
    """Threads and memory; `config` has the flags of `export.serve`."""

    def __init__(self, config):
        self.config = config
        self.bounds = requests.Bounds(config.max_megapixels, config.max_in_flight)
        self.budget = Budget(self.bounds.pixels_together)  # of decoded pictures; others wait encoded
        self._pool = ThreadPoolExecutor(config.threads or cores.usable(), thread_name_prefix="decode")
        self._parsing = asyncio.Lock()

    async def run(self, function: Callable, *arguments) -> Any:
        """Result of a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def parsed(self, parse: Callable, body: bytes, detail) -> requests.InferenceRequest:
        """What a function of body, detail and bounds makes of them in a thread; Refused if pictures are too large."""
        async with self._parsing if len(body) > LARGE else contextlib.nullcontext():
            request = await self.run(parse, body, detail, self.bounds)
        pixels = sum(picture.pixels for picture in request.pictures)
        self.bounds.check_together(pixels, "the pictures have", "Send fewer.")
        return request

    def close(self) -> None:
        """Ends the threads; what has not begun is left."""
        self._pool.shutdown(wait=False, cancel_futures=True)
