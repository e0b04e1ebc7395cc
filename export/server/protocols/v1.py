"""TensorFlow Serving's protocol: the states of versions, signatures, and the tensors of PredictionService."""

from typing import Any

import numpy as np
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage

from ...messages import prediction_pb2 as pb
from .. import requests, tensor_bytes
from ..errors import Refused, shown
from ..model import ServedModel
from ..registry import Registry, Version
from . import tensors

FAILED_PRECONDITION = 9  # of google.rpc.Code: why a version is not served
_DEFAULT = "serving_default"
_SIGNATURES = {"serving_default": "image_bytes", "image_tensor": "image"}  # and the input of each
_TYPES = {"FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "INT32": "DT_INT32", "UINT8": "DT_UINT8", "INT64": "DT_INT64"}
_MAP = "type.googleapis.com/tensorflow.serving.SignatureDefMap"


def status(registry: Registry, name: str, version: str = "", label: str = "") -> dict[str, Any]:
    """The states of versions of a model, and what is wrong with those that are not served."""
    model = registry.model(name)
    return {
        "name": name,
        "ready": bool(model.available()),
        "labels": model.labels,
        "model_version_status": [_status(one) for one in model.states(version, label)],
    }


def _status(version: Version) -> dict[str, Any]:
    code = "FAILED_PRECONDITION" if version.problem else "OK"
    told = {"error_code": code, "error_message": version.problem}
    return {"version": version.number, "state": version.state, "status": told}


def metadata(registry: Registry, **asked: str) -> dict[str, Any]:
    """The signatures of a model as TensorFlow Serving's REST has them."""
    model = registry.find(**asked)
    written = json_format.MessageToDict(
        signatures(model), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    spec = {"name": model.name, "signature_name": "", "version": model.version}
    return {"model_spec": spec, "metadata": {"signature_def": written}}


def signatures(model: ServedModel) -> pb.SignatureDefMap:
    """The signatures of a model: `serving_default` of files and `image_tensor` of pixels."""
    found, outputs = pb.SignatureDefMap(), _infos(tensors.outputs(model))
    for name, given in _SIGNATURES.items():
        inputs = _infos({given: tensors.inputs()[given]})
        made = pb.SignatureDef(inputs=inputs, outputs=outputs, method_name="tensorflow/serving/predict")
        found.signature_def[name].CopyFrom(made)
    return found


def _infos(described: tensors.Tensors) -> dict[str, pb.TensorInfo]:
    infos = {}
    for name, (dtype, sides) in described.items():
        shape = pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=side) for side in sides])
        infos[name] = pb.TensorInfo(name=f"{name}:0", dtype=_dtype(dtype), tensor_shape=shape)
    return infos


def _dtype(dtype: np.dtype) -> int:
    return pb.DataType.Value(_TYPES.get(tensor_bytes.datatype(dtype), "DT_STRING"))


def asked(spec: pb.ModelSpec) -> dict[str, str]:
    """Name, version and label of the model in a message."""
    version = str(spec.version.value) if spec.HasField("version") else ""
    return {"name": spec.name, "version": version, "label": spec.version_label}


def grpc_status(registry: Registry, request: pb.GetModelStatusRequest) -> dict[str, Any]:
    """The fields of a GetModelStatusResponse."""
    states = status(registry, **asked(request.model_spec))["model_version_status"]
    rows = []
    for one in states:
        told = {"error_message": one["status"]["error_message"]}
        told["error_code"] = FAILED_PRECONDITION if told["error_message"] else 0
        rows.append({"version": int(one["version"]), "state": one["state"], "status": told})
    return {"model_version_status": rows}


def grpc_metadata(registry: Registry, request: pb.GetModelMetadataRequest) -> dict[str, Any]:
    """The fields of a GetModelMetadataResponse; Refused if it asks for other than signatures."""
    if [*request.metadata_field] != ["signature_def"]:
        raise Refused(f"metadata_field is {shown([*request.metadata_field])}; this server has 'signature_def'")
    model = registry.find(**asked(request.model_spec))
    packed = AnyMessage(type_url=_MAP, value=signatures(model).SerializeToString())
    return {"model_spec": _spec(model, ""), "metadata": {"signature_def": packed}}


def _spec(model: ServedModel, signature: str) -> dict[str, Any]:
    return {"name": model.name, "version": {"value": int(model.version)}, "signature_name": signature}


def predict_request(request: pb.PredictRequest, bounds: requests.Bounds) -> requests.InferenceRequest:
    """The pictures of a PredictRequest; Refused if it has none."""
    signature = request.model_spec.signature_name or _DEFAULT
    if signature not in _SIGNATURES:
        raise Refused(f"signature_name is {shown(signature)}; this server has {' and '.join(_SIGNATURES)}")
    inputs = []
    for name, tensor in [*request.inputs.items()][:2]:
        if name in _SIGNATURES.values():
            inputs.append(_input(name, tensor))
        else:
            inputs.append({"name": name, "datatype": "", "shape": [], "data": []})
    outputs = [{"name": name} for name in request.output_filter]
    content = {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": True}}
    raw = b"".join(one.pop("raw", b"") for one in inputs)
    return requests.of_tensors(content, memoryview(raw), bounds, texts=False)


def _input(name: str, tensor: pb.TensorProto) -> dict[str, Any]:
    """The tensor of an input as V2's JSON has it, with the bytes that lie behind that under "raw"."""
    shape = [side.size for side in tensor.tensor_shape.dim[:9]]
    kind = {"image_bytes": "DT_STRING", "image": "DT_UINT8"}[name]
    if tensor.dtype != pb.DataType.Value(kind):
        raise Refused(f"the input {name!r} has the type {tensor.dtype} of tensorflow.DataType; expected {kind}")
    described = {"name": name, "datatype": requests.DATATYPES[name], "shape": shape}
    if name == "image_bytes":
        files = [*tensor.string_val]
        return described | {"shape": shape or [len(files)], "data": files}
    if tensor.tensor_content:
        return described | {
            "raw": tensor.tensor_content, "parameters": {"binary_data_size": len(tensor.tensor_content)},
        }  # fmt: skip
    if len(tensor.int_val) > requests.MAX_VALUES:
        raise Refused(f"{name!r} has more than {requests.MAX_VALUES:,} values; send them as tensor_content", 413)
    return described | {"data": [*tensor.int_val]}


def predict_fields(
    model: ServedModel, signature: str, outputs: list[dict[str, Any]], raw: list[bytes]
) -> dict[str, Any]:
    """The fields of a PredictResponse of V2's outputs and their bytes."""
    found = {}
    for one, content in zip(outputs, raw, strict=True):
        shape = {"dim": [{"size": side} for side in one["shape"]]}
        if one["datatype"] == "BYTES":
            values = {"dtype": "DT_STRING", "string_val": tensor_bytes.unpack(content)}
        else:
            values = {"dtype": _TYPES[one["datatype"]], "tensor_content": content}
        found[one["name"]] = pb.TensorProto(tensor_shape=shape, **values)
    return {"outputs": found, "model_spec": _spec(model, signature or _DEFAULT)}
