"""Pictures in the body of a request, of TensorFlow Serving's REST (V1) and of KServe's V2."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from . import pictures, tensor_bytes
from .errors import Refused, shown, typed

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
_LARGEST_TOGETHER = 4  # pictures as large as one may be


@dataclass(frozen=True)
class Bounds:
    """What a request may hold."""

    max_megapixels: float
    max_pictures: int

    @property
    def pixels_together(self) -> int:
        """Of the pictures of a request, of a tensor in its response, and of all pictures that lie decoded in memory."""
        return round(_LARGEST_TOGETHER * self.max_megapixels * 1e6)

    def check_together(self, pixels: int, what: str, remedy: str) -> None:
        """Refused, with the remedy, if what a request has or asks for has too many pixels."""
        if pixels > self.pixels_together:
            raise Refused(
                f"{what} {pixels / 1e6:.1f} megapixels; this server takes up to {self.pixels_together / 1e6:g} in a "
                f"request ({_LARGEST_TOGETHER} times --max_megapixels). {remedy}", 413,
            )  # fmt: skip

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
    # V2: names of the tensors, whether as bytes, and the best classes that are told instead (0: none); None: all
    outputs: list[tuple[str, bool, int]] | None = None
    binary: bool = False  # V2: all tensors as bytes


def of_v1(body: bytes, content_type: str, bounds: Bounds) -> InferenceRequest:
    """Pictures of {"instances": [...]}, of {"inputs": ...}, or of an image file (content type image/...)."""
    if content_type.startswith("image/"):
        return InferenceRequest([pictures.of("the body", body, bounds.max_megapixels)])
    request = _json(body, V1_EXPECTED)
    place = "instances" if "instances" in request else "inputs"
    if place not in request:
        raise Refused(f"the request has the keys {shown(list(request))}, and no 'instances'; {V1_EXPECTED}")
    if {"instances", "inputs"} <= {*request}:
        raise Refused("the request has both 'instances' and 'inputs', of which one is answered; send one of them")
    signature = request.get("signature_name", SIGNATURES[0])
    if signature not in SIGNATURES:
        raise Refused(f"signature_name is {shown(signature)}; this server has {' and '.join(SIGNATURES)}")
    columns = place == "inputs"
    place, rows = _unnamed(place, request[place]) if columns else (place, request[place])
    typed(list, rows, place, V1_EXPECTED)
    bounds.check_count(len(rows), f"'{place}' is empty")
    return InferenceRequest([_of_row(f"{place}[{i}]", row, bounds) for i, row in enumerate(rows)], columns)


def _unnamed(place: str, value: Any) -> tuple[str, Any]:
    """What an object has under the one name of an input, and where; anything else as it is."""
    if isinstance(value, dict) and len(value) == 1 and (name := next(iter(value))) in DATATYPES:
        return f"{place}.{name}", value[name]
    return place, value


def _of_row(place: str, row: Any, bounds: Bounds) -> pictures.Picture:
    place, row = _unnamed(place, row)
    if isinstance(row, list):
        return pictures.of(place, pictures.from_lists(place, row), bounds.max_megapixels)
    typed(dict, row, place, f"{B64_EXPECTED} or pixels [height][width][3]")
    if [*row] != ["b64"]:
        raise Refused(f"{place} has the keys {shown(list(row))}; {B64_EXPECTED}")
    return pictures.of(place, pictures.from_base64(place, row["b64"]), bounds.max_megapixels)


def of_v2(body: bytes, json_length: str | None, bounds: Bounds) -> InferenceRequest:
    """Pictures of a body {"inputs": [...]}, which may be followed by tensors as bytes (see `BINARY_HEADER`)."""
    length = json_length or str(len(body))
    if not length.isdecimal() or len(length) > 19 or int(length) > len(body):
        raise Refused(f"{BINARY_HEADER} is {shown(length)}; expected the length of the JSON, at most {len(body)}")
    return of_tensors(_json(body[: int(length)], V2_EXPECTED), memoryview(body)[int(length) :], bounds)


def of_tensors(request: dict[str, Any], raw: memoryview, bounds: Bounds, texts: bool = True) -> InferenceRequest:
    """A request in V2's JSON, with the values behind it; whether elements of BYTES in it are texts, in base64."""
    inputs = typed(list, request.get("inputs"), "inputs", V2_EXPECTED)
    if len(inputs) != 1:
        raise Refused(f"the request has {len(inputs)} inputs; expected one, 'image_bytes' or 'image'")
    tensor = typed(dict, inputs[0], "inputs[0]", V2_EXPECTED)
    keys = {"name": str, "datatype": str, "shape": list}
    name, datatype, shape = (typed(keys[key], tensor.get(key), f"inputs[0].{key}", V2_EXPECTED) for key in keys)
    if name not in DATATYPES:
        raise Refused(
            f"an input is named {shown(name)}; expected 'image_bytes' (BYTES [B]) or 'image' (UINT8 [B,H,W,3])"
        )
    if datatype.upper() != DATATYPES[name]:
        raise Refused(f"the input {name!r} has the datatype {shown(datatype)}; expected {DATATYPES[name]}")
    if any(type(side) is not int or side < 0 for side in shape):
        raise Refused(f"the input {name!r} has the shape {shown(shape)}; expected whole numbers from 0 on")
    bounds.check_count(shape[0] if shape else 0, f"the input {name!r} has the shape {shown(shape)}")
    data = typed(list | None, tensor.get("data"), "inputs[0].data", "")
    _check_bytes(data is not None, _parameter(tensor, "inputs[0].", "binary_data_size"), len(raw))
    contents = _files(shape, data, raw, texts) if name == "image_bytes" else _images(shape, data, raw, bounds)
    found = [pictures.of(f"{name}[{i}]", one, bounds.max_megapixels) for i, one in enumerate(contents)]
    identifier = typed(str | None, request.get("id"), "id", "") or ""
    if len(identifier) > _LONGEST_ID:
        raise Refused(f"'id' has more than {_LONGEST_ID} characters")
    binary = bool(_parameter(request, "", "binary_data_output"))
    return InferenceRequest(found, False, identifier, _outputs(request.get("outputs"), binary), binary)


def _parameter(holder: dict[str, Any], place: str, name: str) -> Any:
    return (typed(dict | None, holder.get("parameters"), f"{place}parameters", "") or {}).get(name)


def _check_bytes(has_data: bool, size: Any, there: int) -> None:
    """Refused if the bytes behind the JSON are not as many as the parameter binary_data_size says."""
    if has_data:
        if there:
            raise Refused(f"inputs[0] has 'data', and {there} bytes follow the JSON as well; send one of them")
        return
    if size is None:
        raise Refused(f"inputs[0] has neither 'data' nor the parameter binary_data_size; {V2_EXPECTED}")
    if type(size) is not int or size != there:
        raise Refused(f"inputs[0]: binary_data_size is {shown(size)}, and {there} bytes follow the JSON")


def _files(shape: list[int], data: list | None, raw: memoryview, texts: bool) -> list[bytes]:
    if shape[1:] not in ([], [1]):
        raise Refused(f"the input 'image_bytes' has the shape {shown(shape)}; expected [B], one file an image")
    if data is not None:
        files = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in data]
    else:
        try:
            files = tensor_bytes.unpack(raw, shape[0])
        except ValueError as error:
            raise Refused(f"the bytes of 'image_bytes' {error}") from error
    if len(files) != shape[0]:
        raise Refused(f"the input 'image_bytes' has the shape {shape} and {len(files)} elements")
    if data is not None and texts:
        return [pictures.from_base64(f"image_bytes[{i}]", one) for i, one in enumerate(files)]
    return files


def _images(shape: list[int], data: list | None, raw: memoryview, bounds: Bounds) -> np.ndarray:
    if len(shape) != 4 or shape[3] != 3:
        raise Refused(f"the input 'image' has the shape {shown(shape)}; expected [B, height, width, 3] (RGB)")
    pictures.check_size("image", shape[1], shape[2], bounds.max_megapixels)
    pixels = np.frombuffer(raw, np.uint8) if data is None else pictures.from_lists("image", data)
    if pixels.size != np.prod(shape, dtype=np.int64):
        raise Refused(f"the input 'image' has the shape {shape} and {pixels.size} values")
    return pixels.reshape(shape)


def _outputs(content: Any, binary: bool) -> list[tuple[str, bool, int]] | None:
    """Names of outputs, each once: every one is an answer to be kept in memory."""
    wanted = {}
    for i, one in enumerate(typed(list | None, content, "outputs", "") or ()):
        name = typed(str, typed(dict, one, f"outputs[{i}]", "").get("name"), f"outputs[{i}].name", "")
        if name in wanted:
            raise Refused(f"outputs[{i}] is {shown(name)} again; name each output once")
        own, best = (_parameter(one, f"outputs[{i}].", key) for key in ("binary_data", "classification"))
        if best is not None and (type(best) is not int or best < 1):
            raise Refused(f"outputs[{i}]: classification is {shown(best)}; expected a number of classes from 1 on")
        wanted[name] = binary if own is None else bool(own), best or 0
    return [(name, *how) for name, how in wanted.items()] or None


def only_ready(body: bytes) -> bool:
    """Whether a request for the index of models wants only those that are ready; an empty body wants all."""
    return (
        bool(typed(bool | None, _json(body, 'expected {"ready": true}').get("ready"), "ready", "")) if body else False
    )


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
    return typed(dict, request, "the body", expected)
