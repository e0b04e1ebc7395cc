"""A TFLite file in use: ai-edge-litert, NumPy and Pillow, without TensorFlow; that is what runs on a device."""

import threading
import zipfile
import zlib

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.runtime import quiet_tensorflow

from ..artifact import metadata
from ..artifact.canvas_model import MOST_BYTES, CanvasModel, check_seal, first_line, how

SIGNATURE = "serving_default"
_HOW = how("tflite")


class LiteModel(CanvasModel):
    """A model of this library in a TFLite file."""

    kind = "tflite"

    @classmethod
    def _metadata_text(cls, path):
        with path.open("rb") as file:
            if file.read(8)[4:] != b"TFL3":
                raise UserError(f"{path} is not a TFLite file. Make one: {_HOW}")
        check_seal(path, cls.kind)
        try:
            with zipfile.ZipFile(path) as files, files.open(metadata.FILE) as file:
                return file.read(MOST_BYTES + 1)
        except (
            zipfile.BadZipFile,
            KeyError,
            NotImplementedError,
            RuntimeError,
            OSError,
            EOFError,
            zlib.error,
        ) as error:
            raise UserError(
                f"{path} is a TFLite file without {metadata.FILE}: it was not exported by this library, is truncated, "
                f"or has lost its metadata. Copy it again, or make one: {_HOW}"
            ) from error

    def _open(self):
        self._alone = threading.Lock()  # An interpreter has one set of tensors.
        self._interpreter = _interpreter(self.path, self.threads)  # The runner does not keep it alive.
        try:
            self._runner = self._interpreter.get_signature_runner(SIGNATURE)
        except ValueError as error:
            raise UserError(f"{self.path} has no signature {SIGNATURE}; export it again: {_HOW}") from error
        return self._runner.get_input_details(), self._runner.get_output_details()

    @property
    def tensors(self):
        inputs, outputs = super().tensors
        real = {name: _real(np.zeros(0, one["dtype"]), one).dtype for name, one in outputs.items()}
        return inputs, {name: {**one, "dtype": real[name]} for name, one in outputs.items()}

    def _call(self, inputs):
        try:
            with self._alone:
                outputs = self._runner(**inputs)
        except (RuntimeError, ValueError) as error:
            raise self._contradicted(error) from error
        return {name: _real(value, self._outputs[name]) for name, value in outputs.items()}


def _interpreter(path, threads):
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is missing, which runs TFLite files: pip install ai-edge-litert (all of this library's "
            "commands for TFLite files: 'tfrecog[tflite]')"
        ) from error
    try:
        with quiet_tensorflow.interpreter():
            interpreter = Interpreter(model_path=str(path), num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        if "custom op" in str(error) or "Select TensorFlow op" in str(error):
            raise UserError(
                f"{path} has an operation that is not a builtin of TensorFlow Lite ({first_line(error)}), so stock "
                f"interpreters cannot run it. Make one with builtins only: {_HOW}"
            ) from error
        raise UserError(
            f"{path} cannot be loaded: {first_line(error)}. If it is damaged, make it again: {_HOW}"
        ) from error
    return interpreter


def _real(value, detail):
    """The numbers that a quantized tensor stands for; others as they are."""
    scale, zero = detail["quantization"]
    return (value.astype(np.float32) - zero) * np.float32(scale) if scale else value
