"""From a graph to the bytes of a TFLite file with builtin operations only."""

import re
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from tfrecog.cli.errors import UserError
from tfrecog.runtime import quiet_tensorflow

from .graph import Graph, module

SIGNATURE = "serving_default"
# Of an error of the converter: an operation, and the layer that it is in.
_REFUSED = re.compile(r"""fused\["(\w+):", "([^"@]+)[^\n]*?'tf\.\w+' op is neither a custom op nor a flex op""")


def convert(graph: Graph) -> bytes:
    """The float32 TFLite file of a graph, with one signature, `serving_default`.

    UserError names what has no builtin operation.
    """
    with tempfile.TemporaryDirectory() as folder:
        with quiet_tensorflow.converter():
            _save(graph, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            with quiet_tensorflow.converter():
                content = converter.convert()
        except Exception as error:  # The converter's own class is private to it.
            raise UserError(_reason(str(error))) from error
    with quiet_tensorflow.interpreter():  # It speaks of its delegate the first time only.
        Interpreter(model_content=content).allocate_tensors()
    return content


def parsed(content: bytes) -> Any:  # Each field of a ModelT may be None, says its type.
    """The ModelT of a TFLite file, with all of its constants."""
    return flatbuffer_utils.read_model_from_bytearray(np.frombuffer(content, np.uint8))  # whose slices copy nothing


def serialized(model: Any) -> bytes:
    """The file of a ModelT; the inverse of `parsed`."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def check(content: bytes) -> None:
    """UserError if a TFLite file has an operation that is not a builtin."""
    strangers = {code.customCode.decode() for code in parsed(content).operatorCodes if code.customCode}
    if strangers:
        raise UserError(f"TensorFlow Lite has no builtin for {', '.join(sorted(strangers))}; nothing was written")


def run_once(content: bytes) -> None:
    """Tries a file."""
    runner = Interpreter(model_content=content).get_signature_runner(SIGNATURE)
    try_out(lambda inputs: runner(**inputs), runner.get_input_details())


def try_out(call: Callable[[dict], dict], details: Mapping[str, dict]) -> None:
    """Shows a model a gray picture: what goes wrong shows here and not on a device.

    Args:
        call: named inputs → named outputs.
        details: `shape` and `dtype` of each input.
    """
    inputs = {}
    for name, detail in details.items():
        inputs[name] = np.full(detail["shape"], 127 if name == "image" else 0, detail["dtype"])
    if "size" in inputs:
        inputs["size"][...] = inputs["image"].shape[1:3]
    unsound = [name for name, value in call(inputs).items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if unsound:
        raise UserError(
            f"the converted model outputs NaN or infinity ({', '.join(unsound)}), so nothing was written: try another "
            "--checkpoint"
        )


def _save(graph, folder):
    """A SavedModel of a graph and its weights alone."""
    function = tf.function(graph.call, autograph=False, input_signature=graph.inputs).get_concrete_function()
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module({"call": function}), folder, signatures={SIGNATURE: function}, options=options)


def _reason(text):
    refused = sorted(set(_REFUSED.findall(text)))
    if not refused:
        line = next((line for line in text.splitlines() if "error:" in line), text)
        return f"the model could not be converted: {line[:300]}"
    layers = "; ".join(f"{operation} in {layer}" for operation, layer in refused[:5])
    return f"TensorFlow Lite has no builtin operation for {layers}; nothing was written"
