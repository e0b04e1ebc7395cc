"""What ends a command, and its exit status.

Status 75 says that nothing is wrong with the command: the same one continues, as after a download that was cut off. A
signal n ends a command with 128 + n.
"""

import enum
import errno

from tfrecog.cli import spelling


class Status(enum.IntEnum):
    """Exit statuses of every command."""

    DONE = 0  # also help
    FAILED = 1  # or a fault was found, by check and verify
    USER_ERROR = 2
    NOT_FINITE = 3  # the loss
    MOSTLY_LOST = 4  # more than half of the objects could not be read, and nothing was written
    CONTINUES = 75


class UserError(ValueError):
    """What the user can correct: a sentence that names the flag, file or record, and the remedy.

    A subclass has another status, or is told apart by a caller.
    """

    status = Status.USER_ERROR

    def __str__(self):
        return spelling.here(super().__str__())


# The optional dependencies: the module that is missing → the extra that installs it.
_EXTRAS = {
    "ai_edge_litert": "tflite",
    "ai_edge_quantizer": "tflite",
    "apache_beam": "beam",
    "cv2": "proposals",
    "grpc": "serving",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "orjson": "serving",
    "prometheus_client": "serving",
    "scipy": "sbd",
    "sklearn": "svm",
    "tf2onnx": "onnx",
    "uvicorn": "serving",
}
# Of what comes with the library, the modules that a TFLite or ONNX file does without.
_DEPENDENCIES = (
    "faster_coco_eval", "google_crc32c", "h5py", "keras", "matplotlib", "pycocotools", "safetensors", "tensorboard",
    "tensorflow", "tensorflow_datasets", "yaml",
)  # fmt: skip
_WRONG_PATH = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
)


def is_dependency(error: ModuleNotFoundError) -> bool:
    """Whether what is missing is a dependency of the library, which was installed without."""
    return (error.name or "").partition(".")[0] in _DEPENDENCIES


def explain(error: Exception) -> tuple[str, int] | None:
    """The line and the exit status for an error that is not a bug, or None."""
    if isinstance(error, UserError):
        return str(error), error.status
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra:
            return f"{error.name} is missing: pip install 'tfrecog[{extra}]'", Status.USER_ERROR
        if is_dependency(error):
            line = f"{error.name} is missing, which this needs: install tfrecog with its dependencies"
            return line, Status.USER_ERROR
    if isinstance(error, OSError):
        wrong_path = error.errno in _WRONG_PATH or isinstance(error, FileNotFoundError)  # one of ours has no number
        status = Status.USER_ERROR if wrong_path else Status.FAILED
        named = error.filename is not None and error.strerror and type(error).__str__ is OSError.__str__
        return f"{error.filename}: {error.strerror}" if named else str(error), status
    return None
