"""Models by the names of their files, or of published weights."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tfrecog
from tfrecog.api import commands, models
from tfrecog.api.settings import changed, named_as_arguments
from tfrecog.cli import files, flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.inference.flags import MIN_SCORE
from tfrecog.runtime import devices

_FLAGS = "experiment.flags"
_THRESHOLD = "detector.output.min_score"
_FILES = (".tflite", ".onnx")  # ends of the names of exported files, whose readers need no TensorFlow


@named_as_arguments()
def load(
    source: str | Path,
    min_score: float | None,
    checkpoint: str,
    settings: Mapping[str, Any] | None,
    threads: int,
    device: str,
) -> models.Model:
    """See `tfrecog.load`."""
    if not isinstance(source, str | Path):
        raise UserError(f"source={source!r}: give the name of a folder or file, or of published weights")
    if not isinstance(min_score, int | float | None):
        raise UserError(f"min_score={min_score!r}: give a number from 0 to 1")
    path = Path(source).expanduser()
    if path.name == _FLAGS and path.is_file():
        path = path.parent
    if path.suffix.lower() not in _FILES:
        devices.choose(device, "device")
    elif device not in ("", "cpu"):
        raise UserError(f"device={device}: a {path.suffix} file is run on the CPU")
    if path.is_dir() and (path / _FLAGS).is_file():
        return run(path, min_score, checkpoint, settings)
    if path.is_dir() or path.suffix.lower() in _FILES:
        if checkpoint != "latest" or settings:
            raise UserError(f"checkpoint and settings are of a run, and {source} is an exported file")
        return saved_model(path, min_score) if path.is_dir() else file(path, min_score, threads)
    if str(source) in _published():
        return run(published(str(source)), min_score, checkpoint, settings)
    near = difflib.get_close_matches(str(source), _published(), 3)
    raise UserError(
        f"{source} is no model: give the folder of a run (with {_FLAGS}), that of a SavedModel of export.saved_model, "
        "a .tflite file of export.tflite, an .onnx file of export.onnx, or the name of published weights"
        + (f", such as {' or '.join(near)}" if near else " (python -m tfrecog.import_weights --list)")
    )


def run(folder: Path, min_score: float | None, checkpoint: str, settings: Mapping[str, Any] | None) -> models.RunModel:
    """The model of the run in a folder, wherever that was moved to."""
    settings = settings or {}
    if "workdir" in settings or _THRESHOLD in settings:
        raise UserError("settings: the folder is the first argument of load, and the least score its min_score")
    experiment = flags.load(Experiment(), folder / _FLAGS)
    experiment = changed(experiment, {**settings, "workdir": str(folder.resolve())})
    least = MIN_SCORE if min_score is None else min_score
    changed(experiment, {_THRESHOLD: least} if experiment.task == "detection" else {})  # Whether it can be.
    return models.RunModel(experiment, checkpoint, least)


def saved_model(folder: Path, min_score: float | None) -> models.Model:
    """An exported SavedModel: the folder of its versions, or of one."""
    return of_reader(commands.module("export.served_graph.reader").SavedReader(folder), min_score)


def file(path: Path, min_score: float | None, threads: int) -> models.Model:
    """An exported TFLite or ONNX file."""
    return of_reader(commands.module("export.onnx_files.reader").READERS[path.suffix.lower()](path, threads), min_score)


def of_reader(reader, min_score: float | None) -> models.Model:
    """The model of an exported file that is open."""
    form, of_metadata = commands.module("export.artifact.results"), commands.module("export.artifact.metadata")
    experiment = flags.replace(of_metadata.experiment_of(reader.metadata), {"task": reader.metadata["task"]})
    output = experiment.detector.output
    lowest = max(MIN_SCORE, output.min_score) if min_score is None else min_score
    if experiment.task == "detection" and lowest < output.min_score:
        raise UserError(
            f"min_score={lowest:g}: {reader.path} has no detections with a score below {output.min_score:g}; export it "
            "with a lower --detector.output.min_score"
        )

    def see(picture):
        return form.of_picture(reader.predict(picture), picture.shape[:2], lowest)

    return models.Model(experiment, form.info_of(reader.metadata), see, lowest, str(reader.path))


def published(name: str) -> Path:
    """The folder of the run of published weights, made of their file when they are first asked for."""
    from tfrecog.weights import importer
    from tfrecog.weights.formats import download

    folder = download.folder() / "runs" / tfrecog.version() / name  # Another version may read other settings.
    with files.alone(folder.with_name(f"{name}.lock")):
        if not (folder / _FLAGS).is_file():
            _, report = importer.make_run(name, _published()[name], folder)
            print(report)
    return folder


def _published() -> Mapping:
    from tfrecog.weights import models as known

    return known.ALL
