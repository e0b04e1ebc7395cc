"""gRPC: kserve's service of the V2 protocol, with requests refused in our words."""

import time
from typing import Any

import grpc
from grpc import StatusCode
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.infer_type import get_content

from . import errors, metrics, requests
from .errors import Refused
from .rest_api import Plane, log

_CODES = {404: StatusCode.NOT_FOUND, 413: StatusCode.OUT_OF_RANGE, 503: StatusCode.UNAVAILABLE}


class Service(InferenceServicer):
    """Answers of one model; the calls that load and unload models are not offered."""

    def __init__(self, plane: Plane):
        super().__init__(plane, None)  # type: ignore[arg-type]
        self._plane = plane

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        """Predictions."""
        start, code = time.monotonic(), StatusCode.OK
        try:
            model = self._plane.served(request.model_name, request.model_version)
            asked = await model.in_pool(_asked, request, model.limits)
            found = await model.answers(asked)
            return await model.in_pool(lambda: model.response(asked, found).to_grpc())
        except Refused as refused:
            metrics.REFUSED.labels(refused.reason).inc()
            code = _code(refused)
            return await _abort(context, refused)
        except Exception as error:
            log.error("gRPC ModelInfer failed", exc_info=error)
            code = StatusCode.INTERNAL
            return await context.abort(code, f"the server failed on this request ({type(error).__name__})")
        except BaseException:  # The client is gone.
            code = StatusCode.CANCELLED
            metrics.REFUSED.labels("client gone").inc()
            raise
        finally:
            metrics.REQUESTS.labels("grpc", code.name).inc()
            metrics.SECONDS.labels("grpc").observe(time.monotonic() - start)

    async def ModelMetadata(self, request, context) -> pb.ModelMetadataResponse:
        """Inputs and outputs; the class names are in REST's metadata."""
        try:
            said = await self._plane.model_metadata(request.name)
        except Refused as refused:
            return await _abort(context, refused)
        keys = ("name", "versions", "platform", "inputs", "outputs")
        return pb.ModelMetadataResponse(**{key: said[key] for key in keys})

    async def ModelReady(self, request, context) -> pb.ModelReadyResponse:
        """Whether the model is ready."""
        try:
            return pb.ModelReadyResponse(ready=self._plane.served(request.name).ready)
        except Refused as refused:
            if refused.status == 503:  # It is being loaded.
                return pb.ModelReadyResponse(ready=False)
            return await _abort(context, refused)

    async def RepositoryModelLoad(self, request, context):
        """Not offered."""
        await context.abort(StatusCode.UNIMPLEMENTED, "models are loaded when the server starts")

    async def RepositoryModelUnload(self, request, context):
        """Not offered."""
        await context.abort(StatusCode.UNIMPLEMENTED, "models are unloaded when the server stops")


def _code(refused: Refused) -> StatusCode:
    return _CODES.get(refused.status, StatusCode.INVALID_ARGUMENT)


async def _abort(context, refused: Refused):
    # As REST has a header of that name: with UNAVAILABLE, it tells a server that is busy from one that is gone.
    metadata = ((errors.RETRY_AFTER, str(refused.retry_after)),) if refused.retry_after else ()
    await context.abort(_code(refused), refused.sentence, metadata)


def _asked(request: pb.ModelInferRequest, limits: requests.Limits) -> requests.Asked:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise Refused(f"the request has {len(request.inputs)} inputs and raw contents of {len(raw)}")
    tensors = []
    for i, one in enumerate(request.inputs):
        values = {"raw": raw[i]} if raw else {"data": _contents(one)}
        tensors.append(requests.Tensor(one.name, one.datatype.upper(), list(one.shape), **values))
    outputs = [(one.name, True) for one in request.outputs] or None
    return requests.Asked(requests.of_tensors(tensors, limits), request.id, outputs=outputs)


def _contents(tensor):
    datatype = tensor.datatype.upper()
    return get_content(datatype, tensor.contents) if datatype in ("BYTES", "UINT8") else []


def server(plane: Plane, *, max_bytes: int, max_requests: int) -> grpc.aio.Server:
    """A server with limits as REST's: larger messages and more requests are RESOURCE_EXHAUSTED."""
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        # No compression: the limit is of what comes, not of what it unpacks to.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.so_reuseport", 0),  # Else a second server would take half of the requests, without a word.
    ]
    served = grpc.aio.server(options=options, maximum_concurrent_rpcs=max_requests)
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(plane), served)
    return served
