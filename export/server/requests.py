"""Pictures in the body of a request, of TensorFlow Serving's REST (V1) and of KServe's V2."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from . import pictures, tensor_bytes
from .errors import Refused, expect, shown

B64_EXPECTED = 'expected {"b64": "the base64 of an image file"}'
V1_EXPECTED = 'expected {"instances": [{"b64": "the base64 of an image file"}]}'
V2_EXPECTED = (
    'expected {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": ["the base64 of an image '
    'file"]}]}'
)
DATATYPES = {"image_bytes": "BYTES", "image": "UINT8"}  # of the inputs, of which a request has one
SIGNATURES = ("serving_default", "image_tensor")
BINARY_HEADER = "inference-header-content-length"
# Values of JSON, names in an object counted three times. Python makes objects of all of them in one step of about 0.2
# seconds, in which the server does nothing else.
MAX_VALUES = 2**21
_LONGEST_ID = 1000


@dataclass(frozen=True)
class Limits:
    """What a request may hold."""

    max_megapixels: float
    max_pictures: int

    def check_count(self, count: int, nothing: str) -> None:
        """Refused if a batch has no picture, with the words for that, or too many."""
        if not count:
            raise Refused(f"{nothing}: the batch has no picture; send at least one")
        if count > self.max_pictures:
            raise Refused(
                f"the batch has {count} pictures; this server takes up to {self.max_pictures} (--max_in_flight)", 413
            )


@dataclass(frozen=True)
class InferenceRequest:
    """The pictures of a request, and the form of its response."""

    pictures: list[pictures.Picture]
    columns: bool = False  # V1: a tensor for each output, instead of a row for each picture
    id: str = ""
    outputs: list[tuple[str, bool]] | None = None  # V2: names of the tensors, and whether as bytes; None: all
    binary: bool = False  # V2: all tensors as bytes


def of_v1(body: bytes, content_type: str, limits: Limits) -> InferenceRequest:
    """Pictures of {"instances": [...]}, of {"inputs": ...}, or of an image file (content type image/...)."""
    if content_type.startswith("image/"):
        return InferenceRequest([pictures.of("the body", body, limits.max_megapixels)])
    request = _json(body, V1_EXPECTED)
    place = "instances" if "instances" in request else "inputs"
    if place not in request:
        keys = f"found the keys {shown(list(request))}" if request else "found no key"
        raise Refused(f"the request has no 'instances' ({keys}); {V1_EXPECTED}")
    signature = request.get("signature_name", SIGNATURES[0])
    if signature not in SIGNATURES:
        raise Refused(f"signature_name is {shown(signature)}; this server has {' and '.join(SIGNATURES)}")
    columns, rows = place == "inputs", request[place]
    if columns and isinstance(rows, dict) and len(rows) == 1 and (name := next(iter(rows))) in DATATYPES:
        place, rows = f"{place}.{name}", rows[name]
    expect(f"'{place}'", rows, list, V1_EXPECTED)
    limits.check_count(len(rows), f"'{place}' is empty")
    return InferenceRequest([_of_row(f"{place}[{i}]", row, limits) for i, row in enumerate(rows)], columns)


def _of_row(place: str, row: Any, limits: Limits) -> pictures.Picture:
    if isinstance(row, dict) and len(row) == 1 and (name := next(iter(row))) in DATATYPES:
        place, row = f"{place}.{name}", row[name]
    if isinstance(row, list):
        return pictures.of(place, pictures.from_lists(place, row), limits.max_megapixels)
    expect(place, row, dict, f"{B64_EXPECTED} or pixels [height][width][3]")
    if [*row] != ["b64"]:
        raise Refused(f"{place} has the keys {shown(list(row))}; {B64_EXPECTED}")
    return pictures.of(place, pictures.from_base64(place, row["b64"]), limits.max_megapixels)


def of_v2(body: bytes, json_length: str | None, limits: Limits) -> InferenceRequest:
    """Pictures of a body {"inputs": [...]}, which may be followed by tensors as bytes (see `BINARY_HEADER`)."""
    length = json_length or str(len(body))
    if not length.isdecimal() or len(length) > 19 or int(length) > len(body):
        raise Refused(f"{BINARY_HEADER} is {shown(length)}; expected the length of the JSON, at most {len(body)}")
    return of_tensors(_json(body[: int(length)], V2_EXPECTED), memoryview(body)[int(length) :], limits)


def of_tensors(request: dict[str, Any], raw: memoryview, limits: Limits, texts: bool = True) -> InferenceRequest:
    """A request in V2's JSON, with the values behind it; whether elements of BYTES in it are texts, in base64."""
    expect("'inputs'", request.get("inputs"), list, V2_EXPECTED)
    inputs: list[Any] = request["inputs"]
    for i, tensor in enumerate(inputs[:2]):
        _check_tensor(f"inputs[{i}]", tensor)
    if len(inputs) != 1:
        names = shown([one["name"] for one in inputs[:2]])
        raise Refused(f"the request has the inputs {names}; expected one, 'image_bytes' or 'image'")
    (tensor,) = inputs
    name, datatype = tensor["name"], tensor["datatype"].upper()
    if name not in DATATYPES:
        raise Refused(
            f"an input is named {shown(name)}; expected 'image_bytes' (BYTES [B]) or 'image' (UINT8 [B,H,W,3])"
        )
    if datatype != DATATYPES[name]:
        raise Refused(f"the input {name!r} has the datatype {shown(datatype)}; expected {DATATYPES[name]}")
    if any(isinstance(side, bool) or not isinstance(side, int) or side < 0 for side in tensor["shape"]):
        raise Refused(f"the input {name!r} has the shape {shown(tensor['shape'])}; expected whole numbers from 0 on")
    contents = (_files if name == "image_bytes" else _images)(tensor, _raw("inputs[0]", tensor, raw), limits, texts)
    found = [pictures.of(f"{name}[{i}]", one, limits.max_megapixels) for i, one in enumerate(contents)]
    identifier = request.get("id", "")
    if isinstance(identifier, dict | list) or len(str(identifier)) > _LONGEST_ID:
        raise Refused(f"'id' is not a text of up to {_LONGEST_ID} characters")
    parameters = request.get("parameters")
    binary = bool(isinstance(parameters, dict) and parameters.get("binary_data_output", False))
    return InferenceRequest(found, False, str(identifier), _outputs(request.get("outputs"), binary), binary)


def _check_tensor(place: str, tensor: Any) -> None:
    expect(place, tensor, dict, V2_EXPECTED)
    for key, kind, article in (("name", str, "a text"), ("datatype", str, "a text"), ("shape", list, "a list")):
        if not isinstance(tensor.get(key), kind):
            raise Refused(f"{place} has no {key!r}, or not {article}; {V2_EXPECTED}")


def _raw(place: str, tensor: dict[str, Any], raw: memoryview) -> memoryview | None:
    """The values of an input that lie behind the JSON; None if they are in it."""
    if "data" in tensor:
        expect(f"{place}: 'data'", tensor["data"], list, "expected a list")
        return None
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        raise Refused(f"{place} has neither 'data' nor the parameter binary_data_size; {V2_EXPECTED}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(raw):
        raise Refused(f"{place}: binary_data_size is {shown(size)}, and {len(raw)} bytes follow the JSON")
    return raw[:size]


def _files(tensor: dict[str, Any], raw: memoryview | None, limits: Limits, texts: bool) -> list[bytes]:
    shape = tensor["shape"]
    if not shape or shape[1:] not in ([], [1]):
        raise Refused(f"the input 'image_bytes' has the shape {shown(shape)}; expected [B], one file an image")
    limits.check_count(shape[0], "the input 'image_bytes' has the shape [0]")
    if raw is None:
        files = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in tensor["data"]]
    else:
        try:
            files = tensor_bytes.unpack(raw, shape[0])
        except ValueError as error:
            raise Refused(f"the bytes of 'image_bytes' {error}") from error
    if len(files) != shape[0]:
        raise Refused(f"the input 'image_bytes' has the shape {shape} and {len(files)} elements")
    if raw is None and texts:
        return [pictures.from_base64(f"image_bytes[{i}]", one) for i, one in enumerate(files)]
    return files


def _images(tensor: dict[str, Any], raw: memoryview | None, limits: Limits, texts: bool) -> np.ndarray:
    shape = tensor["shape"]
    if len(shape) != 4 or shape[3] != 3:
        raise Refused(f"the input 'image' has the shape {shown(shape)}; expected [B, height, width, 3] (RGB)")
    limits.check_count(shape[0], f"the input 'image' has the shape {shape}")
    pictures.check_size("image", shape[1], shape[2], limits.max_megapixels)
    pixels = pictures.from_lists("image", tensor["data"]) if raw is None else np.frombuffer(raw, np.uint8)
    if pixels.size != np.prod(shape, dtype=np.int64):
        raise Refused(f"the input 'image' has the shape {shape} and {pixels.size} values")
    return pixels.reshape(shape)


def _outputs(outputs: Any, binary: bool) -> list[tuple[str, bool]] | None:
    if not outputs:
        return None
    named = isinstance(outputs, list) and all(isinstance(one, dict) for one in outputs)
    if not named or not all(isinstance(one.get("name"), str) for one in outputs):
        raise Refused('\'outputs\' is not a list of names; expected [{"name": "detection_boxes"}]')
    wanted = []
    for one in outputs:
        parameters = one.get("parameters") or {}
        expect(f"'parameters' of the output {shown(one['name'])}", parameters, dict, "expected an object")
        wanted.append((one["name"], bool(parameters.get("binary_data", binary))))
    return wanted


def _json(body: bytes, expected: str) -> dict[str, Any]:
    """The object that a body is; Refused, with what is expected, if it is none or has more than `MAX_VALUES`."""
    if not body:
        raise Refused(f"the body is empty; {expected}")
    if body.count(b",") + body.count(b"[") + body.count(b"{") + 3 * body.count(b":") > MAX_VALUES:
        raise Refused(
            f"the body has more than {MAX_VALUES:,} values of JSON; send files in base64, or pixels as bytes behind it "
            "in V2 (binary_data_size)", 413,
        )  # fmt: skip
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(
            f"the body is not JSON ({error}); {expected}, or an image file alone, with the header Content-Type: "
            "image/jpeg (curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' http://.../v1/models/NAME:predict)"
        ) from error
    expect("the body", request, dict, expected)
    return request
