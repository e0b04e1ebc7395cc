"""REST: kserve's V1 (TensorFlow Serving's) and V2 endpoints, with requests read and refused in our words.

kserve's own `ModelServer` listens to the whole network, reads bodies of any size, decodes them on the event loop, turns
tensors into lists, lets anybody unload the model, and logs a trace for each bad request. So its models, data plane and
metrics are used, and the endpoints are here.
"""

import logging
from http import HTTPStatus
from typing import Any

import fastapi
from fastapi import Request, Response
from kserve import ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.server import metrics_handler
from starlette.exceptions import HTTPException

from . import requests, responses
from .errors import Refused
from .limits import BODY, content
from .model import Recogniser

log = logging.getLogger("tfrecog.serve")
_KEPT = (
    "task", "classes", "keypoints", "skeleton", "flip_pairs", "step", "metrics", "min_score", "precision", "version",
)  # fmt: skip


class Plane(DataPlane):
    """kserve's data plane with one model, and the endpoints that read pictures or tell of the model."""

    def __init__(self, model: Recogniser):
        super().__init__(ModelRepository())
        self.model_registry.update(model)
        self.model = model

    def served(self, name: str, version: str | None = None) -> Recogniser:
        """The model of a name and version; Refused if there is none, or if it is not ready."""
        model = self.model
        if name != model.name:
            raise Refused(f"no model is named {name!r} here; this server has {model.name!r}", 404)
        if not model.ready:
            raise Refused(
                f"the model {name!r} is being loaded; ask again in a few seconds", 503, "not ready", retry_after=2
            )
        if version not in (None, "", model.version):
            raise Refused(f"{name!r} is served in version {model.version}, not in {version}", 404)
        return model

    async def ready(self) -> bool:
        """Whether the model is."""
        return self.model.ready

    def metadata(self) -> dict:
        """V2's metadata of the server."""
        return super().metadata() | {"extensions": ["binary_tensor_data"]}

    async def model_metadata(self, model_name: str) -> dict:
        """V2's metadata of the model, and under "parameters" its classes and what else a client needs to draw."""
        model = self.served(model_name)
        said = await super().model_metadata(model_name)
        parameters = {key: model.metadata[key] for key in _KEPT if key in model.metadata}
        return said | {"versions": [model.version], "platform": "tensorflow_savedmodel", "parameters": parameters}

    async def predict(self, model_name: str, request: Request, version: str | None = None) -> Response:
        """V1: {"instances": [...]} → {"predictions": [...]}."""
        model = self.served(model_name, version)
        content_type = request.headers.get("content-type", "").lower()
        asked = await model.in_pool(requests.of_v1, request.scope[BODY], content_type, model.limits)
        found = await model.answers(asked)
        body = await model.in_pool(responses.dumps, {"predictions": found})
        return Response(body, media_type="application/json")

    async def infer(self, model_name: str, request: Request, version: str | None = None) -> Response:
        """V2: {"inputs": [...]} → {"outputs": [...]}, as JSON or as bytes behind it."""
        model = self.served(model_name, version)
        length = request.headers.get(requests.BINARY_HEADER)
        asked = await model.in_pool(requests.of_v2, request.scope[BODY], length, model.limits)
        found = await model.answers(asked)
        body, json_length = await model.in_pool(lambda: model.response(asked, found).to_rest())
        if json_length is None:
            return Response(responses.dumps(body), media_type="application/json")
        headers = {requests.BINARY_HEADER: str(json_length)}
        return Response(body, headers=headers, media_type="application/octet-stream")

    async def models(self) -> dict[str, Any]:
        """The names of the models."""
        return {"models": [self.model.name]}

    async def status(self, model_name: str) -> dict[str, Any]:
        """V1: whether the model is ready, in kserve's words and in TensorFlow Serving's."""
        if model_name.endswith(":predict"):
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
        model = self.served(model_name)
        state = {"version": model.version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return {"name": model_name, "ready": True, "model_version_status": [state]}

    async def server_live(self) -> dict[str, Any]:
        """V2: that the server lives."""
        return {"live": True}

    async def server_ready(self) -> dict[str, Any]:
        """V2: whether the server is ready."""
        self.served(self.model.name)
        return {"ready": True}

    async def served_ready(self, model_name: str) -> dict[str, Any]:
        """V2: whether the model is."""
        self.served(model_name)
        return {"name": model_name, "ready": True}


def application(plane: Plane) -> fastapi.FastAPI:
    """The server's addresses."""
    app = fastapi.FastAPI(title="tfrecog", openapi_url=None, docs_url=None, redoc_url=None)
    for path, answer in {
        "/": plane.live,
        "/metrics": metrics_handler,
        "/v1/models": plane.models,
        "/v1/models/{model_name}": plane.status,
        "/v1/models/{model_name}/metadata": plane.model_metadata,
        "/v2": plane.metadata,
        "/v2/health/live": plane.server_live,
        "/v2/health/ready": plane.server_ready,
        "/v2/models": plane.models,
        "/v2/models/{model_name}": plane.model_metadata,
        "/v2/models/{model_name}/ready": plane.served_ready,
    }.items():
        app.add_api_route(path, answer, methods=["GET"], response_model=None)
    for model in ("{model_name}", "{model_name}/versions/{version}"):
        app.add_api_route(f"/v1/models/{model}:predict", plane.predict, methods=["POST"], response_model=None)
        app.add_api_route(f"/v2/models/{model}/infer", plane.infer, methods=["POST"], response_model=None)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _no_address)
    app.add_exception_handler(Exception, _failed)
    return app


def _error(sentence: str, status: int) -> Response:
    return Response(responses.dumps({"error": sentence}), status, media_type="application/json")


async def _refused(_: Request, refused) -> Response:
    body, headers = content(refused)
    return Response(body, refused.status, headers)


async def _no_address(request: Request, error) -> Response:
    return _error(
        f"{request.method} {request.url.path}: {error.detail}. Predictions: POST /v1/models/NAME:predict or "
        "/v2/models/NAME/infer; models: GET /v1/models; state: GET /v2/health/ready, /metrics",
        error.status_code,
    )


async def _failed(request: Request, error) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _error(f"the server failed on this request ({type(error).__name__}); its log says more", 500)
