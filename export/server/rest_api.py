"""REST: TensorFlow Serving's V1 and KServe's V2, with requests read and refused in our words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import prometheus_client

from ..pages import page
from . import requests, responses
from .errors import Refused, shown
from .http_connection import Response
from .protocols import openapi, v1, v2
from .registry import Registry

VERSION_HEADER = "tfrecog-model-version"  # of a response: the version of the model that gave the answer
_ADDRESSES = (
    "Predictions: POST /v1/models/NAME:predict or /v2/models/NAME/infer; models: GET /v1/models; state: GET "
    "/v2/health/ready, /metrics"
)
_MODEL = r"/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[^/:]+))?"
_LABELLED = r"/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"


async def _predict(registry: Registry, headers: dict[str, str], body: bytes, **asked: str) -> Response:
    """V1: {"instances": [...]} → {"predictions": [...]}, {"inputs": ...} → {"outputs": {...}}."""
    registry.find(**asked)  # Refused before the body is read
    request = await registry.workers.parsed(requests.of_v1, body, headers.get("content-type", "").lower())
    model = registry.find(**asked)  # perhaps a newer version, meanwhile
    return Response(await model.answer(request, responses.of_v1), headers={VERSION_HEADER: model.version})


async def _infer(registry: Registry, headers: dict[str, str], body: bytes, **asked: str) -> Response:
    """V2: {"inputs": [...]} → {"outputs": [...]}, as JSON or as bytes behind it."""
    registry.find(**asked)
    request = await registry.workers.parsed(requests.of_v2, body, headers.get(requests.BINARY_HEADER))
    model = registry.find(**asked)
    named, raw = await model.answer(request, responses.of_v2)
    head = await registry.workers.run(responses.dumps, named)
    told = {VERSION_HEADER: model.version}
    if raw:
        told |= {requests.BINARY_HEADER: str(len(head)), "content-type": "application/octet-stream"}
    return Response(b"".join([head, *raw]), headers=told)


async def _index(registry: Registry, headers: dict[str, str], body: bytes) -> Response:
    """V2: the versions of all models."""
    return Response(responses.dumps(v2.index(registry, requests.only_ready(body))))


def _page() -> Response:
    """The page for people, which asks this server alone."""
    built = page.build(Path(__file__).parent, ("page.js",))
    policy = f"{built.policy}; frame-ancestors 'none'"
    return Response(built.html, headers={"content-type": "text/html; charset=utf-8", "content-security-policy": policy})


_POST = {
    rf"/v1{_LABELLED}:predict": _predict,
    rf"/v2{_MODEL}/infer": _infer,
    "/v2/repository/index": _index,
}
_GET: dict[str, Callable[..., Any]] = {
    "/": lambda registry: {"status": "alive"},
    "/openapi.json": openapi.description,
    "/v2/?": lambda registry: v2.SERVER,  # with the slash in the Open Inference Protocol, without in KServe
    "/v2/health/live": lambda registry: {"live": True},
    "/v2/health/ready": v2.server_ready,
    "/v[12]/models": lambda registry: {"models": [*registry.models]},
    "/v2/models/stats": v2.statistics,
    rf"/v1{_LABELLED}": v1.status,
    rf"/v1{_LABELLED}/metadata": v1.metadata,
    rf"/v2{_MODEL}": v2.metadata,
    rf"/v2{_MODEL}/ready": v2.model_ready,
    rf"/v2{_MODEL}/config": v2.config,
    rf"/v2{_MODEL}/stats": v2.statistics,
}


async def answer(registry: Registry, method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
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
    handle, asked = found
    if method == "POST":
        return await handle(registry, headers, body, **asked)
    return Response(responses.dumps(handle(registry, **asked)))


def _match(table: dict[str, Callable], path: str) -> tuple[Callable, dict[str, str]] | None:
    """What answers at a path, and the name, version and label of the model in it."""
    matches = ((re.fullmatch(pattern, path), handle) for pattern, handle in table.items())
    return next(((handle, match.groupdict("")) for match, handle in matches if match), None)
