"""The methods of gRPC, by service: KServe's V2 with Triton's extensions, TensorFlow Serving's, and grpc.health.v1."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError, Message

from ..messages import inference_pb2, prediction_pb2
from ..messages import inference_pb2 as pb
from . import requests, responses
from .errors import Refused, shown
from .protocols import v1, v2
from .registry import Registry

MAX_FIELDS = 10_000
V2_SERVICE, V1_SERVICE, STATUS_SERVICE = (
    "inference.GRPCInferenceService", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService",
)  # fmt: skip
HEALTH_SERVICE = "grpc.health.v1.Health"
# Paths of the fields that have fields again: inputs, outputs and contents of V2; V1's inputs, their tensors and shapes.
_INFER_NESTED, _PREDICT_NESTED = frozenset({(5,), (6,), (5, 5)}), frozenset({(2,), (2, 2), (2, 2, 2)})
Fields = dict[str, Any]


class Method(NamedTuple):
    """A method: its messages, and what makes the fields of a response of a request's bytes."""

    request: type[Message]
    response: type[Message]
    answer: Callable[[Registry, bytes], Awaitable[Fields]]
    predicts: str = ""  # the protocol in the metrics, of a method that sends pictures to a model


def _told(
    kind: type[Message], answer: Callable[[Registry, Any], Fields]
) -> Callable[[Registry, bytes], Awaitable[Fields]]:
    """A method that tells something at once."""

    async def told(registry: Registry, message: bytes) -> Fields:
        _check_fields(message, kind, frozenset())
        return answer(registry, read(kind, message))

    return told


async def _infer(registry: Registry, message: bytes) -> Fields:
    asked: dict[str, str] = {}

    def parse(message: bytes, _, bounds: requests.Bounds) -> requests.InferenceRequest:
        _check_fields(message, pb.ModelInferRequest, _INFER_NESTED)
        request = read(pb.ModelInferRequest, message)
        asked.update(name=request.model_name, version=request.model_version)
        registry.find(**asked)
        return _of_v2(request, bounds)

    request = await registry.workers.parsed(parse, message, None)
    fields, raw = await registry.find(**asked).answer(request, responses.of_v2)
    tensors = [{key: one[key] for key in ("name", "datatype", "shape")} for one in fields["outputs"]]
    return fields | {"outputs": tensors, "raw_output_contents": raw}


def _of_v2(request: pb.ModelInferRequest, bounds: requests.Bounds) -> requests.InferenceRequest:
    """A request read as if it had come as V2's JSON, with the raw contents behind it."""
    raw, count, inputs = request.raw_input_contents, len(request.inputs), []
    if raw and len(raw) != count:
        raise Refused(f"the request has {count} inputs and raw contents of {len(raw)}")
    for i, one in enumerate(request.inputs[:2]):
        inputs.append({"name": one.name, "datatype": one.datatype, "shape": list(one.shape[:9])})
        if raw:
            if one.contents.ByteSize():
                raise Refused(f"the input {shown(one.name)} has contents and raw contents; send one of them")
            inputs[-1]["parameters"] = {"binary_data_size": len(raw[i])}
        else:
            inputs[-1]["data"] = _data(one)
    outputs = []
    for one in request.outputs:
        outputs.append({"name": one.name})
        if "classification" in one.parameters:
            outputs[-1]["parameters"] = {"classification": one.parameters["classification"].int64_param}
    content = {"id": request.id, "inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    return requests.of_tensors(content, memoryview(raw[0] if raw else b""), bounds, texts=False)


def _data(tensor: pb.ModelInferRequest.InferInputTensor) -> list:
    contents = tensor.contents
    values = contents.bytes_contents if tensor.name == "image_bytes" else contents.uint_contents
    if len(values) > requests.MAX_VALUES:
        raise Refused(f"the contents have more than {requests.MAX_VALUES:,} elements; send them as raw contents", 413)
    return list(values)


async def _predict(registry: Registry, message: bytes) -> Fields:
    asked: dict[str, str] = {}
    signature = ""

    def parse(message: bytes, _, bounds: requests.Bounds) -> requests.InferenceRequest:
        nonlocal signature
        _check_fields(message, prediction_pb2.PredictRequest, _PREDICT_NESTED)
        request = read(prediction_pb2.PredictRequest, message)
        asked.update(v1.asked(request.model_spec))
        signature = request.model_spec.signature_name
        registry.find(**asked)
        return v1.predict_request(request, bounds)

    request = await registry.workers.parsed(parse, message, None)
    model = registry.find(**asked)
    fields, raw = await model.answer(request, responses.of_v2)
    return await registry.workers.run(v1.predict_fields, model, signature, fields["outputs"], raw)


def health(registry: Registry, service: str) -> str | None:
    """The status of a service, or of a model of that name; of the server without one. None: there is none."""
    if service in registry.models:
        return "SERVING" if registry.models[service].available() and not registry.stopping else "NOT_SERVING"
    if service not in ("", V2_SERVICE, V1_SERVICE, STATUS_SERVICE, HEALTH_SERVICE):
        return None
    return "SERVING" if registry.ready() else "NOT_SERVING"


def _check_health(registry: Registry, request: prediction_pb2.HealthCheckRequest) -> Fields:
    status = health(registry, request.service)
    if not status:
        raise Refused(f"no service or model is named {shown(request.service)} here", 404)
    return {"status": status}


def _statistics(registry: Registry, request) -> Fields:
    return v2.statistics(registry, request.name, request.version)


def _v2(name: str, answer: Callable[[Registry, Any], Fields]) -> Method:
    kind = getattr(inference_pb2, f"{name}Request")
    return Method(kind, getattr(inference_pb2, f"{name}Response"), _told(kind, answer))


def _v1(name: str, answer: Callable[[Registry, Any], Fields]) -> Method:
    kind = getattr(prediction_pb2, f"{name}Request")
    return Method(kind, getattr(prediction_pb2, f"{name}Response"), _told(kind, answer))


def _model(answer: Callable[..., Fields]) -> Callable[[Registry, Any], Fields]:
    """What tells of the model that a request names, without what V2's messages have no field for."""

    def told(registry: Registry, request) -> Fields:
        fields = answer(registry, name=request.name, version=request.version)
        return {key: value for key, value in fields.items() if key != "parameters"}

    return told


def _ready(registry: Registry, request) -> Fields:
    return {"ready": bool(v2.model_ready(registry, name=request.name, version=request.version))}


# Models come and go with their folders, so the calls that load and unload them are not offered.
SERVICES: dict[str, dict[str, Method]] = {
    V2_SERVICE: {
        "ServerLive": _v2("ServerLive", lambda registry, request: {"live": True}),
        "ServerReady": _v2("ServerReady", lambda registry, request: {"ready": registry.ready()}),
        "ServerMetadata": _v2("ServerMetadata", lambda registry, request: v2.SERVER),
        "ModelReady": _v2("ModelReady", _ready),
        "ModelMetadata": _v2("ModelMetadata", _model(v2.metadata)),
        "ModelConfig": _v2("ModelConfig", lambda registry, request: {"config": _model(v2.config)(registry, request)}),
        "ModelStatistics": _v2("ModelStatistics", _statistics),
        "RepositoryIndex": _v2(
            "RepositoryIndex", lambda registry, request: {"models": v2.index(registry, request.ready)}
        ),
        "ModelInfer": Method(pb.ModelInferRequest, pb.ModelInferResponse, _infer, "grpc"),
    },
    V1_SERVICE: {
        "GetModelMetadata": _v1("GetModelMetadata", v1.grpc_metadata),
        "Predict": Method(prediction_pb2.PredictRequest, prediction_pb2.PredictResponse, _predict, "grpc v1"),
    },
    STATUS_SERVICE: {"GetModelStatus": _v1("GetModelStatus", v1.grpc_status)},
    HEALTH_SERVICE: {"Check": _v1("HealthCheck", _check_health)},
}


def read(kind: type[Message], message: bytes) -> Any:
    """The message of a kind in bytes; Refused if they are none."""
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise Refused(f"the message is no {kind.DESCRIPTOR.name}") from error


def _check_fields(message: bytes, kind: type[Message], nested: frozenset[tuple[int, ...]]) -> None:
    """Refused if a message has more than `MAX_FIELDS`: 30 MB of empty ones would become objects of a gigabyte.

    `nested` are the paths of fields that have fields again.
    """
    try:
        count = _fields(message, nested)
    except IndexError as error:
        raise Refused(f"the message is no {kind.DESCRIPTOR.name}") from error
    if count > MAX_FIELDS:
        raise Refused(f"the message has more than {MAX_FIELDS:,} fields; send pictures as raw contents", 413)


def _fields(message: bytes, nested: frozenset[tuple[int, ...]]) -> int:
    """How many fields a message has, or `MAX_FIELDS` + 1."""
    parts, count = [(0, len(message), ())], 0
    while parts and count <= MAX_FIELDS:
        at, end, path = parts.pop()
        while at < end and count <= MAX_FIELDS:
            tag, at = _varint(message, at)
            size, at = _varint(message, at) if tag & 7 in (0, 2) else (0, at)
            if tag & 7 == 2:
                if (*path, tag >> 3) in nested:
                    parts.append((at, at + size, (*path, tag >> 3)))
                at += size
            at += {1: 8, 5: 4}.get(tag & 7, 0)
            count += 1
    return count


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number in a message, and where it ends; IndexError if it does not."""
    value = 0
    for shift in range(0, 70, 7):
        value |= (message[at + shift // 7] & 127) << shift
        if message[at + shift // 7] < 128:
            return value, at + shift // 7 + 1
    raise IndexError("a number of more than ten bytes")
