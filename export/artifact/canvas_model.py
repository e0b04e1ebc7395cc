"""A model in a file that sees each photo on a canvas of one size, without TensorFlow; a subclass for each runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError
from tfrecog.ops import pasting
from tfrecog.proposals import methods
from tfrecog.runtime import cores

from . import mediapipe, metadata, preprocess

NAMES = {"tflite": "a TFLite", "onnx": "an ONNX"}
_LABELS = {"detection": "detection_classes", "segmentation": "labels"}
# Sides of each output without the batch: a number, or a letter for any length, which is the same in all outputs.
_SIDES: dict[str, tuple[int | str, ...]] = {
    "detection_boxes": ("D", 4),
    "detection_classes": ("D",),
    "detection_scores": ("D",),
    "detection_masks": ("D", "M", "M"),
    "detection_keypoints": ("D", "J", 3),
    "num_detections": (),
    "scores": ("K",),
    "labels": ("H", "W"),
    "probabilities": ("H", "W", "K"),
}
MOST_BYTES = 2**24  # of the metadata; 10,000 classes take 1 MB


class CanvasModel:
    """A model of this library in a TFLite or an ONNX file; a subclass opens the file.

    Attributes:
        kind: tflite or onnx.
        metadata: see `metadata.Metadata`.
        threads: of the runtime.
    """

    kind: str

    def __init__(self, path: str | Path, threads: int = 0):
        """Loads a file to run on so many threads (0: as many as there are cores); UserError or OSError if it cannot."""
        self.path, self.threads = Path(path), threads or cores.usable()
        self.metadata = self.read_metadata(self.path)
        self._inputs, self._outputs = self._open()
        experiment = metadata.experiment_of(self.metadata)
        self._check(experiment.data.max_proposals)
        detector = experiment.detector
        self.keypoint_shift = 0.5 if detector.keypoints and detector.keypoint.pixel_index else 0.0

    @classmethod
    def read_metadata(cls, path: str | Path) -> dict:
        """The metadata of a file of this library; UserError or OSError if it has none."""
        path = Path(path)
        if path.is_dir():
            raise UserError(f"{path} is a folder; name {NAMES[cls.kind]} file, as in --model=model.{cls.kind}")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file. Make one: {how(cls.kind)}")
        text = cls._metadata_text(path)
        if len(text) > MOST_BYTES:
            raise UserError(f"{path}: its {metadata.FILE} is too large to be one. Make one: {how(cls.kind)}")
        read = metadata.parse(text, f"{path}: its {metadata.FILE}")
        if cls.kind not in read:
            raise UserError(
                f"{path}: its {metadata.FILE} does not describe its inputs. Export it again: {how(cls.kind)}"
            )
        return read

    @classmethod
    def _metadata_text(cls, path: Path) -> bytes:
        """The text of the metadata in a file, or its first MOST_BYTES + 1 bytes.

        UserError if the file is damaged, is of another kind, or has none.
        """
        raise NotImplementedError

    def _open(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Opens the file in the runtime; its inputs and outputs by name, inputs with `shape` and `dtype`."""
        raise NotImplementedError

    def _call(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the runtime by name; UserError by `_contradicted` if it cannot."""
        raise NotImplementedError

    def _contradicted(self, error: Exception) -> UserError:
        line = first_line(error)
        return UserError(
            f"{self.path} does not run as its {metadata.FILE} says ({line}); export it again: {how(self.kind)}"
        )

    def _check(self, max_proposals):
        """UserError if the file's tensors are not those of its metadata."""
        metadata.check_outputs(self.metadata, self._outputs, self.path)
        stated = {
            "image": ([1, *self.size, 3], self.given["dtype"]),
            "size": ([2], "int32"),
            "proposals": ([max_proposals, 4], "float32"),
        }
        found: dict[str, tuple | None] = {"image": None}
        for name, one in self._inputs.items():  # A side may have a name instead of a number in ONNX.
            found[name] = (np.asarray(one["shape"], object).tolist(), np.dtype(one["dtype"]).name)
        for name, own in found.items():
            if own != stated.get(name):
                raise UserError(
                    f"{self.path}: its input {name} is {_shown(own)}, and its {metadata.FILE} says "
                    f"{_shown(stated.get(name))}; export it again: {how(self.kind)}"
                )

    def _check_sides(self, outputs):
        """UserError if outputs are no numbers, or have other sides than those of a model for one image."""
        sides: dict[str, int] = {}
        for name, value in outputs.items():
            expected = [1, *(_SIDES[name] if name in _SIDES else value.shape[1:])]
            wanted = [sides.setdefault(side, own) if isinstance(side, str) else side
                      for side, own in zip(expected, value.shape, strict=False)]  # fmt: skip
            if value.dtype.kind not in "fiu" or len(expected) != value.ndim or wanted != [*value.shape]:
                found = _shown(([*value.shape], value.dtype.name))
                raise self._contradicted(
                    ValueError(f"its output {name} is {found}, not [{', '.join(map(str, expected))}]")
                )

    def _as_ours(self, called):
        """Outputs for MediaPipe as those of other files."""
        try:
            return mediapipe.as_ours(called, self.size)
        except ValueError as error:
            raise self._contradicted(error) from error

    def _check_labels(self, labels):
        """Contradiction if labels have more classes than the metadata."""
        if (most := int(np.max(labels, initial=0))) > len(self.metadata["classes"]):
            raise metadata.Contradiction(
                f"{self.path}: it found the class {most}, and its {metadata.FILE} has "
                f"{len(self.metadata['classes'])}; export it again: {how(self.kind)}"
            )

    @property
    def tensors(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Inputs, and outputs as `run` has them, by name, with `shape` and `dtype`."""
        return self._inputs, self._outputs

    @property
    def given(self) -> metadata.Input:
        """How a photo becomes the input."""
        return self.metadata[self.kind]["input"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        height, width = self.given["size"]
        return int(height), int(width)

    def place(self, picture: np.ndarray) -> preprocess.Placed:
        """A photo uint8 [H, W, 3] as the model sees it."""
        return preprocess.place(picture, self.given, self.metadata["resize"])

    def propose(self, picture: np.ndarray) -> np.ndarray | None:
        """Proposals [P, 4] of a photo, made as those of the run's records were; None where the model reads none."""
        if "proposals" not in self._inputs:
            return None
        return methods.of_words(self.metadata.get("proposals") or "")(picture)

    def inputs(self, placed: preprocess.Placed, proposals: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The tensors of a placed photo, by name; `proposals` [P, 4] in its pixels are those of `propose`."""
        given = {"image": placed.image[None]}
        if "size" in self._inputs:
            given["size"] = np.asarray(placed.size, np.int32)
        if "proposals" in self._inputs:
            given["proposals"] = preprocess.proposal_slots(proposals, placed, self._inputs["proposals"]["shape"][0])
        return given

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for an image, by our names, without batch and empty slots; in pixels of the canvas."""
        called = self._call(inputs)
        self._check_sides(called)
        if metadata.reader_of(self.metadata):
            called = self._as_ours(called)
        outputs = {name: value[0] for name, value in called.items()}
        task = self.metadata["task"]
        self._check_labels(len(outputs["scores"]) if task == "classification" else outputs[_LABELS[task]])
        if task == "detection":
            count = int(outputs["num_detections"])
            return {own: outputs[name][:count] for name, own in metadata.DETECTIONS.items() if name in outputs}
        return outputs

    def predict(self, picture: np.ndarray) -> dict:
        """The outputs for a photo uint8 [H, W, 3], in its pixels.

        Of a detector boxes [n, 4], labels [n] and scores [n], best first, and, if it has them, masks, run lengths of
        each, and keypoints [n, J, 3] (y, x, score); of a classifier scores [K]; of a segmenter labels [H, W].
        """
        placed = self.place(picture)
        outputs = self.run(self.inputs(placed, self.propose(picture)))
        if self.metadata["task"] == "classification":
            return {"scores": outputs["scores"]}
        if self.metadata["task"] == "segmentation":
            return {"labels": preprocess.label_map(outputs["labels"], placed)}
        found = preprocess.detections(outputs, placed, self.keypoint_shift)
        if "masks" in found:
            threshold, rule = self.metadata["mask_threshold"], self.metadata["paste"]
            found["masks"] = pasting.paste(found["masks"], found["boxes"], *placed.photo, threshold, rule)
        return found


def how(kind: str) -> str:
    """The command that makes a file of a kind."""
    return f"python -m export.{kind} --flagfile=RUN/experiment.flags --out=model.{kind}"


def check_seal(path: Path, kind: str) -> None:
    """UserError if a file does not have the SHA-256 that it ends with."""
    if checksums.intact(path) is False:
        raise UserError(
            f"{path} is damaged, or was changed: its SHA-256 is not the one that it ends with. Copy it again, or make "
            f"one: {how(kind)}"
        )


def _shown(tensor: tuple[list, str] | None) -> str:
    """Type and shape of a tensor, as uint8 [1, 64, 64, 3]."""
    return "missing" if tensor is None else f"{tensor[1]} {tensor[0]}"


def first_line(error: Exception) -> str:
    """What an error of a runtime says first."""
    return (str(error).splitlines() or [""])[0]
