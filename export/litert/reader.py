"""A TFLite file in use: ai-edge-litert, NumPy and Pillow, without TensorFlow; that is what runs on a device."""

import json
import zipfile
from pathlib import Path

import numpy as np

from tfrecog import config
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.proposals import methods
from tfrecog.runtime import cores, quiet_tensorflow

from ..artifact import loading
from . import preprocess

SIGNATURE, FILE = "serving_default", "tfrecog.json"
# Our names of what a detector says.
DETECTIONS = {
    "detection_boxes": "boxes",
    "detection_classes": "labels",
    "detection_scores": "scores",
    "detection_masks": "masks",
    "detection_keypoints": "keypoints",
}


class LiteModel:
    """A model of this library in a TFLite file."""

    def __init__(self, path: str | Path, threads: int = 0):
        """Loads a file to run on so many threads (0: as many as there are cores).

        OSError or ValueError say what is wrong with it.
        """
        self.path = Path(path)
        self.metadata = read_metadata(path)
        self.threads = threads or cores.usable()
        self._interpreter = _interpreter(self.path, self.threads)  # The runner does not keep it alive.
        try:
            self._runner = self._interpreter.get_signature_runner(SIGNATURE)
        except ValueError as error:
            raise UserError(f"{path} has no signature {SIGNATURE}; export it again: {_HOW}") from error
        self._inputs = self._runner.get_input_details()
        self._outputs = self._runner.get_output_details()
        experiment = experiment_of(self.metadata)
        shift = experiment.detector.keypoint.pixel_index and experiment.detector.keypoints
        self.keypoint_shift = 0.5 if shift else 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        height, width = self.metadata["tflite"]["input"]["size"]
        return int(height), int(width)

    def place(self, picture: np.ndarray) -> preprocess.Placed:
        """A photo uint8 [H, W, 3] as the model sees it."""
        return preprocess.place(picture, self.metadata["tflite"]["input"], self.metadata["resize"])

    def inputs(self, placed: preprocess.Placed, boxes: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The tensors of a placed photo, by name; `boxes` [P, 4] are its proposals, in pixels of the photo."""
        given = {"image": placed.image[None]}
        if "size" in self._inputs:
            given["size"] = np.asarray(placed.size, np.int32).reshape(self._inputs["size"]["shape"])
        if "proposals" in self._inputs:
            if boxes is None:
                raise UserError(f"{self.path} needs proposals with each image, and none were given")
            slots = np.zeros(self._inputs["proposals"]["shape"], np.float32)
            room = slots.reshape(-1, 4)
            moved = (boxes * np.tile(placed.scale, 2))[: len(room)]
            room[: len(moved)] = moved
            given["proposals"] = slots
        return given

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model says of an image, by our names, without batch and empty slots; in pixels of the canvas."""
        try:
            outputs = self._runner(**inputs)
        except (RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"{self.path} does not run as its {FILE} says ({reason}); export it again: {_HOW}"
            ) from error
        outputs = {name: _real(value, self._outputs[name])[0] for name, value in outputs.items()}
        if self.metadata["task"] == "detection":
            count = int(outputs["num_detections"])
            return {own: outputs[name][:count] for name, own in DETECTIONS.items() if name in outputs}
        return outputs

    def in_photo(self, outputs: dict[str, np.ndarray], placed: preprocess.Placed) -> dict[str, np.ndarray]:
        """What `run` gave, in pixels of the photo."""
        if self.metadata["task"] == "detection":
            return preprocess.detections(outputs, placed, self.keypoint_shift)
        if self.metadata["task"] == "segmentation":
            return {"labels": preprocess.label_map(outputs["labels"], placed)}
        return {"scores": outputs["scores"]}

    def propose(self, picture: np.ndarray) -> np.ndarray | None:
        """Proposals [P, 4] of a photo, made as those of the run's records were; None where the model reads none."""
        if "proposals" not in self._inputs:
            return None
        return methods.of_words(self.metadata["tflite"].get("proposals", ""))(picture)

    def predict(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """What the model sees in a photo uint8 [H, W, 3], in its pixels.

        Of a detector boxes [n, 4], labels [n] and scores [n], best first, and masks [n, 2 S, 2 S], each in its box, and
        keypoints [n, J, 3] (y, x, score) if it has them; of a classifier scores [K]; of a segmenter labels [H, W].
        """
        placed = self.place(picture)
        return self.in_photo(self.run(self.inputs(placed, self.propose(picture))), placed)


_HOW = "python -m export.tflite --flagfile=RUN/experiment.flags --out=model.tflite"


def read_metadata(path: str | Path) -> dict:
    """What a TFLite file of this library says of itself; OSError or ValueError say what is wrong."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a TFLite file, as in --model=model.tflite")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. Make one: {_HOW}")
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            raise UserError(f"{path} is not a TFLite file. Make one: {_HOW}")
    try:
        with zipfile.ZipFile(path) as files:
            metadata = json.loads(files.read(FILE))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is a TFLite file without {FILE}: it was not exported by this library, is truncated, or has lost "
            f"its metadata. Copy it again, or make one: {_HOW}"
        ) from error
    metadata = loading.checked(metadata, f"{path}: its {FILE}")
    if "tflite" not in metadata:
        raise UserError(f"{path}: its {FILE} does not describe its inputs. Export it again: {_HOW}")
    return metadata


def experiment_of(metadata: dict) -> config.Experiment:
    """The experiment that an artefact was made from."""
    try:
        return flags.change(config.Experiment(), metadata["flags"].splitlines())
    except flags.Error as error:
        raise UserError(
            f"the artefact was made by another version of this library: {error}. Export it again"
        ) from error


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
        text = str(error)
        if "custom op" in text or "Select TensorFlow op" in text:
            raise UserError(
                f"{path} has an operation that is no builtin of TensorFlow Lite ({text.splitlines()[0]}), so stock "
                f"interpreters cannot run it. Make one with builtins only: {_HOW}"
            ) from error
        raise UserError(
            f"{path} cannot be loaded: {text.splitlines()[0]}. If it is damaged, make it again: {_HOW}"
        ) from error
    return interpreter


def _real(value, detail):
    """The numbers that a quantized tensor stands for; others as they are."""
    scale, zero = detail["quantization"]
    return (value.astype(np.float32) - zero) * np.float32(scale) if scale else value
