"""A TFLite file in use: ai-edge-litert, NumPy and Pillow, without TensorFlow; that is what runs on a device."""

import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np

from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError
from tfrecog.ops import rle
from tfrecog.proposals import methods
from tfrecog.runtime import cores, quiet_tensorflow

from ..artifact import metadata
from . import preprocess

SIGNATURE = "serving_default"
_LABELS = {"detection": "detection_classes", "segmentation": "labels"}
_MOST_BYTES = 2**24  # of the metadata; 10,000 classes take 1 MB
_HOW = "python -m export.tflite --flagfile=RUN/experiment.flags --out=model.tflite"


class LiteModel:
    """A model of this library in a TFLite file."""

    def __init__(self, path: str | Path, threads: int = 0):
        """Loads a file to run on so many threads (0: as many as there are cores); UserError or OSError if it cannot."""
        self.path = Path(path)
        self.metadata = read_metadata(path)
        self.threads = threads or cores.usable()
        self._alone = threading.Lock()  # An interpreter has one set of tensors.
        self._interpreter = _interpreter(self.path, self.threads)  # The runner does not keep it alive.
        try:
            self._runner = self._interpreter.get_signature_runner(SIGNATURE)
        except ValueError as error:
            raise UserError(f"{path} has no signature {SIGNATURE}; export it again: {_HOW}") from error
        self._inputs, self._outputs = self._runner.get_input_details(), self._runner.get_output_details()
        self._check()
        detector = metadata.experiment_of(self.metadata).detector
        self.keypoint_shift = 0.5 if detector.keypoints and detector.keypoint.pixel_index else 0.0

    def _check(self):
        """UserError if the file's tensors are not those of its metadata."""
        metadata.check_outputs(self.metadata, self._outputs, self.path)
        image = self._inputs.get("image", {"shape": (), "dtype": np.dtype(bool)})
        stated = ([1, *self.size, 3], self.metadata["tflite"]["input"]["dtype"])
        if (found := (np.asarray(image["shape"]).tolist(), np.dtype(image["dtype"]).name)) != stated:
            raise UserError(
                f"{self.path}: its input is {found[1]} {found[0]}, and its {metadata.FILE} says {stated[1]} "
                f"{stated[0]}; export it again: {_HOW}"
            )

    def _check_labels(self, labels):
        """Contradiction if labels have more classes than the metadata."""
        if (most := int(np.max(labels, initial=0))) > len(self.metadata["classes"]):
            raise metadata.Contradiction(
                f"{self.path}: it found the class {most}, and its {metadata.FILE} has "
                f"{len(self.metadata['classes'])}; export it again: {_HOW}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        height, width = self.metadata["tflite"]["input"]["size"]
        return int(height), int(width)

    def place(self, picture: np.ndarray) -> preprocess.Placed:
        """A photo uint8 [H, W, 3] as the model sees it."""
        return preprocess.place(picture, self.metadata["tflite"]["input"], self.metadata["resize"])

    def propose(self, picture: np.ndarray) -> np.ndarray | None:
        """Proposals [P, 4] of a photo, made as those of the run's records were; None where the model reads none."""
        if "proposals" not in self._inputs:
            return None
        return methods.of_words(self.metadata.get("proposals") or "")(picture)

    def inputs(self, placed: preprocess.Placed, proposals: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The tensors of a placed photo, by name; `proposals` [P, 4] in its pixels are those of `propose`."""
        given = {"image": placed.image[None]}
        if "size" in self._inputs:
            given["size"] = np.asarray(placed.size, np.int32).reshape(self._inputs["size"]["shape"])
        if "proposals" in self._inputs:
            slots = preprocess.proposal_slots(proposals, placed, np.prod(self._inputs["proposals"]["shape"]) // 4)
            given["proposals"] = slots.reshape(self._inputs["proposals"]["shape"])
        return given

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for an image, by our names, without batch and empty slots; in pixels of the canvas."""
        try:
            with self._alone:
                outputs = self._runner(**inputs)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{self.path} does not run as its {metadata.FILE} says ({_first_line(error)}); export it again: {_HOW}"
            ) from error
        outputs = {name: _real(value, self._outputs[name])[0] for name, value in outputs.items()}
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
            found["masks"] = rle.paste(found["masks"], found["boxes"], *placed.photo, threshold, rule)
        return found


def read_metadata(path: str | Path) -> dict:
    """The metadata of a TFLite file of this library; UserError or OSError if it has none."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a TFLite file, as in --model=model.tflite")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Make one: {_HOW}")
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            raise UserError(f"{path} is not a TFLite file. Make one: {_HOW}")
    if checksums.intact(path) is False:
        raise UserError(
            f"{path} is damaged, or was changed: its SHA-256 is not the one that it ends with. Copy it again, or make "
            f"one: {_HOW}"
        )
    try:
        with zipfile.ZipFile(path) as files:
            if files.getinfo(metadata.FILE).file_size > _MOST_BYTES:
                raise UserError(f"{path}: its {metadata.FILE} is too large to be one. Make one: {_HOW}")
            text = files.read(metadata.FILE)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} is a TFLite file without {metadata.FILE}: it was not exported by this library, is truncated, or "
            f"has lost its metadata. Copy it again, or make one: {_HOW}"
        ) from error
    read = metadata.parse(text, f"{path}: its {metadata.FILE}")
    if "tflite" not in read:
        raise UserError(f"{path}: its {metadata.FILE} does not describe its inputs. Export it again: {_HOW}")
    return read


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
                f"{path} has an operation that is not a builtin of TensorFlow Lite ({_first_line(error)}), so stock "
                f"interpreters cannot run it. Make one with builtins only: {_HOW}"
            ) from error
        raise UserError(
            f"{path} cannot be loaded: {_first_line(error)}. If it is damaged, make it again: {_HOW}"
        ) from error
    return interpreter


def _first_line(error):
    return (str(error).splitlines() or [""])[0]


def _real(value, detail):
    """The numbers that a quantized tensor stands for; others as they are."""
    scale, zero = detail["quantization"]
    return (value.astype(np.float32) - zero) * np.float32(scale) if scale else value
