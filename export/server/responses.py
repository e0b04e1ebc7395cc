"""What is answered: the model's arrays of a picture without their empty slots, as JSON (V1) and as tensors (V2)."""

import math
from typing import Any

import numpy as np
import orjson

from tfrecog.inference.result_files import Detections

from ..artifact import metadata, results
from ..artifact.metadata import DETECTIONS
from . import tensor_bytes
from .errors import Refused, shown
from .requests import Bounds, InferenceRequest


def of_picture(outputs: dict[str, np.ndarray], size: tuple[int, int], described: dict[str, Any]) -> dict[str, Any]:
    """Arrays of one picture by name, in its pixels; of a detector what `tfrecog.predict` writes, with COCO's masks.

    Args:
        outputs: of the picture, as the SavedModel gives them.
        size: height and width of the picture.
        described: the metadata of the model.
    """
    result: dict[str, Any] = {"image_size": np.array(size, np.int32)}
    if "detection_classes" not in outputs:
        return result | outputs
    names = outputs["detection_class_names"][outputs["detection_classes"] > 0]
    return of_detections(results.detections(outputs, size, described), size, names)


def of_detections(predicted: dict[str, Any], size: tuple[int, int], names: np.ndarray) -> dict[str, Any]:
    """The same of detections as `CanvasModel.predict` gives them, and the names [n] of their classes."""
    found = Detections.of(predicted, size)
    result: dict[str, Any] = {"image_size": np.array(size, np.int32), "num_detections": np.array(len(names), np.int32)}
    arrays = {name: getattr(found, own) for name, own in DETECTIONS.items() if own in predicted}
    return result | {"detection_class_names": names} | arrays


def dumps(content: dict) -> bytes:
    """JSON of lists, numbers, texts and arrays."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):  # What orjson does not know: texts, not contiguous, no dimensions.
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(type(value).__name__)


def of_v1(model, request: InferenceRequest, results: list[dict[str, Any]]) -> bytes:
    """The body of a response of V1: a row for each picture, or a tensor for each output."""
    return dumps({"outputs": tensors(results, model.workers.bounds)} if request.columns else {"predictions": results})


def of_v2(model, request: InferenceRequest, results: list[dict[str, Any]]) -> tuple[dict[str, Any], list[bytes]]:
    """The fields of a response of V2, and the bytes of the outputs that a request wants so.

    Refused if it wants one that is not there.
    """
    arrays, outputs, raw = tensors(results, model.workers.bounds), [], []
    for name, binary, best in request.outputs or [(name, request.binary, 0) for name in arrays]:
        if name not in arrays:
            raise Refused(f"there is no output {shown(name)}; this model has {', '.join(arrays)}")
        array = _best(name, arrays[name], best, metadata.names(model.metadata)) if best else arrays[name]
        outputs.append({"name": name, "datatype": tensor_bytes.datatype(array.dtype), "shape": list(array.shape)})
        if binary:
            raw.append(tensor_bytes.of_array(array))
            outputs[-1]["parameters"] = {"binary_data_size": len(raw[-1])}
        else:
            outputs[-1]["data"] = array.ravel()
    return {"model_name": model.name, "model_version": model.version, "id": request.id, "outputs": outputs}, raw


def _best(name: str, scores: np.ndarray, count: int, names: list[str]) -> np.ndarray:
    """Triton's classification: "score:index:name" of the best classes of each picture, from scores [B, K]."""
    if name != "scores" or scores.ndim != 2:
        raise Refused(f"the classes of {name!r} cannot be told (classification); those of 'scores' of a classifier can")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    rows = [[f"{row[i]:f}:{i}:{names[i]}".encode() for i in order] for row, order in zip(scores, best, strict=True)]
    return np.array(rows, object).reshape(best.shape)


def tensors(answers: list[dict[str, Any]], bounds: Bounds) -> dict[str, np.ndarray]:
    """V2's tensors [B, ...] of the answers to the pictures of a request; what differs in size is padded with zeros.

    Masks are texts: each the JSON of its {"size", "counts"}. Refused if label maps would be padded to too many pixels.
    """
    return {name: _stack([_array(answer[name]) for answer in answers], bounds) for name in answers[0]}


def _array(value) -> np.ndarray:
    if isinstance(value, list):
        texts = np.empty(len(value), object)
        texts[:] = [dumps(one) for one in value]
        return texts
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _stack(arrays: list[np.ndarray], bounds: Bounds) -> np.ndarray:
    shape = [len(arrays), *map(max, zip(*(array.shape for array in arrays), strict=True))]
    remedy = "Send pictures of one size, or V1's instances, whose results are not padded."
    bounds.check_together(math.prod(shape), f"the results, padded to {shape}, have", remedy)
    stacked = np.full(shape, b"", object) if arrays[0].dtype == object else np.zeros(shape, arrays[0].dtype)
    for i, array in enumerate(arrays):
        stacked[(i, *map(slice, array.shape))] = array
    return stacked
