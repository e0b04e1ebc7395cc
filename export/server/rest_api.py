"""REST: TensorFlow Serving's V1 and KServe's V2, with requests read and refused in our words.

kserve's own server listens to the whole network, reads bodies of any size, decodes them on the event loop, turns
tensors into lists, lets anybody unload the model, and logs a trace for each bad request. So the endpoints are here.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import prometheus_client

import tfrecog

from . import requests, responses
from .errors import Refused, shown
from .http_connection import Response
from .model import ServedModel

SERVER = {"name": "tfrecog", "version": tfrecog.version(), "extensions": ["binary_tensor_data"]}
_ADDRESSES = (
    "Predictions: POST /v1/models/NAME:predict or /v2/models/NAME/infer; models: GET /v1/models; state: GET "
    "/v2/health/ready, /metrics"
)
_MODEL = r"/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[^/:]+))?"


async def _predict(model: ServedModel, headers: dict[str, str], body: bytes) -> Response:
    """V1: {"instances": [...]} → {"predictions": [...]}, {"inputs": ...} → {"outputs": {...}}."""
    content_type = headers.get("content-type", "").lower()
    return Response(await model.answer(len(body), requests.of_v1, body, content_type, responses.of_v1))


async def _infer(model: ServedModel, headers: dict[str, str], body: bytes) -> Response:
    """V2: {"inputs": [...]} → {"outputs": [...]}, as JSON or as bytes behind it."""
    length, respond = headers.get(requests.BINARY_HEADER), partial(responses.of_v2, model)
    named, raw = await model.answer(len(body), requests.of_v2, body, length, respond)
    head = await model.in_pool(responses.dumps, named)
    binary = {requests.BINARY_HEADER: str(len(head)), "content-type": "application/octet-stream"}
    return Response(b"".join([head, *raw]), headers=binary if raw else {})


def _status(model: ServedModel) -> dict[str, Any]:
    """V1: the version of the model and its state."""
    state = {"version": model.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    return {"name": model.name, "ready": True, "model_version_status": [state]}


def _page() -> Response:
    """The page for people. Its policy allows its own script, and requests to this server alone."""
    page = Path(__file__).with_name("page.html").read_bytes()
    script = page.split(b"<script>")[1].split(b"</script>")[0]
    allowed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data: blob:; media-src blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return Response(page, headers={"content-type": "text/html; charset=utf-8", "content-security-policy": policy})


_POST = {rf"/v1{_MODEL}:predict": _predict, rf"/v2{_MODEL}/infer": _infer}
_GET: dict[str, Callable[[ServedModel], dict[str, Any]]] = {
    "/": lambda model: {"status": "alive"},
    "/v2": lambda model: SERVER,
    "/v2/health/live": lambda model: {"live": True},
    "/v2/health/ready": lambda model: {"ready": not model.check(model.name)},
    "/v[12]/models": lambda model: {"models": [model.name]},
    rf"/v1{_MODEL}": _status,
    rf"/v1{_MODEL}/metadata": ServedModel.described,
    rf"/v2{_MODEL}": ServedModel.described,
    rf"/v2{_MODEL}/ready": lambda model: {"name": model.name, "ready": True},
}


async def answer(model: ServedModel, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
    """The answer to a request; Refused if there is no such address, or no such model."""
    method = "GET" if method == "HEAD" else method  # whose response has no body
    if (method, path) == ("GET", "/metrics"):
        encode, content_type = prometheus_client.exposition.choose_encoder("")  # It fails on some Accept headers.
        return Response(encode(prometheus_client.REGISTRY), headers={"content-type": content_type})
    if (method, path) == ("GET", "/") and "text/html" in headers.get("accept", ""):
        return _page()
    matches = {verb: _match(table, path) for verb, table in (("GET", _GET), ("POST", _POST))}
    found = matches.get(method)
    if not found:
        allowed = ", ".join(verb for verb, match in matches.items() if match)
        reason = "Method Not Allowed" if allowed else "Not Found"
        sentence = f"{method[:20]} {shown(path)[1:-1]}: {reason}. {_ADDRESSES}"
        raise Refused(
            sentence, 405 if allowed else 404, "no such address", headers={"allow": allowed} if allowed else {}
        )
    handle, model_named = found
    if model_named:
        model.check(**model_named)
    if method == "POST":
        return await handle(model, headers, body)
    return Response(responses.dumps(handle(model)))


def _match(table: dict[str, Callable], path: str) -> tuple[Callable, dict[str, str]] | None:
    """What answers at a path, and the name and version of the model in it."""
    matches = ((re.fullmatch(pattern, path), handle) for pattern, handle in table.items())
    return next(((handle, match.groupdict()) for match, handle in matches if match), None)
