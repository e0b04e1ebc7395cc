"""What runs a model: TensorFlow a SavedModel, and LiteRT, in a process without TensorFlow, a TFLite file."""

import functools
import gc
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfrecog.cli.errors import UserError

from ..artifact import metadata
from . import responses

LITE = ".tflite"
_BEST = 5  # classes of a picture that a classifier names, as in a SavedModel
Outputs = dict[str, tuple[np.dtype, list[int | None]]]  # types and shapes by name


class Engine(Protocol):
    """A loaded model."""

    outputs: Outputs

    def see(self, images: np.ndarray) -> dict[str, Any]:
        """Outputs for images uint8 [B, H, W, 3], by name a sequence of B."""

    def results(self, outputs: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
        """What is answered of a picture of a size (`responses.of_picture`), of the outputs for it."""


def described(path: Path) -> dict[str, Any]:
    """The metadata of a model; UserError or OSError if it has none."""
    if path.suffix != LITE:
        return metadata.load(path)
    from ..litert.reader import LiteModel

    return LiteModel.read_metadata(path)


def load(path: Path) -> Engine:
    """A model that has seen pictures as its run had them; UserError if it cannot be served."""
    return _Lite(path) if path.suffix == LITE else _Saved(path)


def platform(path: Path) -> tuple[str, str]:
    """Triton's names for the kind of a model, and for what runs it."""
    return ("tflite", "tflite") if path.suffix == LITE else ("tensorflow_savedmodel", "tensorflow")


class _Saved:
    """A SavedModel."""

    def __init__(self, path: Path):
        _import_tensorflow()
        from ..served_graph import reader, signatures, warm_up

        self._model = reader.SavedReader(path, [signatures.PIXELS])
        _check_pictures(path, self._model.reads_proposals)
        self.see = self._model.see
        specs = self._model.outputs.items()
        self.outputs: Outputs = {
            name: (np.dtype(spec.dtype.as_numpy_dtype), spec.shape.as_list()) for name, spec in specs
        }
        for height, width in warm_up.sizes(path):
            for count in (1, 2):
                self.see(np.zeros([count, height, width, 3], np.uint8))

    def results(self, outputs: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
        return responses.of_picture(outputs, size, self._model.metadata)


class _Lite:
    """A TFLite file, which sees one picture at a time, on all cores."""

    def __init__(self, path: Path):
        from ..litert.reader import LiteModel

        self._model = LiteModel(path)
        _check_pictures(path, "proposals" in self._model.tensors[0])
        self._names = metadata.names(self._model.metadata)
        self.outputs = self._outputs()
        self.see(np.zeros([1, *self._model.size, 3], np.uint8))

    def _outputs(self) -> Outputs:
        """As those of a SavedModel."""
        found: Outputs = {
            name: (np.dtype(one["dtype"]), [None, *map(int, one["shape"][1:])])
            for name, one in self._model.tensors[1].items()
        }
        if "scores" in found:
            best = [None, min(_BEST, len(self._names))]
            found |= {"classes": (np.dtype(object), best), "class_scores": (np.dtype(np.float32), best)}
        if self._model.metadata["task"] == "segmentation":
            found = {"labels": (np.dtype(np.uint8), [None, None, None])}
        if "detection_classes" in found:
            found["detection_class_names"] = (np.dtype(object), found["detection_classes"][1])
            found |= {name: (np.dtype(np.int32), found[name][1]) for name in ("detection_classes", "num_detections")}
        return found

    def see(self, images: np.ndarray) -> dict[str, Any]:
        return {"predicted": [self._model.predict(image) for image in images]}

    def results(self, outputs: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
        predicted = outputs["predicted"]
        if "boxes" in predicted:
            names = np.array([*(self._names[label - 1].encode() for label in predicted["labels"]), None], object)[:-1]
            return responses.of_detections(predicted, size, names)
        result: dict[str, Any] = {"image_size": np.array(size, np.int32)} | predicted
        if "scores" in predicted:
            scores = predicted["scores"]
            order = np.argsort(-scores, kind="stable")[:_BEST]
            names = np.array([self._names[i].encode() for i in order], object)
            result |= {"classes": names, "class_scores": scores[order]}
        return result


def _check_pictures(path: Path, reads_proposals: bool) -> None:
    """UserError if a model reads more than pictures."""
    if reads_proposals:
        raise UserError(
            f"{path} reads proposals, and a server has only pictures: a detector on the proposals of its records "
            "cannot be served"
        )


@functools.cache
def _import_tensorflow() -> None:
    """Imports it, and takes its million objects out of collections, in which nothing else runs.

    Not those of models, which go again.
    """
    from ..served_graph import reader  # noqa: F401

    gc.freeze()
