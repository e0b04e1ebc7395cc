"""An ONNX file in use: onnxruntime, NumPy and Pillow, without TensorFlow and without the package `onnx`."""

from typing import Any

import numpy as np

from tfrecog.cli.errors import UserError

from ..artifact import metadata
from ..artifact.canvas_model import CanvasModel, check_seal, first_line, how
from ..litert.reader import LiteModel

_HOW = how("onnx")


class OnnxModel(CanvasModel):
    """A model of this library in an ONNX file, in ONNX Runtime on the CPU."""

    kind = "onnx"

    @classmethod
    def _metadata_text(cls, path):
        from . import contents  # which needs protobuf; ONNX Runtime brings it, and a TFLite file does without

        if path.stat().st_size > contents.MOST_BYTES:
            raise UserError(f"{path} is larger than an ONNX file can be. Make one: {_HOW}")
        check_seal(path, cls.kind)
        entries = contents.metadata_of(path.read_bytes(), path)
        if metadata.FILE not in entries:
            raise UserError(
                f"{path} is an ONNX file without {metadata.FILE}: it was not exported by this library, is truncated, "
                f"or has lost its metadata. Copy it again, or make one: {_HOW}"
            )
        return entries[metadata.FILE]

    def _open(self):
        self._session = session(str(self.path), str(self.path), self.threads)
        return inputs_of(self._session), {one.name: one for one in self._session.get_outputs()}

    def _call(self, inputs):
        try:
            return run(self._session, inputs)
        except Exception as error:  # ONNX Runtime's own have no class in common.
            raise self._contradicted(error) from error


# By the end of a file's name what reads it.
READERS: dict[str, type[CanvasModel]] = {".tflite": LiteModel, ".onnx": OnnxModel}


def session(model: str | bytes, name: str, threads: int = 0) -> Any:
    """A session of ONNX Runtime on the CPU for a file, by its path or its bytes; UserError if it cannot be loaded."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is missing, which runs ONNX files: pip install onnxruntime (to export them, too: "
            "'tfrecog[onnx]')"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4  # Its errors come as exceptions, too.
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # They have no class in common.
        raise UserError(
            f"{name} cannot be loaded by ONNX Runtime ({first_line(error)}); export it again: {_HOW}"
        ) from error


def inputs_of(session: Any) -> dict[str, dict]:
    """Shape and type of the inputs of a session, by name."""
    return {one.name: {"shape": one.shape, "dtype": _dtype(one.type)} for one in session.get_inputs()}


def run(session: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of a session by name."""
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _dtype(name: str) -> np.dtype:
    """The type of tensor(uint8) and the like; that of Python's objects for what NumPy has not."""
    name = name.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype({"float": "float32", "double": "float64", "float16": "float16"}.get(name, name))
    except (TypeError, ValueError):  # of a map(int64,tensor(float)
        return np.dtype(object)
