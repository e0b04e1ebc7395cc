"""gRPC: KServe's service of the V2 protocol, with requests refused in our words."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from . import metrics, requests, responses
from .errors import Refused
from .limits import Limits, explained
from .model import ServedModel
from .rest_api import SERVER

MAX_FIELDS = 10_000
PATIENCE = 120.0  # seconds that a message may take to come, or to go: how much of it has moved nobody tells
CONNECTIONS, CALLS = 1024, 128  # at a time, and calls of each at a time
BEGUN_MS, IDLE_MS = 20_000, 60_000  # milliseconds that a connection may take to begin, and may be without a call
_CODES = {
    404: StatusCode.NOT_FOUND, 408: StatusCode.DEADLINE_EXCEEDED, 413: StatusCode.OUT_OF_RANGE,
    500: StatusCode.INTERNAL, 503: StatusCode.UNAVAILABLE,
}  # fmt: skip


def _metadata(model: ServedModel, request: pb.ModelMetadataRequest) -> dict[str, Any]:
    """Inputs and outputs; the class names are in REST's metadata."""
    model.check(request.name, request.version)
    return {key: value for key, value in model.described().items() if key != "parameters"}


async def _infer(model: ServedModel, message: bytes) -> dict[str, Any]:
    fields, raw = await model.answer(len(message), _parsed, message, model.check, partial(responses.of_v2, model))
    tensors = [{key: one[key] for key in ("name", "datatype", "shape")} for one in fields["outputs"]]
    return fields | {"outputs": tensors, "raw_output_contents": raw}


def _parsed(message: bytes, check: Callable[[str, str], None], bounds: requests.Bounds) -> requests.InferenceRequest:
    """A request read as if it had come as V2's JSON, with the raw contents behind it; `check` is the model's."""
    try:
        _check_fields(message)
    except IndexError as error:
        raise Refused("the message is no ModelInferRequest") from error
    request = _read(pb.ModelInferRequest, message)
    check(request.model_name, request.model_version)
    raw, count, inputs = request.raw_input_contents, len(request.inputs), []
    if raw and len(raw) != count:
        raise Refused(f"the request has {count} inputs and raw contents of {len(raw)}")
    for i, one in enumerate(request.inputs[:2]):
        inputs.append({"name": one.name, "datatype": one.datatype, "shape": list(one.shape[:9])})
        if raw:
            inputs[-1]["parameters"] = {"binary_data_size": len(raw[i])}
        else:
            inputs[-1]["data"] = _data(one)
    outputs = [{"name": one.name} for one in request.outputs]
    content = {"id": request.id, "inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    return requests.of_tensors(content, memoryview(raw[0] if raw else b""), bounds, texts=False)


def _read(kind, message: bytes):
    """The message of a kind in bytes; Refused if they are none."""
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise Refused(f"the message is no {kind.DESCRIPTOR.name}") from error


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


def _data(tensor: pb.ModelInferRequest.InferInputTensor) -> list:
    contents = tensor.contents
    values = contents.bytes_contents if tensor.name == "image_bytes" else contents.uint_contents
    if len(values) > requests.MAX_VALUES:
        raise Refused(f"the contents have more than {requests.MAX_VALUES:,} elements; send them as raw contents", 413)
    return list(values)


# Models are loaded and unloaded when the server starts and stops, so the calls for that are not offered.
METHODS: dict[str, Callable[[ServedModel, Any], dict[str, Any]]] = {
    "ServerLive": lambda model, request: {"live": True},
    "ServerReady": lambda model, request: {"ready": model.ready},
    "ServerMetadata": lambda model, request: SERVER,
    "ModelReady": lambda model, request: {"ready": model.ready and not model.check(request.name, request.version)},
    "ModelMetadata": _metadata,
}


def _handler(model: ServedModel, limits: Limits, name: str) -> grpc.RpcMethodHandler:
    """What answers the calls of a method: as streams of one message each, which look the same and which it can time."""
    request_type, response_type = getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response")

    async def call(_, context: grpc.aio.ServicerContext):
        start, address, code = time.monotonic(), context.peer().rpartition(":")[0], StatusCode.CANCELLED
        try:
            with explained(f"gRPC {name}"):
                async with limits.uploads.one(address, limits.max_bytes, PATIENCE):
                    message = await context.read()
                if not isinstance(message, bytes):
                    raise Refused("the call ended without a message")
                if name == "ModelInfer":
                    with limits.place():
                        fields = await _infer(model, message)
                else:
                    fields = METHODS[name](model, _read(request_type, message))
                answer = response_type(**fields)
                async with limits.responses.one(address, answer.ByteSize(), PATIENCE):
                    await context.write(answer)
            code = StatusCode.OK
        except Refused as refused:
            code = _CODES.get(refused.status, StatusCode.INVALID_ARGUMENT)
            # As REST has a header of that name: with UNAVAILABLE, it tells a server that is busy from one that is gone.
            await context.abort(code, refused.sentence, tuple(refused.headers.items()))
        finally:
            if name == "ModelInfer":
                metrics.REQUESTS.labels("grpc", code.name).inc()
                metrics.SECONDS.labels("grpc").observe(time.monotonic() - start)

    return grpc.stream_stream_rpc_method_handler(call, None, response_type.SerializeToString)


def server(model: ServedModel, limits: Limits) -> grpc.aio.Server:
    """A server within the limits of REST; larger messages are RESOURCE_EXHAUSTED."""
    options = [
        ("grpc.max_receive_message_length", limits.max_bytes),
        ("grpc.max_send_message_length", -1),
        # No compression: the limit is of what comes, not of what it unpacks to.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.so_reuseport", 0),  # Else a second server would take half of the requests, without a word.
        ("grpc.max_allowed_incoming_connections", CONNECTIONS),
        ("grpc.max_concurrent_streams", CALLS),
        ("grpc.server_handshake_timeout_ms", BEGUN_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
    ]
    served = grpc.aio.server(options=options)
    handlers = {name: _handler(model, limits, name) for name in (*METHODS, "ModelInfer")}
    served.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)])
    return served
