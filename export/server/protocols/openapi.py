"""The description of REST in OpenAPI 3.1, which the server has at /openapi.json."""

from typing import Any

import tfrecog

from ..registry import Registry

_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_STRING, _WHOLE, _OBJECT = {"type": "string"}, {"type": "integer"}, {"type": "object"}
_FILE = {
    "type": "object", "required": ["b64"], "additionalProperties": False,
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
}  # fmt: skip
_PIXELS = {
    "type": "array",
    "items": {
        "type": "array",
        "items": {
            "type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}, "minItems": 3, "maxItems": 3
        },
    },
}  # fmt: skip
_PICTURES = {"type": "array", "minItems": 1, "items": {"oneOf": [_FILE, _PIXELS]}}
_PARAMETERS = {"type": ["object", "null"]}
_INPUT = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"enum": ["image_bytes", "image"]},
        "datatype": {"enum": ["BYTES", "UINT8"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 4},
        "parameters": _PARAMETERS,
        "data": {"type": ["array", "null"]},
    },
}
_OUTPUT = {
    "type": "object", "required": ["name"], "properties": {"name": _STRING, "parameters": _PARAMETERS},
}  # fmt: skip
_V1 = {
    "type": "object",
    "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    "properties": {
        "instances": _PICTURES,
        "inputs": {
            "oneOf": [
                _PICTURES,
                {"type": "object", "required": ["image_bytes"], "properties": {"image_bytes": _PICTURES}},
                {"type": "object", "required": ["image"], "properties": {"image": _PICTURES}},
            ]
        },
        "signature_name": {"enum": ["serving_default", "image_tensor"]},
    },
}
_V2 = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"], "maxLength": 1000},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "items": _INPUT, "minItems": 1, "maxItems": 1},
        "outputs": {"type": ["array", "null"], "items": _OUTPUT},
    },
}
_DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_TWO_PIXELS = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [255, 0, 0, 0, 255, 0]}
_V1_EXAMPLES = {
    "files": {"instances": [{"b64": _DOT}]},
    "pixels": {"instances": [[[[255, 0, 0], [0, 255, 0]]]]},
    "columns": {"inputs": {"image_bytes": [{"b64": _DOT}]}},
}
_V2_EXAMPLES = {
    "files": {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [_DOT]}]},
    "pixels": {"id": "42", "inputs": [_TWO_PIXELS]},
    "an answer in bytes": {"inputs": [_TWO_PIXELS], "parameters": {"binary_data_output": True}},
}
_PREDICTIONS = {
    "type": "object",
    "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    "properties": {"predictions": {"type": "array", "items": _OBJECT}, "outputs": _OBJECT},
}
_INFERRED = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {"model_name": _STRING, "model_version": _STRING, "id": _STRING, "outputs": {"type": "array"}},
}
_TENSOR = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {"name": _STRING, "datatype": _STRING, "shape": {"type": "array", "items": _WHOLE}},
}
_METADATA = {
    "type": "object",
    "required": ["name", "versions", "platform", "inputs", "outputs"],
    "properties": {
        "name": _STRING,
        "versions": {"type": "array", "items": _STRING},
        "platform": _STRING,
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {"type": "array", "items": _TENSOR},
        "parameters": _OBJECT,
    },
}
_STATUS = {
    "type": "object",
    "required": ["name", "ready", "model_version_status"],
    "properties": {"name": _STRING, "ready": {"type": "boolean"}, "model_version_status": {"type": "array"}},
}
_READY = {"type": "object", "required": ["name", "ready"]}
_STATS = {"type": "object", "required": ["model_stats"], "properties": {"model_stats": {"type": "array"}}}
_REFUSALS = {
    "400": "The request is not valid; the sentence says what was expected.",
    "404": "There is no such model, version or label.",
    "408": "The body came too slowly.",
    "413": "The request, or a picture in it, is too large.",
    "415": "The body is compressed.",
    "503": "A model is being loaded, or too many requests are in work.",
}


def description(registry: Registry) -> dict[str, Any]:
    """The description: paths, what they take and answer, and the names of the models."""
    versions = {number: None for model in registry.models.values() for number in model.versions}
    labels = {label: None for model in registry.models.values() for label in model.labels}
    described = {"name": [*registry.models], "version": [*versions], "label": [*labels]}
    parameters = {
        name: {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"} | ({"enum": known} if known else {}),
        }
        for name, known in described.items()
    }
    paths: dict[str, Any] = {
        "/v2": {"get": _get("About the server", _OBJECT)},
        "/v2/health/live": {"get": _get("Whether it lives", {"type": "object", "required": ["live"]})},
        "/v2/health/ready": {"get": _get("Whether all models are ready", {"type": "object", "required": ["ready"]})},
        "/v2/repository/index": {"post": _index()},
        "/v2/models/stats": {"get": _get("Statistics of all models", _STATS)},
        "/v1/models": {"get": _get("Names of the models", {"type": "object", "required": ["models"]})},
    }
    for place in ("", "/versions/{version}", "/labels/{label}"):
        v1 = f"/v1/models/{{name}}{place}"
        predict = _post("Predictions", v1, _V1, _V1_EXAMPLES, _PREDICTIONS)
        predict["requestBody"]["content"]["image/jpeg"] = {"schema": {}}
        paths[f"{v1}:predict"] = {"post": predict}
        paths[v1] = {"get": _get("States of versions", _STATUS, v1)}
        paths[f"{v1}/metadata"] = {"get": _get("Signatures", {"type": "object", "required": ["model_spec"]}, v1)}
    for place in ("", "/versions/{version}"):
        v2 = f"/v2/models/{{name}}{place}"
        infer = _post("Inference", v2, _V2, _V2_EXAMPLES, _INFERRED)
        infer["responses"]["200"]["content"]["application/octet-stream"] = {"schema": {}}  # tensors behind the JSON
        paths[f"{v2}/infer"] = {"post": infer}
        paths[v2] = {"get": _get("Inputs, outputs and classes", _METADATA, v2)}
        paths[f"{v2}/ready"] = {"get": _get("Whether it is ready", _READY, v2)}
        paths[f"{v2}/config"] = {"get": _get("Triton's configuration", {"type": "object", "required": ["name"]}, v2)}
        paths[f"{v2}/stats"] = {"get": _get("Statistics", _STATS, v2)}
    about = {"title": "tfrecog", "version": tfrecog.version(), "description": "Classes, boxes and masks of pictures."}
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": {"parameters": parameters}}


def _named(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"$ref": f"#/components/parameters/{one}"} for one in names]


def _answers(schema: dict[str, Any], *statuses: str) -> dict[str, Any]:
    refused = {
        status: {"description": _REFUSALS[status], "content": {"application/json": {"schema": _ERROR}}}
        for status in statuses
    }
    return {"200": {"description": "The answer", "content": {"application/json": {"schema": schema}}}} | refused


def _get(summary: str, schema: dict[str, Any], path: str = "") -> dict[str, Any]:
    statuses = ["404", "503"] if path else ["503"]
    return {"summary": summary, "parameters": _named(path), "responses": _answers(schema, *statuses)}


def _post(
    summary: str, path: str, body: dict[str, Any], examples: dict[str, Any], schema: dict[str, Any]
) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {
        "summary": summary,
        "parameters": _named(path),
        "requestBody": {"required": True, "content": {"application/json": {"schema": body, "examples": shown}}},
        "responses": _answers(schema, *_REFUSALS),
    }


def _index() -> dict[str, Any]:
    taken = {"type": "object", "properties": {"ready": {"type": ["boolean", "null"]}}}
    rows = {"type": "array", "items": {"type": "object", "required": ["name", "version", "state"]}}
    return {
        "summary": "Versions of all models",
        "requestBody": {"content": {"application/json": {"schema": taken}}},
        "responses": _answers(rows, *_REFUSALS),
    }
