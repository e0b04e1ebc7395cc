"""What is asked: the pictures in the body of a request, of TensorFlow Serving's REST (V1) and of KServe's V2."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from . import pictures, request_values
from .errors import Refused, too_large

V1_EXPECTED = 'expected {"instances": [{"b64": "the base64 of an image file"}]}'
V2_EXPECTED = (
    'expected {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": ["the base64 of an image '
    'file"]}]}'
)
SIGNATURES = ("serving_default", "image_tensor")
BINARY_HEADER = "inference-header-content-length"


@dataclass(frozen=True)
class Limits:
    """What a request may hold."""

    max_megapixels: float
    max_pictures: int


@dataclass(frozen=True)
class Asked:
    """The pictures of a request, and how it wants its answer."""

    protocol: str  # v1, v2 or grpc
    pictures: list[pictures.Picture]
    id: str = ""
    binary: bool = False  # V2: tensors as bytes
    outputs: list[tuple[str, bool]] | None = None  # V2: names of the tensors wanted, and whether as bytes


@dataclass(frozen=True)
class Tensor:
    """An input of V2: its values are a list (nested or flat), or as they lie in memory."""

    name: str
    datatype: str
    shape: Sequence[int]
    data: list | None = None
    raw: bytes | memoryview | None = None
    texts: bool = field(default=False)  # BYTES came through JSON, so they are base64


def of_v1(body: bytes, content_type: str, limits: Limits) -> Asked:
    """Pictures of a body {"instances": [...]}, or of one that is an image file (content type image/...)."""
    if content_type.startswith("image/"):
        return Asked("v1", [pictures.of_file("the body", body, limits.max_megapixels)])
    request = _json(body, V1_EXPECTED)
    if "instances" not in request:
        found = f"found the keys {sorted(request)}" if request else "found no key"
        raise Refused(f"the request has no 'instances' ({found}); {V1_EXPECTED}")
    signature = request.get("signature_name", SIGNATURES[0])
    if signature not in SIGNATURES:
        raise Refused(f"signature_name is {signature!r}; this server has {' and '.join(SIGNATURES)}")
    instances = request["instances"]
    if not isinstance(instances, list):
        raise Refused(f"'instances' is {request_values.kind(instances)}; {V1_EXPECTED}")
    _check_count(len(instances), "'instances' is empty", limits)
    return Asked("v1", [_instance(f"instances[{i}]", one, limits) for i, one in enumerate(instances)])


def of_v2(body: bytes, json_length: str | None, limits: Limits) -> Asked:
    """Pictures of a body {"inputs": [...]}, which may be followed by tensors as bytes (see `BINARY_HEADER`)."""
    length = len(body)
    if json_length is not None:
        if not json_length.isdecimal() or len(json_length) > 19 or int(json_length) > len(body):
            raise Refused(
                f"{BINARY_HEADER} is {json_length[:24]!r}; expected the length of the JSON, at most {len(body)}"
            )
        length = int(json_length)
    request, rest = _json(body[:length], V2_EXPECTED), memoryview(body)[length:]
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise Refused(f"'inputs' is {request_values.kind(inputs)}; {V2_EXPECTED}")
    tensors = []
    for i, one in enumerate(inputs):
        tensor, used = _tensor(f"inputs[{i}]", one, rest)
        tensors, rest = [*tensors, tensor], rest[used:]
    parameters = request.get("parameters")
    binary = bool(isinstance(parameters, dict) and parameters.get("binary_data_output", False))
    asked_id = request.get("id", "")
    return Asked(
        "v2", of_tensors(tensors, limits), asked_id if isinstance(asked_id, str) else str(asked_id), binary,
        _outputs(request.get("outputs"), binary),
    )  # fmt: skip


def of_tensors(tensors: list[Tensor], limits: Limits) -> list[pictures.Picture]:
    """Pictures of V2's input tensors, of which there is one: image_bytes or image."""
    if len(tensors) != 1:
        names = [tensor.name for tensor in tensors]
        raise Refused(f"the request has the inputs {names}; expected one, 'image_bytes' or 'image'")
    (tensor,) = tensors
    wanted = {"image_bytes": "BYTES", "image": "UINT8"}.get(tensor.name)
    if wanted is None:
        raise Refused(
            f"an input is named {tensor.name!r}; expected 'image_bytes' (BYTES [B]) or 'image' (UINT8 [B,H,W,3])"
        )
    if tensor.datatype != wanted:
        raise Refused(f"the input {tensor.name!r} has the datatype {tensor.datatype!r}; expected {wanted}")
    shape = list(tensor.shape)
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 0 for side in shape):
        raise Refused(f"the input {tensor.name!r} has the shape {shape}; expected whole numbers from 0 on")
    return (_files if wanted == "BYTES" else _images)(tensor, shape, limits)


def _files(tensor, shape, limits):
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise Refused(f"the input 'image_bytes' has the shape {shape}; expected [B], one file an image")
    _check_count(shape[0], "the input 'image_bytes' has the shape [0]", limits)
    files = request_values.elements(tensor.raw) if tensor.raw is not None else request_values.flat(tensor.data)
    if len(files) != shape[0]:
        raise Refused(f"the input 'image_bytes' has the shape {shape} and {len(files)} elements")
    places = [f"image_bytes[{i}]" for i in range(len(files))]
    if tensor.texts:
        files = [request_values.from_base64(place, one) for place, one in zip(places, files, strict=True)]
    return [pictures.of_file(place, one, limits.max_megapixels) for place, one in zip(places, files, strict=True)]


def _images(tensor, shape, limits):
    if len(shape) != 4 or shape[3] != 3:
        raise Refused(f"the input 'image' has the shape {shape}; expected [B, height, width, 3] (RGB)")
    _check_count(shape[0], f"the input 'image' has the shape {shape}", limits)
    pictures.check_size("image", shape[1], shape[2], limits.max_megapixels)
    pixels = request_values.array("image", tensor.data) if tensor.raw is None else np.frombuffer(tensor.raw, np.uint8)
    if pixels.size != np.prod(shape, dtype=np.int64):
        raise Refused(f"the input 'image' has the shape {shape} and {pixels.size} values")
    images = pixels.reshape(shape)
    return [pictures.of_pixels(f"image[{i}]", one, limits.max_megapixels) for i, one in enumerate(images)]


def _tensor(place: str, one: Any, rest: memoryview) -> tuple[Tensor, int]:
    """An input as V2's JSON has it, and how many of the bytes behind the JSON are its values."""
    if not isinstance(one, dict):
        raise Refused(f"{place} is {request_values.kind(one)}; {V2_EXPECTED}")
    for key, kind in (("name", str), ("datatype", str), ("shape", list)):
        if not isinstance(one.get(key), kind):
            raise Refused(f"{place} has no {key!r}, or not {request_values.ARTICLES[kind]}; {V2_EXPECTED}")
    name, datatype, shape = one["name"], one["datatype"].upper(), one["shape"]
    if "data" in one:
        if not isinstance(one["data"], list):
            raise Refused(f"{place}: 'data' is {request_values.kind(one['data'])}; expected a list")
        return Tensor(name, datatype, shape, data=one["data"], texts=True), 0
    parameters = one.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        raise Refused(f"{place} has neither 'data' nor the parameter binary_data_size; {V2_EXPECTED}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise Refused(f"{place}: binary_data_size is {size!r}, and {len(rest)} bytes follow the JSON")
    return Tensor(name, datatype, shape, raw=rest[:size]), size


def _outputs(outputs, binary):
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs
    ):
        raise Refused('\'outputs\' is not a list of names; expected [{"name": "detection_boxes"}]')
    wanted = []
    for one in outputs:
        parameters = one.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise Refused(
                f"'parameters' of the output {one['name']!r} is {request_values.kind(parameters)}; expected an object"
            )
        wanted.append((one["name"], bool(parameters.get("binary_data", binary))))
    return wanted


def _instance(place: str, one: Any, limits: Limits) -> pictures.Picture:
    if isinstance(one, dict):
        if {*one} == {"b64"}:
            return pictures.of_file(place, request_values.from_base64(place, one["b64"]), limits.max_megapixels)
        for name in ("image_bytes", "image"):
            if {*one} == {name} and not place.endswith((".image_bytes", ".image")):
                return _instance(f"{place}.{name}", one[name], limits)
        raise Refused(f'{place} has the keys {sorted(one)}; expected {{"b64": "the base64 of an image file"}}')
    if isinstance(one, list):
        return pictures.of_pixels(place, request_values.array(place, one), limits.max_megapixels)
    raise Refused(
        f'{place} is {request_values.kind(one)}; expected {{"b64": "the base64 of an image file"}} or pixels '
        "[height][width][3]"
    )


def _check_count(count: int, nothing: str, limits: Limits) -> None:
    if not count:
        raise Refused(f"{nothing}: the batch has no picture; send at least one")
    if count > limits.max_pictures:
        raise too_large(
            f"the batch has {count} pictures; this server takes up to {limits.max_pictures} (--max_in_flight)"
        )


def _json(body: bytes, expected: str) -> dict:
    if not body:
        raise Refused(f"the body is empty; {expected}")
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON ({error}); {expected}") from error
    if not isinstance(request, dict):
        raise Refused(f"the body is {request_values.kind(request)}; {expected}")
    return request
