"""Pictures in the body of a request, of TensorFlow Serving's REST (V1) and of KServe's V2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from . import pictures, request_values
from .errors import Refused
from .request_values import kind

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
    texts: bool = False  # BYTES came through JSON, so they are base64


def of_v1(body: bytes, content_type: str, limits: Limits) -> Asked:
    """Pictures of a body {"instances": [...]}, or of one that is an image file (content type image/...)."""
    if content_type.startswith("image/"):
        return Asked([pictures.of("the body", body, limits.max_megapixels)])
    request = _json(body, V1_EXPECTED)
    if "instances" not in request:
        found = f"found the keys {sorted(request)}" if request else "found no key"
        raise Refused(f"the request has no 'instances' ({found}); {V1_EXPECTED}")
    signature = request.get("signature_name", SIGNATURES[0])
    if signature not in SIGNATURES:
        raise Refused(f"signature_name is {signature!r}; this server has {' and '.join(SIGNATURES)}")
    instances = request["instances"]
    if not isinstance(instances, list):
        raise Refused(f"'instances' is {kind(instances)}; {V1_EXPECTED}")
    _check_count(len(instances), "'instances' is empty", limits)
    return Asked([_instance(f"instances[{i}]", one, limits) for i, one in enumerate(instances)])


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
        raise Refused(f"'inputs' is {kind(inputs)}; {V2_EXPECTED}")
    tensors = []
    for i, one in enumerate(inputs):
        tensors.append(_tensor(f"inputs[{i}]", one, rest))
        rest = rest[len(tensors[-1].raw or b"") :]
    parameters = request.get("parameters")
    binary = bool(isinstance(parameters, dict) and parameters.get("binary_data_output", False))
    found = of_tensors(tensors, limits)
    return Asked(found, str(request.get("id", "")), binary, _outputs(request.get("outputs"), binary))


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
    contents = (_files if wanted == "BYTES" else _images)(tensor, shape, limits)
    return [pictures.of(f"{tensor.name}[{i}]", one, limits.max_megapixels) for i, one in enumerate(contents)]


def _files(tensor, shape, limits):
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise Refused(f"the input 'image_bytes' has the shape {shape}; expected [B], one file an image")
    _check_count(shape[0], "the input 'image_bytes' has the shape [0]", limits)
    files = request_values.elements(tensor.raw) if tensor.raw is not None else request_values.flat(tensor.data)
    if len(files) != shape[0]:
        raise Refused(f"the input 'image_bytes' has the shape {shape} and {len(files)} elements")
    if tensor.texts:
        return [request_values.from_base64(f"image_bytes[{i}]", one) for i, one in enumerate(files)]
    return files


def _images(tensor, shape, limits):
    if len(shape) != 4 or shape[3] != 3:
        raise Refused(f"the input 'image' has the shape {shape}; expected [B, height, width, 3] (RGB)")
    _check_count(shape[0], f"the input 'image' has the shape {shape}", limits)
    pictures.check_size("image", shape[1], shape[2], limits.max_megapixels)
    pixels = request_values.array("image", tensor.data) if tensor.raw is None else np.frombuffer(tensor.raw, np.uint8)
    if pixels.size != np.prod(shape, dtype=np.int64):
        raise Refused(f"the input 'image' has the shape {shape} and {pixels.size} values")
    return pixels.reshape(shape)


def _tensor(place: str, one: Any, rest: memoryview) -> Tensor:
    """An input as V2's JSON has it; `rest` are the bytes behind the JSON, which may begin with its values."""
    if not isinstance(one, dict):
        raise Refused(f"{place} is {kind(one)}; {V2_EXPECTED}")
    for key, expected in (("name", str), ("datatype", str), ("shape", list)):
        if not isinstance(one.get(key), expected):
            raise Refused(f"{place} has no {key!r}, or not {request_values.ARTICLES[expected]}; {V2_EXPECTED}")
    name, datatype, shape = one["name"], one["datatype"].upper(), one["shape"]
    if "data" in one:
        if not isinstance(one["data"], list):
            raise Refused(f"{place}: 'data' is {kind(one['data'])}; expected a list")
        return Tensor(name, datatype, shape, data=one["data"], texts=True)
    parameters = one.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        raise Refused(f"{place} has neither 'data' nor the parameter binary_data_size; {V2_EXPECTED}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise Refused(f"{place}: binary_data_size is {size!r}, and {len(rest)} bytes follow the JSON")
    return Tensor(name, datatype, shape, raw=rest[:size])


def _outputs(outputs, binary):
    if not outputs:
        return None
    named = isinstance(outputs, list) and all(isinstance(one, dict) for one in outputs)
    if not named or not all(isinstance(one.get("name"), str) for one in outputs):
        raise Refused('\'outputs\' is not a list of names; expected [{"name": "detection_boxes"}]')
    wanted = []
    for one in outputs:
        parameters = one.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise Refused(f"'parameters' of the output {one['name']!r} is {kind(parameters)}; expected an object")
        wanted.append((one["name"], bool(parameters.get("binary_data", binary))))
    return wanted


def _instance(place: str, one: Any, limits: Limits) -> pictures.Picture:
    for name in ("image_bytes", "image"):
        if isinstance(one, dict) and {*one} == {name} and place.endswith("]"):
            place, one = f"{place}.{name}", one[name]
    if isinstance(one, list):
        return pictures.of(place, request_values.array(place, one), limits.max_megapixels)
    if not isinstance(one, dict):
        raise Refused(
            f'{place} is {kind(one)}; expected {{"b64": "the base64 of an image file"}} or pixels [height][width][3]'
        )
    if {*one} != {"b64"}:
        raise Refused(f'{place} has the keys {sorted(one)}; expected {{"b64": "the base64 of an image file"}}')
    return pictures.of(place, request_values.from_base64(place, one["b64"]), limits.max_megapixels)


def _check_count(count: int, nothing: str, limits: Limits) -> None:
    if not count:
        raise Refused(f"{nothing}: the batch has no picture; send at least one")
    if count > limits.max_pictures:
        raise Refused(
            f"the batch has {count} pictures; this server takes up to {limits.max_pictures} (--max_in_flight)", 413
        )


def _json(body: bytes, expected: str) -> dict:
    if not body:
        raise Refused(f"the body is empty; {expected}")
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the body is not JSON ({error}); {expected}") from error
    if not isinstance(request, dict):
        raise Refused(f"the body is {kind(request)}; {expected}")
    return request
