"""The model that is served: pictures in, results out, by way of the queue that makes batches."""

import asyncio
import contextlib
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kserve
import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.runtime import cores

from ..artifact.metadata import reading
from . import metrics, pictures, requests, responses, tensor_bytes
from .batching import Batcher, Budget
from .errors import RETRY_AFTER, Refused, shown

LARGE = 2**18  # bytes of a body; of those that have more, one is parsed at a time
_WARM_UP = (240, 320)
_KEPT = (
    "task", "classes", "keypoints", "skeleton", "flip_pairs", "step", "metrics", "min_score", "precision", "version",
    "pixel_ranges", "orientation",
)  # fmt: skip


class ServedModel(kserve.Model):
    """A SavedModel that answers requests of any protocol."""

    def __init__(self, name: str, path: Path, metadata: dict[str, Any], config):
        super().__init__(name)
        self.path, self.version, self.metadata = path, path.name if path.name.isdecimal() else "1", metadata
        self.bounds = requests.Bounds(config.max_megapixels, config.max_in_flight)
        self.pool = ThreadPoolExecutor(config.threads or cores.usable(), thread_name_prefix="decode")
        self._saved: Any = None
        self._reading = reading(metadata)
        self._parsing, self._budget = asyncio.Lock(), Budget(self.bounds.pixels_together)  # Others wait encoded.
        self.batcher = Batcher(
            lambda images: self._saved.see(images), max_batch=config.max_batch, max_wait=config.max_wait_ms / 1000,
            max_waiting=config.max_in_flight, max_pixels=config.max_megapixels * 1e6,
        )  # fmt: skip

    async def warm_up(self) -> None:
        """Loads the model and lets it see two batches; then it is ready. UserError if it cannot be served."""
        self._saved = await self.batcher.in_thread(_load, self.path)
        for count in (1, 2):
            await self.batcher.in_thread(self._saved.see, np.zeros([count, *_WARM_UP, 3], np.uint8))
        gc.freeze()  # TensorFlow's million objects, which each full collection would visit while nothing else runs.
        self.ready = True

    def check(self, name: str, version: str = "") -> None:
        """Refused if it has another name or version, or is not ready."""
        if name != self.name:
            raise Refused(f"no model is named {shown(name)} here; this server has {self.name!r}", 404)
        if not self.ready:
            sentence = f"the model {name!r} is being loaded; ask again in a few seconds"
            raise Refused(sentence, 503, "not ready", {RETRY_AFTER: "2"})
        if version and version != self.version:
            raise Refused(f"{name!r} is served in version {self.version}, not in {shown(version)[1:-1]}", 404)

    async def in_pool(self, function, *arguments):
        """Result of a function in a thread of those that decode."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def answer(self, size: int, parse, body: bytes, detail, respond) -> Any:
        """What a function makes, in a thread, of a request and its results.

        Args:
            size: bytes of the body.
            parse: body, detail and bounds → request; in a thread too.
            respond: request, results of its pictures in their order, and bounds → answer.
        """
        async with self._parsing if size > LARGE else contextlib.nullcontext():
            request = await self.in_pool(parse, body, detail, self.bounds)
        pixels = sum(picture.pixels for picture in request.pictures)
        self.bounds.check_together(pixels, "the pictures have", "Send fewer.")
        called: Any = await self(request)  # `predict`, with kserve's times of its steps
        return await self.in_pool(respond, request, called[0], self.bounds)

    async def predict(self, payload, headers=None, response_headers=None) -> list[dict[str, Any]]:
        """Results of the pictures of a request, in their order; the first that is refused refuses them all."""
        tasks = [asyncio.create_task(self._see(picture)) for picture in payload.pictures]
        try:
            results = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        metrics.PICTURES.inc(len(tasks))
        return results

    async def _see(self, picture: pictures.Picture) -> dict[str, Any]:
        async with self._budget.taken(picture.pixels):
            pixels = await self.in_pool(picture.decode, self._reading)
            outputs = await self.batcher.see(pixels)
        size = pixels.shape[:2]
        del pixels
        return await self.in_pool(responses.of_picture, outputs, size, self.metadata)

    def described(self) -> dict[str, Any]:
        """V2's metadata, and under "parameters" the classes and what else a client needs to draw."""
        inputs = [("image_bytes", "BYTES", [-1]), ("image", "UINT8", [-1, -1, -1, 3])]
        outputs = [("image_size", "INT32", [-1, 2])]  # the server's; empty slots are left out
        for name, spec in sorted(self._saved.outputs.items()):
            shape = [-1 if side is None else side for side in spec.shape.as_list()]
            if name == "detection_masks":
                outputs.append((name, "BYTES", [-1, -1]))
            elif name != "image_size":
                shape = [shape[0], -1, *shape[2:]] if name.startswith("detection_") else shape
                outputs.append((name, tensor_bytes.datatype(np.dtype(spec.dtype.as_numpy_dtype)), shape))
        keys = ("name", "datatype", "shape")
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "tensorflow_savedmodel",
            "inputs": [dict(zip(keys, one, strict=True)) for one in inputs],
            "outputs": [dict(zip(keys, one, strict=True)) for one in outputs],
            "parameters": {key: self.metadata[key] for key in _KEPT if key in self.metadata},
        }


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
