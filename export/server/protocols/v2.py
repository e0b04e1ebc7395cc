"""The V2 protocol: KServe's metadata, and of Triton's extensions the configuration, the statistics and the index."""

from typing import Any

import tfrecog

from .. import engines, tensor_bytes
from ..metrics import Duration
from ..model import ServedModel
from ..registry import Registry
from . import tensors

SERVER = {
    "name": "tfrecog",
    "version": tfrecog.version(),
    "extensions": [
        "binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics",
    ],
}  # fmt: skip
_KEPT = (
    "task", "classes", "keypoints", "skeleton", "flip_pairs", "step", "metrics", "min_score", "precision", "version",
    "pixel_ranges", "orientation",
)  # fmt: skip
_STATES = {"START": "UNAVAILABLE", "LOADING": "LOADING", "AVAILABLE": "READY", "UNLOADING": "UNLOADING"}


def server_ready(registry: Registry) -> dict[str, Any]:
    """{"ready": true}; Refused, which is 503, while a model is loaded."""
    for model in registry.models.values():
        model.find()
    return {"ready": registry.ready()}


def model_ready(registry: Registry, **asked: str) -> dict[str, Any]:
    """That a version is ready; Refused if it is not."""
    return {"name": registry.find(**asked).name, "ready": True}


def metadata(registry: Registry, **asked: str) -> dict[str, Any]:
    """Inputs and outputs, and under "parameters" the classes and what else a client needs to draw."""
    model = registry.find(**asked)
    inputs, outputs = tensors.inputs(), tensors.outputs(model)
    described = [
        [
            {"name": name, "datatype": tensor_bytes.datatype(dtype), "shape": shape}
            for name, (dtype, shape) in one.items()
        ]
        for one in (inputs, outputs)
    ]
    return {
        "name": model.name,
        "versions": [one.version for one in registry.model(model.name).available()],
        "platform": engines.platform(model.path)[0],
        "inputs": described[0],
        "outputs": described[1],
        "parameters": {key: model.metadata[key] for key in _KEPT if key in model.metadata},
    }


def config(registry: Registry, **asked: str) -> dict[str, Any]:
    """Triton's configuration of a model, with the sizes of a batch left out of the shapes as it wants them."""
    model = registry.find(**asked)
    given = model.workers.config
    described = [
        [
            {"name": name, "data_type": _data_type(dtype), "dims": shape[1:] or [1]}
            for name, (dtype, shape) in one.items()
        ]
        for one in (tensors.inputs(), tensors.outputs(model))
    ]
    return {
        "name": model.name,
        "platform": engines.platform(model.path)[0],
        "backend": engines.platform(model.path)[1],
        "max_batch_size": model.workers.bounds.max_pictures,
        "input": described[0],
        "output": described[1],
        "dynamic_batching": {
            "preferred_batch_size": [given.max_batch],
            "max_queue_delay_microseconds": round(given.max_wait_ms * 1000),
        },
    }


def _data_type(dtype) -> str:
    name = tensor_bytes.datatype(dtype)
    return "TYPE_STRING" if name == "BYTES" else f"TYPE_{name}"


def statistics(registry: Registry, name: str = "", version: str = "") -> dict[str, Any]:
    """What was done since versions were loaded, and how long it took; of all models where none is named."""
    if version:
        models = [registry.find(name, version)]
    else:
        named = [registry.model(name)] if name else registry.models.values()
        models = [one for model in named for one in model.available()]
    return {"model_stats": [_statistics(model) for model in models]}


def _statistics(model: ServedModel) -> dict[str, Any]:
    counted = model.statistics
    steps = {"queue": "queue", "compute_input": "decode", "compute_infer": "model", "compute_output": "results"}
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": round(counted.last * 1000),
        "inference_count": counted.steps["results"].count,
        "execution_count": sum(one.count for one in counted.batches.values()),
        "inference_stats": {
            "success": _duration(counted.success),
            "fail": _duration(counted.fail),
            **{name: _duration(counted.steps[step]) for name, step in steps.items()},
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _duration(one)} for size, one in sorted(counted.batches.items())
        ],
    }


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}


def index(registry: Registry, ready: bool = False) -> list[dict[str, str]]:
    """The versions of all models, with their states, and why one is not served; only those that are, if `ready`."""
    found = []
    for model in registry.models.values():
        for one in model.states():
            state = _STATES.get(one.state, "UNAVAILABLE")
            if state == "READY" or not ready:
                row = {"name": model.name, "version": one.number, "state": state}
                found.append(row | ({"reason": one.problem} if one.problem else {}))
    return found
