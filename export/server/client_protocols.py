"""Asks a server of `export.serve` by each of its protocols; needs neither TensorFlow nor, but for gRPC, kserve."""

import base64
import http.client
import json
import math
import struct
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from . import extra
from .errors import RETRY_AFTER

_TYPES = {"FP32": "<f4", "FP64": "<f8", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1"}
_BINARY = "Inference-Header-Content-Length"


class NoAnswer(Exception):
    """The server refused, with its sentence, or could not be reached."""

    def __init__(self, sentence: str, reached: bool = True):
        super().__init__(sentence)
        self.reached = reached


def ask(url: str, body: bytes | None = None, headers: dict[str, str] | None = None, timeout: float = 60.0):
    """Body and headers of the answer to a GET, or to a POST of a body; NoAnswer says why there is none."""
    try:
        request = urllib.request.Request(url, body, headers or {})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        said = error.read()
        try:
            said = json.loads(said)["error"]
        except (ValueError, KeyError, TypeError):
            said = said[:200].decode("utf-8", "replace") or error.reason
        raise NoAnswer(f"{said} (HTTP {error.code})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise NoAnswer(f"{url} has not answered within {timeout:g} seconds (--timeout_s)") from error
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
            reason = "what listens there does not speak HTTP, as gRPC's port does not"
        raise NoAnswer(
            f"{url} cannot be reached: {reason}; does `python -m export.serve` run?", reached=False
        ) from error


def bracketed(host: str) -> str:
    """A host as it stands before a port: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def about(url: str, name: str, timeout: float = 60.0) -> dict[str, Any]:
    """Metadata of a model, of the server's only one without a name; its classes are under "parameters"."""
    try:
        if not name:
            names = json.loads(ask(f"{url}/v1/models", timeout=timeout)[0])["models"]
            if len(names) != 1:
                raise NoAnswer(f"{url} has the models {', '.join(names)}; choose one with --name")
            (name,) = names
        said = json.loads(ask(f"{url}/v2/models/{urllib.parse.quote(name)}", timeout=timeout)[0])
        _ = said["name"], said["parameters"]["classes"]
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer(f"{url} answers otherwise than `python -m export.serve`; is it another server?") from error
    return said


def by_v1(url: str, name: str, content: bytes, timeout: float = 60.0) -> dict[str, Any]:
    """The answer to one image file: lists, by name."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(content).decode()}]}).encode()
    headers = {"Content-Type": "application/json"}
    answer, _ = ask(f"{url}/v1/models/{name}:predict", body, headers, timeout)
    return json.loads(answer)["predictions"][0]


def by_v2(url: str, name: str, content: bytes, timeout: float = 60.0) -> dict[str, Any]:
    """The same by KServe's V2 protocol, whose tensors travel as bytes behind the JSON."""
    raw = struct.pack("<I", len(content)) + content
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {_BINARY: str(len(head)), "Content-Type": "application/octet-stream"}
    answer, headers = ask(f"{url}/v2/models/{name}/infer", head + raw, headers, timeout)
    length = int(headers[_BINARY])
    said, at, arrays = json.loads(answer[:length]), length, {}
    for one in said["outputs"]:
        size = one["parameters"]["binary_data_size"]
        arrays[one["name"]] = array_of(one["datatype"], one["shape"], answer[at : at + size])
        at += size
    return _first(arrays)


def by_grpc(address: str, name: str, content: bytes, timeout: float = 60.0) -> dict[str, Any]:
    """The same by gRPC, at an address such as 127.0.0.1:8081."""
    try:
        with extra.importing():
            import grpc
            from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
            from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
    except ImportError as error:
        raise NoAnswer(f"{extra.MISSING} ({error})", reached=False) from error
    tensor = pb.ModelInferRequest.InferInputTensor(name="image_bytes", datatype="BYTES", shape=[1])
    raw = struct.pack("<I", len(content)) + content
    request = pb.ModelInferRequest(model_name=name, inputs=[tensor], raw_input_contents=[raw])
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(address, options=unlimited) as channel:
        try:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=timeout)
        except grpc.RpcError as error:
            # gRPC itself says UNAVAILABLE of a server that is gone, and then there is no word of the server.
            answered = RETRY_AFTER in dict(error.trailing_metadata() or ())
            reached = answered or error.code() is not grpc.StatusCode.UNAVAILABLE
            raise NoAnswer(f"{error.details()} (gRPC {error.code().name})", reached) from error
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return _first({one.name: array_of(one.datatype, list(one.shape), raw) for one, raw in pairs})


def array_of(datatype: str, shape: list[int], raw: bytes) -> np.ndarray:
    """A tensor of V2 as it lies in memory: elements of BYTES have their length in front."""
    if datatype != "BYTES":
        return np.frombuffer(raw, _TYPES[datatype]).reshape(shape)
    elements, at = np.empty(math.prod(shape), object), 0
    for i in range(len(elements)):
        (length,) = struct.unpack_from("<I", raw, at)
        elements[i] = raw[at + 4 : at + 4 + length]
        at += 4 + length
    return elements.reshape(shape)


def _first(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """V1's answer to the first picture of V2's tensors."""
    answer: dict[str, Any] = {name: array[0] for name, array in arrays.items()}
    for name in ("detection_class_names", "classes"):
        if name in answer:
            answer[name] = [text.decode() for text in answer[name]]
    if "detection_masks" in answer:
        answer["detection_masks"] = [json.loads(text) for text in answer["detection_masks"]]
    return answer
