"""The metadata of an exported model: its classes, the run that it was made from, and what its outputs mean.

Nothing here imports TensorFlow: devices have none.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import tfrecog
from tfrecog.cli import checksums, files, flags, json_values, validate
from tfrecog.cli.errors import Status, UserError
from tfrecog.cli.facts import NonNegative, Range
from tfrecog.config import Experiment, plain
from tfrecog.data import depth
from tfrecog.data.reading import Reading

FORMAT = 1
FILE, LABELS, FLAGS = "tfrecog.json", "labels.txt", "experiment.flags"
EXTRA = "assets.extra"  # of a SavedModel: TensorFlow Serving passes it over
# What every model of a task returns; detectors may have more.
OUTPUTS = {
    "classification": {"scores"},
    "segmentation": {"labels"},
    "detection": {"detection_boxes", "detection_classes", "detection_scores", "num_detections"},
}
# Names of a detector's outputs in exported models → ours.
DETECTIONS = {
    "detection_boxes": "boxes",
    "detection_classes": "labels",
    "detection_scores": "scores",
    "detection_masks": "masks",
    "detection_keypoints": "keypoints",
}
_Index = Annotated[int, NonNegative()]
_Side = Annotated[int, Range(1, 2**14, "pixels")]


class Class(TypedDict):
    """A class."""

    id: int
    name: str
    colour: NotRequired[Annotated[tuple[int, int, int], Range(0, 255)] | None]


class Input(TypedDict):
    """How a photo becomes the input of a TFLite or ONNX file; see `preprocess.place`."""

    dtype: Literal["uint8", "float32"]
    size: tuple[_Side, _Side]
    fit: Literal["pad", "stretch", "middle"]
    short_side: NotRequired[_Side | None]


# What a TFLite file alone has; `for` is the program that it was made for, which reads other outputs.
Lite = TypedDict(
    "Lite",
    {
        "quantize": Literal["none", "float16", "dynamic", "int8", "full"],
        "input": Input,
        "for": NotRequired[Literal["mediapipe"]],
    },
)


class Onnx(TypedDict):
    """What an ONNX file alone has."""

    input: Input


class Metadata(TypedDict):
    """The metadata of an exported model; see `from_run`."""

    format: int
    task: Literal["classification", "segmentation", "detection"]
    name: str
    classes: list[Class]
    keypoints: list[str]
    skeleton: NotRequired[list[tuple[_Index, _Index]]]
    flip_pairs: NotRequired[list[tuple[_Index, _Index]]]
    pixel_ranges: NotRequired[dict[str, depth.Range]]
    orientation: NotRequired[Literal["upright", "file"]]
    proposals: NotRequired[str | None]
    flags: str
    checkpoint: str
    step: int
    metrics: NotRequired[dict[str, Any] | None]
    min_score: float
    mask_threshold: float
    paste: Literal["torchvision", "detectron2"]
    resize: Literal["bilinear", "pillow"]
    precision: Literal["float32", "bfloat16", "float16"]
    masks: NotRequired[Literal["squares", "pasted", "runs"] | None]
    device: NotRequired[str]
    tflite: NotRequired[Lite]
    onnx: NotRequired[Onnx]


class Contradiction(UserError):
    """Outputs of an exported model do not fit each other, or its metadata."""

    status = Status.FAILED


def from_run(task, experiment: Experiment, checkpoint: Path, step: int) -> dict:
    """The metadata, for JSON, of a task's model with the weights of a checkpoint.

    `classes` are in the order of the labels: label l is classes[l - 1]. `metrics` are what an evaluation of this very
    checkpoint noted in the run's metrics.json, None without one. An exporter adds what its kind of file alone has.
    """
    info, output = task.info, experiment.detector.output
    return {
        "format": FORMAT,
        "task": experiment.task,
        "name": task.name,
        "version": tfrecog.version(),
        "classes": [
            {"id": one.id, "name": one.name, "colour": list(one.colour) if one.colour else None}
            for one in info.categories
        ],
        "keypoints": list(info.keypoints) if experiment.detector.keypoints else [],
        "skeleton": [list(pair) for pair in info.skeleton],
        "flip_pairs": [list(pair) for pair in info.flip_pairs],
        "pixel_ranges": info.pixel_ranges,
        "orientation": info.orientation,
        "proposals": info.proposals if experiment.detector.proposals == "record" else None,
        "flags": validate.dumps(plain(experiment)),
        "checkpoint": checkpoint.name,
        "step": step,
        "metrics": metrics(experiment.workdir, step),
        "min_score": output.min_score,
        "mask_threshold": output.mask_threshold,
        "paste": output.paste,
        "resize": experiment.data.resize,
        "precision": experiment.train.precision,
    }


def metrics(workdir: str, step: int) -> dict[str, float] | None:
    """Numbers of the run's metrics.json if they are of the checkpoint of this step."""
    from tfrecog.evaluations.loop import METRICS

    try:
        report = json_values.load(Path(workdir) / METRICS, dict[str, Any], "evaluate the run again")
    except (OSError, UserError):
        return None
    return report.get("metrics") if report.get("step") == step else None


def reading(metadata: dict) -> Reading:
    """How files of pictures are read for the model; models of earlier versions may say nothing of it."""
    ranges = {kind: (low, high) for kind, (low, high) in metadata.get("pixel_ranges", {}).items()}
    return Reading(ranges, upright=metadata.get("orientation") != "file")


def names(metadata: dict) -> list[str]:
    """Class names [K]; that of label l is names[l - 1]."""
    return [one["name"] for one in metadata["classes"]]


def labels_text(metadata: dict) -> str:
    """labels.txt: the name of a class a line, that of label 1 first."""
    return "".join(f"{name}\n" for name in names(metadata))


def experiment_of(metadata: dict) -> Experiment:
    """The experiment that a model was exported with."""
    try:
        return flags.change(Experiment(), metadata["flags"].splitlines())
    except flags.Error as error:
        raise UserError(
            f"the model was exported by another version of this library: {error}. Export it again"
        ) from error


def texts(metadata: dict) -> dict[str, str]:
    """The files of the metadata, name → text."""
    return {FILE: json.dumps(metadata, indent=1) + "\n", LABELS: labels_text(metadata), FLAGS: metadata["flags"]}


def write(version: Path, metadata: dict) -> None:
    """Adds tfrecog.json, labels.txt, experiment.flags and the checksums of all files to a SavedModel's folder."""
    for name, text in texts(metadata).items():
        with files.write(version / EXTRA / name) as file:
            file.write(text)
    checksums.write(version, EXTRA)


def load(version: str | Path) -> dict:
    """The metadata of a SavedModel's folder; UserError or OSError if they cannot be read."""
    path = Path(version) / EXTRA / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: a SavedModel of this library has it. Export one: python -m export.saved_model "
            "--flagfile=RUN/experiment.flags --out=DIR"
        )
    return parse(path.read_bytes(), str(path))


def parse(text: bytes, where: str) -> dict:
    """The metadata in a text that was read from `where`; UserError if they are not complete, or not of this version."""
    try:
        metadata = json_values.parse(text, dict[str, Any])
        stated = metadata.get("format")
        if stated != FORMAT:
            raise UserError(f"{where} has format {stated}, and this version reads {FORMAT}; export the model again")
        json_values.typed(Metadata, metadata)
    except json_values.NotValid as error:
        raise UserError(f"{where} cannot be used: {error}; export the model again") from error
    joints = len(metadata["keypoints"])
    pairs = [*metadata.get("skeleton", ()), *metadata.get("flip_pairs", ())]
    if joints and max(map(max, pairs), default=0) >= joints:
        raise UserError(f"{where} cannot be used: skeleton or flip_pairs name more than the {joints} keypoints")
    if problem := depth.problem(reading(metadata).ranges):
        raise UserError(f"{where} cannot be used: {problem}; export the model again")
    if any(line.lstrip("- ").startswith("flagfile") for line in metadata["flags"].splitlines()):
        raise UserError(f"{where} cannot be used: its flags name a flagfile; export the model again")
    return metadata


def reader_of(metadata: dict) -> str:
    """The program that a file was made for, "mediapipe"; empty if for any."""
    return metadata.get("tflite", {}).get("for", "")


def check_outputs(metadata: dict, outputs: Iterable[str], where: str | Path) -> None:
    """UserError if a model lacks outputs of its task."""
    needed = OUTPUTS[metadata["task"]]
    if reader_of(metadata) and metadata["task"] == "segmentation":
        needed = {"probabilities"}
    if missing := needed - {*outputs}:
        raise UserError(
            f"{where} is a model for {metadata['task']}, says its {FILE}, and lacks the outputs "
            f"{', '.join(sorted(missing))}; export it again"
        )
