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

from . import metrics, model_file, pictures, requests, responses
from .batching import Batcher, Budget
from .errors import Refused

# Decoded pictures may lie in memory up to this many times the largest one; the others wait as they came, encoded.
DECODED_AT_A_TIME = 4
_WARM_UP = (240, 320)


class Recogniser(kserve.Model):
    """A SavedModel that answers requests (`payloads.Asked`) of any protocol."""

    def __init__(self, name: str, path: Path, version: str, metadata: dict[str, Any], config):
        super().__init__(name)
        self.path, self.version, self.metadata = path, version, metadata
        self.limits = requests.Limits(config.max_megapixels, config.max_in_flight)
        self.pool = ThreadPoolExecutor(config.threads or cores.usable(), thread_name_prefix="decode")
        self._saved: model_file.Saved | None = None
        self._budget = Budget(DECODED_AT_A_TIME * config.max_megapixels * 1e6)
        self.batcher = Batcher(
            self._run, max_batch=config.max_batch, max_wait=config.max_wait_ms / 1000, max_waiting=config.max_in_flight,
            max_pixels=config.max_megapixels * 1e6,
        )  # fmt: skip

    async def warm_up(self) -> None:
        """Loads the model and lets it see two batches; then it is ready. ValueError if it cannot be served."""
        self._saved = await self.batcher.in_thread(model_file.Saved, self.path)
        for count in (1, 2):
            await self.batcher.in_thread(self._run, np.zeros([count, *_WARM_UP, 3], np.uint8))
        self.ready = True

    def load(self) -> bool:
        """Whether it is ready; kserve calls it where it is not, and `warm_up` is at work."""
        return self.ready

    async def in_pool(self, function, *arguments):
        """Result of a function in a thread of those that decode."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

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
        await self._budget.take(picture.pixels)
        try:
            pixels = await self.in_pool(picture.decode)
            outputs = await self.batcher.see(pixels)
        finally:
            self._budget.give_back(picture.pixels)
        size = pixels.shape[:2]
        del pixels
        return await self.in_pool(responses.of_picture, outputs, size, self.metadata)

    def _run(self, images):
        assert self._saved
        return self._saved.see(images)

    def response(self, asked: requests.Asked, found: list[dict[str, Any]]) -> InferResponse:
        """The answer in V2's tensors; Refused if one is asked for that there is not."""
        tensors, outputs = responses.tensors(found), []
        for name, array in tensors.items():
            output = InferOutput(name, list(array.shape), from_np_dtype(array.dtype) or "BYTES")
            output.data = array  # type: ignore[assignment]
            outputs.append(output)
        unknown = [name for name, _ in asked.outputs or [] if name not in tensors]
        if unknown:
            raise Refused(f"there is no output {unknown[0]!r}; this model has {', '.join(tensors)}")
        wanted = [RequestedOutput(name, {"binary_data": binary}) for name, binary in asked.outputs or []]
        return InferResponse(
            asked.id,
            self.name,
            outputs,
            self.version,
            use_binary_outputs=asked.binary,
            requested_outputs=wanted or None,
        )

    def get_input_types(self) -> list[dict]:
        """Inputs of V2, of which a request has one."""
        return [
            {"name": "image_bytes", "datatype": "BYTES", "shape": [-1]},
            {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]},
        ]

    def get_output_types(self) -> list[dict]:
        """Outputs of V2: those of the SavedModel, masks as texts."""
        outputs = {one["name"]: one for one in self._saved.outputs} if self._saved else {}
        if "detection_boxes" in outputs:
            for one in outputs.values():
                one["shape"] = [one["shape"][0], *[-1] * (len(one["shape"]) > 1), *one["shape"][2:]]
            if "detection_masks" in outputs:
                outputs["detection_masks"] |= {"datatype": "BYTES", "shape": [-1, -1]}
        outputs["image_size"] = {"name": "image_size", "datatype": "INT32", "shape": [-1, 2]}
        return list(outputs.values())
