"""The model as kserve serves it: pictures in, answers out, by way of the queue that makes batches."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kserve
import numpy as np
from kserve import InferOutput, InferResponse
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype

from tfrecog.runtime import cores

from ..artifact.metadata import pixel_ranges
from . import metrics, model_file, pictures, requests, responses
from .batching import Batcher, Budget
from .errors import Refused

# Decoded pictures may lie in memory up to this many times the largest one; the others wait as they came, encoded.
DECODED_AT_A_TIME = 4
_WARM_UP = (240, 320)


class Recogniser(kserve.Model):
    """A SavedModel that answers requests (`requests.Asked`) of any protocol."""

    def __init__(self, name: str, path: Path, version: str, metadata: dict[str, Any], config):
        super().__init__(name)
        self.path, self.version, self.metadata = path, version, metadata
        self.limits = requests.Limits(config.max_megapixels, config.max_in_flight)
        self.pool = ThreadPoolExecutor(config.threads or cores.usable(), thread_name_prefix="decode")
        self._saved: Any = None
        self._ranges = pixel_ranges(metadata)
        self._budget = Budget(DECODED_AT_A_TIME * config.max_megapixels * 1e6)
        self.batcher = Batcher(
            lambda images: self._saved.see(images), max_batch=config.max_batch, max_wait=config.max_wait_ms / 1000,
            max_waiting=config.max_in_flight, max_pixels=config.max_megapixels * 1e6,
        )  # fmt: skip

    async def warm_up(self) -> None:
        """Loads the model and lets it see two batches; then it is ready. UserError if it cannot be served."""
        self._saved = await self.batcher.in_thread(model_file.Saved, self.path)
        for count in (1, 2):
            await self.batcher.in_thread(self._saved.see, np.zeros([count, *_WARM_UP, 3], np.uint8))
        self.ready = True

    async def in_pool(self, function, *arguments):
        """Result of a function in a thread of those that decode."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def answers(self, asked: requests.Asked) -> list[dict[str, Any]]:
        """`predict`, with kserve's metrics of its steps."""
        called: Any = await self(asked)  # type: ignore[arg-type]
        return called[0]

    async def predict(self, payload: requests.Asked, headers=None, response_headers=None) -> list[dict[str, Any]]:
        """Answers to the pictures of a request, in their order; the first that is refused refuses them all."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._see(picture)) for picture in payload.pictures]
        except* Exception as several:
            error = several
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None
        metrics.PICTURES.inc(len(tasks))
        return [task.result() for task in tasks]

    async def _see(self, picture: pictures.Picture) -> dict[str, Any]:
        async with self._budget.taken(picture.pixels):
            pixels = await self.in_pool(picture.decode, self._ranges)
            outputs = await self.batcher.see(pixels)
        size = pixels.shape[:2]
        del pixels
        return await self.in_pool(responses.of_picture, outputs, size, self.metadata)

    def response(self, asked: requests.Asked, found: list[dict[str, Any]]) -> InferResponse:
        """The answer in V2's tensors, those asked for or all; Refused if one is asked for that there is not."""
        tensors = responses.tensors(found)
        wanted = dict(asked.outputs or [(name, asked.binary) for name in tensors])
        if unknown := [name for name in wanted if name not in tensors]:
            raise Refused(f"there is no output {unknown[0]!r}; this model has {', '.join(tensors)}")
        outputs = [
            InferOutput(name, list(tensors[name].shape), from_np_dtype(tensors[name].dtype) or "BYTES", tensors[name])
            for name in wanted
        ]
        requested = [RequestedOutput(name, {"binary_data": binary}) for name, binary in wanted.items()]
        return InferResponse(asked.id, self.name, outputs, self.version, requested_outputs=requested)

    def get_input_types(self) -> list[dict]:
        """Inputs of V2, of which a request has one."""
        return [
            {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
            {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        ]

    def get_output_types(self) -> list[dict]:
        """Outputs of V2: those of the SavedModel, masks as texts; -1 where a side depends on the pictures."""
        outputs, detector = [], "detection_boxes" in self._saved.outputs
        for name, spec in sorted(self._saved.outputs.items()):
            datatype = from_np_dtype(np.dtype(spec.dtype.as_numpy_dtype)) or "BYTES"
            shape = [-1 if side is None else side for side in spec.shape.as_list()]
            if detector and len(shape) > 1:
                shape[1] = -1  # empty slots are left out
            if name == "detection_masks":
                datatype, shape = "BYTES", [-1, -1]
            if name != "image_size":  # It is the server's, of the upright picture.
                outputs.append({"name": name, "datatype": datatype, "shape": shape})
        return [*outputs, {"name": "image_size", "datatype": "INT32", "shape": [-1, 2]}]
