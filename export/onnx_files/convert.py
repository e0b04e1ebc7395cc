"""From a TFLite file to an ONNX file of standard operations, by tf2onnx."""

import functools
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
from tf2onnx import optimizer, tfonnx

from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError
from tfrecog.runtime import quiet_tensorflow

from ..artifact import metadata
from ..litert.convert import parsed, try_out
from ..litert.metadata import MEANINGS
from . import contents, reader

OPSET = 13  # of 2020, which other runtimes have too
CONVERTED = "the converted model"


def convert(lite: bytes, model_metadata: dict) -> bytes:
    """The ONNX file of a TFLite file: the same tensors by the same names, with metadata.

    UserError names what has no operation of ONNX.
    """
    lite_model = parsed(lite)
    signature = lite_model.signatureDefs[0]
    lite_tensors = lite_model.subgraphs[signature.subgraphIndex].tensors
    named = (*signature.inputs, *signature.outputs)
    names = {lite_tensors[one.tensorIndex].name.decode(): one.name.decode() for one in named}
    model = _model(lite, names)
    model.doc_string = f"{model_metadata['name']}, step {model_metadata['step']} of {model_metadata['checkpoint']}"
    for tensors in (model.graph.input, model.graph.output):
        tensors.sort(key=lambda tensor: [*MEANINGS].index(tensor.name))
        for tensor in tensors:
            tensor.doc_string = MEANINGS[tensor.name]
    for name, text in metadata.texts(model_metadata).items():
        if name != metadata.FLAGS:
            model.metadata_props.add(key=name, value=text)
    content = checksums.seal_onnx(model.SerializeToString())
    _check(content)
    return content


def _check(content):
    """UserError if a file is not what other runtimes take, or outputs NaN or infinity."""
    try:
        onnx.checker.check_model(content, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UserError(f"the converted model is not valid: {str(error)[:300]}; nothing was written") from error
    contents.metadata_of(content, CONVERTED)
    session = reader.session(content, CONVERTED)
    try_out(functools.partial(reader.run, session), reader.inputs_of(session))


def _model(lite: bytes, names: dict[str, str]) -> Any:
    """The ModelProto of a TFLite file, with other names for some tensors."""
    log = logging.getLogger("tf2onnx")
    level = log.level
    log.setLevel(logging.CRITICAL)  # It tells of shapes that it does not know; what is wrong shows below.
    try:
        with tempfile.TemporaryDirectory() as folder, quiet_tensorflow.interpreter(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow's interpreter, which tf2onnx asks for shapes
            file = Path(folder, "model.tflite")
            file.write_bytes(lite)
            graph = tfonnx.process_tf_graph(None, tflite_path=str(file), opset=OPSET, tensors_to_rename=names)
            graph = optimizer.optimize_graph(graph, catch_errors=False)  # It would copy the graph for each step.
        standard = onnx.helper.make_opsetid("", OPSET)
        return graph.make_model("", graph_name="tfrecog", opset_imports=[standard], producer_name="tf2onnx")
    except Exception as error:
        raise UserError(f"the model could not be converted: {str(error)[:300]}") from error
    finally:
        log.setLevel(level)
