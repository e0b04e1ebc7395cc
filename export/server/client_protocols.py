"""Asks a server of `export.serve` by each of its protocols; needs no TensorFlow, and grpcio for gRPC alone."""

import base64
import contextlib
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfrecog.cli.errors import Status, UserError
from tfrecog.ops import rle

from ..artifact.metadata import DETECTIONS
from . import tensor_bytes
from .errors import RETRY_AFTER

_BINARY = "Inference-Header-Content-Length"


class ClientTls(NamedTuple):
    """Files in PEM by which a client knows a server, and a server its client; "": those of the system, and none."""

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """For REST; UserError if a file is not there, or has something else in it."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"--tls_ca, --tls_cert and --tls_key cannot be used: {error}; they are files in PEM"
            ) from error
        return context

    def credentials(self):
        """For gRPC."""
        import grpc

        ca, key, cert = (
            Path(path).read_bytes() if path else None for path in (self.ca, self.key or self.cert, self.cert)
        )
        return grpc.ssl_channel_credentials(ca, key, cert)


class RequestFailed(UserError):
    """The server refused, with its sentence, or could not be reached."""

    status = Status.FAILED

    def __init__(self, sentence: str, reached: bool = True):
        super().__init__(sentence)
        self.reached = reached


def ask(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None, timeout: float = 60.0,
    tls: ClientTls | None = None,
):  # fmt: skip
    """Body and headers of the answer to a GET, or to a POST of a body; RequestFailed says why there is none."""
    context = (tls or ClientTls()).context() if url.startswith("https:") else None
    try:
        request = urllib.request.Request(url, body, headers or {})
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            return answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        raise RequestFailed(f"{_reason(error)} (HTTP {error.code})") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise RequestFailed(f"{url} did not respond within {timeout:g} seconds (--timeout_s)") from error
        if isinstance(error, http.client.IncompleteRead):
            raise RequestFailed(f"{url} closed the connection during its response ({error})") from error
        if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
            reason = "the port does not speak HTTP (is it the port of gRPC?)"
        sentence = f"{url} cannot be reached: {reason}; does `python -m export.serve` run?"
        raise RequestFailed(sentence, reached=False) from error


def _reason(error: urllib.error.HTTPError) -> str:
    """The sentence with which a server refuses."""
    body = b""
    try:
        body = error.read()
        return json.loads(body)["error"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace") or str(error.reason)


def bracketed(host: str) -> str:
    """A host as it stands before a port: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def grpc_address(url: str, port: int) -> str:
    """The address of a port on the host of a URL."""
    try:
        host = urllib.parse.urlsplit(url).hostname
    except ValueError as error:
        raise UserError(f"--url={url} is no address: {error}") from error
    return f"{bracketed(host or '127.0.0.1')}:{port}"


def predictor(
    protocol: str, url: str, grpc_port: int, name: str, timeout: float, tls: ClientTls | None = None
) -> Callable[[bytes], tuple]:
    """The function that sends an image file to a model by a protocol: v1, v2, or grpc, at the host of the URL.

    It returns the size of the picture as the server read it and the outputs for it as `results.of_picture` takes them,
    and raises RequestFailed, whatever comes back.
    """
    address = grpc_address(url, grpc_port) if protocol == "grpc" else url
    send = {"v1": by_v1, "v2": by_v2, "grpc": by_grpc}[protocol]
    tls = (tls or ClientTls()) if url.startswith("https:") else None
    return understood(address)(lambda content: _outputs(send(address, name, content, timeout, tls)))


def _outputs(answer: dict[str, Any]) -> tuple[tuple[int, int], dict[str, Any]]:
    height, width = map(int, answer["image_size"])
    kinds = {**DETECTIONS, "labels": "labels", "scores": "scores"}
    outputs: dict[str, Any] = {own: np.asarray(answer[name]) for name, own in kinds.items() if name in answer}
    if "boxes" in outputs:
        outputs["boxes"] = outputs["boxes"].reshape(-1, 4)
    if "labels" in outputs and outputs["labels"].shape != (height, width) and "boxes" not in outputs:
        raise ValueError("a label map of another size")
    if "masks" in outputs:
        outputs["masks"] = [rle.from_coco(mask)[0] for mask in answer["detection_masks"]]
    return (height, width), outputs


@contextlib.contextmanager
def understood(address: str) -> Iterator[None]:
    """A context that reads what a server has answered; RequestFailed if that has another form than ours."""
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise RequestFailed(
            f"{address} did not respond like `python -m export.serve`; is it another server?"
        ) from error


def model_metadata(url: str, name: str, timeout: float = 60.0, tls: ClientTls | None = None) -> dict[str, Any]:
    """Metadata of a model, of the server's only one without a name; its classes are under "parameters"."""
    with understood(url):
        if not name:
            names = json.loads(ask(f"{url}/v1/models", timeout=timeout, tls=tls)[0])["models"]
            if len(names) != 1:
                raise UserError(f"{url} has the models {', '.join(names)}; choose one with --name")
            (name,) = names
        model = json.loads(ask(f"{url}/v2/models/{urllib.parse.quote(name)}", timeout=timeout, tls=tls)[0])
        _ = model["name"], model["parameters"]["classes"]
        return model


def by_v1(url: str, name: str, content: bytes, timeout: float = 60.0, tls: ClientTls | None = None) -> dict[str, Any]:
    """The answer to one image file: lists, by name."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(content).decode()}]}).encode()
    headers = {"Content-Type": "application/json"}
    answer, _ = ask(f"{url}/v1/models/{name}:predict", body, headers, timeout, tls)
    return json.loads(answer)["predictions"][0]


def by_v2(url: str, name: str, content: bytes, timeout: float = 60.0, tls: ClientTls | None = None) -> dict[str, Any]:
    """The same by KServe's V2 protocol, whose tensors travel as bytes behind the JSON."""
    raw = tensor_bytes.pack(content)
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {_BINARY: str(len(head)), "Content-Type": "application/octet-stream"}
    answer, headers = ask(f"{url}/v2/models/{name}/infer", head + raw, headers, timeout, tls)
    at, arrays = int(headers[_BINARY]), {}
    for one in json.loads(answer[:at])["outputs"]:
        start, at = at, at + one["parameters"]["binary_data_size"]
        arrays[one["name"]] = tensor_bytes.to_array(one["datatype"], one["shape"], answer[start:at])
    return _first(arrays)


def by_grpc(
    address: str, name: str, content: bytes, timeout: float = 60.0, tls: ClientTls | None = None
) -> dict[str, Any]:
    """The same by gRPC, at an address such as 127.0.0.1:8081."""
    import grpc

    from ..messages import inference_pb2 as pb

    tensor = pb.ModelInferRequest.InferInputTensor(name="image_bytes", datatype="BYTES", shape=[1])
    request = pb.ModelInferRequest(model_name=name, inputs=[tensor], raw_input_contents=[tensor_bytes.pack(content)])
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    made = (
        grpc.secure_channel(address, tls.credentials(), unlimited) if tls else grpc.insecure_channel(address, unlimited)
    )
    with made as channel:
        try:
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer", pb.ModelInferRequest.SerializeToString,
                pb.ModelInferResponse.FromString,
            )  # fmt: skip
            answer = infer(request, timeout=timeout)
        except grpc.RpcError as error:
            # gRPC itself says UNAVAILABLE of a server that is gone, and then there is no word of the server.
            answered = RETRY_AFTER in dict(error.trailing_metadata() or ())
            reached = answered or error.code() is not grpc.StatusCode.UNAVAILABLE
            raise RequestFailed(f"{error.details()} (gRPC {error.code().name})", reached) from error
    pairs = zip(answer.outputs, answer.raw_output_contents, strict=True)
    return _first({one.name: tensor_bytes.to_array(one.datatype, list(one.shape), raw) for one, raw in pairs})


def _first(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """V1's answer to the first picture of V2's tensors."""
    answer: dict[str, Any] = {name: array[0] for name, array in arrays.items()}
    for name in {"detection_class_names", "classes"} & {*answer}:
        answer[name] = [text.decode() for text in answer[name]]
    if "detection_masks" in answer:
        answer["detection_masks"] = [json.loads(text) for text in answer["detection_masks"]]
    return answer
