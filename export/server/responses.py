"""What is answered: the model's arrays of a picture without their empty slots, as JSON (V1) and as tensors (V2)."""

from typing import Any

import numpy as np
import orjson

from tfrecog.ops import rle

from . import tensor_bytes
from .errors import Refused, shown
from .requests import InferenceRequest

_PIXELS = 3  # decimals of boxes and keypoints: those of the files of `tfrecog.predict`


def of_picture(outputs: dict[str, np.ndarray], size: tuple[int, int], metadata: dict[str, Any]) -> dict[str, Any]:
    """Arrays of one picture by name, in its pixels; of a detector only the filled slots, masks as COCO has them.

    Args:
        outputs: of the picture, as the SavedModel gives them.
        size: height and width of the picture.
        metadata: of the model.
    """
    result: dict[str, Any] = {"image_size": np.array(size, np.int32)}
    if "detection_classes" not in outputs:
        return result | outputs
    filled = outputs["detection_classes"] > 0
    result["num_detections"] = np.array(filled.sum(), np.int32)
    result |= {name: value[filled] for name, value in outputs.items() if name.startswith("detection_")}
    boxes = result["detection_boxes"]
    result["detection_boxes"] = np.round(boxes.astype(float), _PIXELS)
    if "detection_masks" in result:
        result["detection_masks"] = _masks(result["detection_masks"], boxes, size, metadata)
    if "detection_keypoints" in result:
        keypoints = result["detection_keypoints"].astype(float)
        keypoints[..., :2] = np.round(keypoints[..., :2], _PIXELS)
        result["detection_keypoints"] = keypoints
    return result


def _masks(masks, boxes, size, metadata) -> list[dict]:
    """Compressed run lengths {"size", "counts"} of masks in any of the three forms that an export has."""
    if masks.ndim == 2:  # run lengths, padded with zeros
        all_runs = [np.trim_zeros(runs, "b") for runs in masks]
    elif masks.dtype == np.uint8:  # whole pictures
        all_runs = [rle.encode(mask) for mask in masks]
    else:
        all_runs = rle.paste(masks, boxes, *size, metadata["mask_threshold"], metadata["paste"])
    return [{"size": [*map(int, size)], "counts": rle.to_text(runs).decode()} for runs in all_runs]


def dumps(content: dict) -> bytes:
    """JSON of lists, numbers, texts and arrays."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):  # What orjson does not know: texts, not contiguous, no dimensions.
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(type(value).__name__)


def of_v1(request: InferenceRequest, results: list[dict[str, Any]]) -> bytes:
    """The body of a response of V1: a row for each picture, or a tensor for each output."""
    return dumps({"outputs": tensors(results)} if request.columns else {"predictions": results})


def of_v2(request: InferenceRequest, results: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """The outputs that a request of V2 wants, and the bytes of those that it wants so; Refused if one is not there."""
    arrays, outputs, raw = tensors(results), [], []
    for name, binary in request.outputs or [(name, request.binary) for name in arrays]:
        if name not in arrays:
            raise Refused(f"there is no output {shown(name)}; this model has {', '.join(arrays)}")
        array = arrays[name]
        outputs.append({"name": name, "datatype": datatype(array.dtype), "shape": list(array.shape)})
        if not binary:
            outputs[-1]["data"] = array.ravel()
            continue
        raw.append(b"".join(map(tensor_bytes.pack, array.flat)) if array.dtype == object else array.tobytes())
        outputs[-1]["parameters"] = {"binary_data_size": len(raw[-1])}
    return outputs, raw


def datatype(dtype: np.dtype) -> str:
    """V2's name of a type: FP32, INT32, UINT8; BYTES of texts."""
    name = dtype.name.upper().replace("FLOAT", "FP")
    return name if dtype.kind in "iuf" else "BYTES"


def tensors(answers: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """V2's tensors [B, ...] of the answers to the pictures of a request; what differs in size is padded with zeros.

    Masks are texts: each the JSON of its {"size", "counts"}.
    """
    return {name: _stack([_array(answer[name]) for answer in answers]) for name in answers[0]}


def _array(value) -> np.ndarray:
    if isinstance(value, list):
        texts = np.empty(len(value), object)
        texts[:] = [orjson.dumps(one) for one in value]
        return texts
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    shape = [len(arrays), *np.max([array.shape for array in arrays], axis=0, initial=0).astype(int)]
    stacked = np.full(shape, b"", object) if arrays[0].dtype == object else np.zeros(shape, arrays[0].dtype)
    for i, array in enumerate(arrays):
        stacked[(i, *map(slice, array.shape))] = array
    return stacked
