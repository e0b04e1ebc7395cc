"""gRPC: KServe's service of the V2 protocol, with requests refused in our words."""

import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from . import metrics, requests, responses
from .errors import RETRY_AFTER, Refused
from .limits import log
from .model import ServedModel
from .rest_api import SERVER

MAX_FIELDS = 10_000
_CODES = {404: StatusCode.NOT_FOUND, 413: StatusCode.OUT_OF_RANGE, 503: StatusCode.UNAVAILABLE}


def _metadata(model: ServedModel, request: pb.ModelMetadataRequest) -> dict[str, Any]:
    """Inputs and outputs; the class names are in REST's metadata."""
    model.check(request.name, request.version)
    return {key: value for key, value in model.described().items() if key != "parameters"}


async def _infer(model: ServedModel, message: bytes) -> dict[str, Any]:
    parsed, results = await model.results(len(message), _parsed, model, message)
    outputs, raw = await model.in_pool(responses.of_v2, parsed, results)
    tensors = [{key: one[key] for key in ("name", "datatype", "shape")} for one in outputs]
    named = {"model_name": model.name, "model_version": model.version, "id": parsed.id}
    return named | {"outputs": tensors, "raw_output_contents": raw}


def _parsed(model: ServedModel, message: bytes, limits: requests.Limits) -> requests.InferenceRequest:
    """A request read as if it had come as V2's JSON, with the raw contents behind it."""
    try:
        _check_fields(message)
        request = pb.ModelInferRequest.FromString(message)
    except (IndexError, DecodeError) as error:
        raise Refused("the message is no ModelInferRequest") from error
    model.check(request.model_name, request.model_version)
    raw, count, inputs = request.raw_input_contents, len(request.inputs), []
    if raw and len(raw) != count:
        raise Refused(f"the request has {count} inputs and raw contents of {len(raw)}")
    for i, one in enumerate(request.inputs[:2]):
        inputs.append({"name": one.name, "datatype": one.datatype, "shape": list(one.shape)})
        if raw:
            inputs[-1]["parameters"] = {"binary_data_size": len(raw[i])}
        else:
            inputs[-1]["data"] = _data(one.contents)
    outputs = [{"name": one.name} for one in request.outputs]
    content = {"id": request.id, "inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    return requests.of_tensors(content, memoryview(raw[0] if raw else b""), limits, texts=False)


def _check_fields(message: bytes) -> None:
    """Refused if a message has more than `MAX_FIELDS`: 30 MB of empty ones would become objects of a gigabyte."""
    parts, count = [(0, len(message), ())], 0
    while parts:
        at, end, path = parts.pop()
        while at < end:
            tag, at = _varint(message, at)
            size, at = _varint(message, at) if tag & 7 in (0, 2) else (0, at)
            if tag & 7 == 2:  # bytes: of inputs, outputs, and the contents of inputs they are fields again
                if (*path, tag >> 3) in ((5,), (6,), (5, 5)):
                    parts.append((at, at + size, (*path, tag >> 3)))
                at += size
            at += {1: 8, 5: 4}.get(tag & 7, 0)
            count += 1
            if count > MAX_FIELDS:
                raise Refused(f"the message has more than {MAX_FIELDS:,} fields; send pictures as raw contents", 413)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in a message, and where it ends; IndexError if it does not."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (message[at + shift // 7] & 127) << shift
        if message[at + shift // 7] < 128:
            return value, at + shift // 7 + 1
    raise IndexError("a number of more than ten bytes")


def _data(contents: pb.InferTensorContents) -> list:
    values = contents.bytes_contents or contents.uint_contents
    if len(values) > requests.MAX_VALUES:
        raise Refused(f"the contents have more than {requests.MAX_VALUES:,} elements; send them as raw contents", 413)
    return list(values)


# Models are loaded and unloaded when the server starts and stops, so the calls for that are not offered.
METHODS: dict[str, Callable[[ServedModel, Any], Any]] = {
    "ServerLive": lambda model, request: {"live": True},
    "ServerReady": lambda model, request: {"ready": model.ready},
    "ServerMetadata": lambda model, request: SERVER,
    "ModelReady": lambda model, request: {"ready": model.ready and not model.check(request.name, request.version)},
    "ModelMetadata": _metadata,
    "ModelInfer": _infer,
}


def _handler(model: ServedModel, name: str) -> grpc.RpcMethodHandler:
    """What answers the calls of a method."""
    response = getattr(pb, f"{name}Response")

    async def call(request, context: grpc.aio.ServicerContext):
        start, code = time.monotonic(), StatusCode.OK
        try:
            fields = METHODS[name](model, request)
            return response(**(await fields if name == "ModelInfer" else fields))
        except Refused as refused:
            metrics.REFUSED.labels(refused.reason).inc()
            code = _CODES.get(refused.status, StatusCode.INVALID_ARGUMENT)
            # As REST has a header of that name: with UNAVAILABLE, it tells a server that is busy from one that is gone.
            again = ((RETRY_AFTER, str(refused.retry_after)),) if refused.retry_after else ()
            await context.abort(code, refused.sentence, again)
        except Exception as error:
            log.error("gRPC %s failed", name, exc_info=error)
            code = StatusCode.INTERNAL
            await context.abort(code, f"the server failed on this request ({type(error).__name__})")
        except BaseException:  # The client is gone.
            code = StatusCode.CANCELLED
            metrics.REFUSED.labels("client gone").inc()
            raise
        finally:
            if name == "ModelInfer":
                metrics.REQUESTS.labels("grpc", code.name).inc()
                metrics.SECONDS.labels("grpc").observe(time.monotonic() - start)

    parse = bytes if name == "ModelInfer" else getattr(pb, f"{name}Request").FromString
    return grpc.unary_unary_rpc_method_handler(call, parse, response.SerializeToString)


def server(model: ServedModel, *, max_bytes: int, max_requests: int) -> grpc.aio.Server:
    """A server with limits as REST's: larger messages and more requests are RESOURCE_EXHAUSTED."""
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", -1),
        # No compression: the limit is of what comes, not of what it unpacks to.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.so_reuseport", 0),  # Else a second server would take half of the requests, without a word.
    ]
    served = grpc.aio.server(options=options, maximum_concurrent_rpcs=max_requests)
    handlers = {name: _handler(model, name) for name in METHODS}
    served.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)])
    return served
