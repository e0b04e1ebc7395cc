"""Models by the names of their files, or of published weights."""

import difflib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tfrecog
from tfrecog.api import commands, models
from tfrecog.api.settings import changed, named_as_arguments
from tfrecog.cli import errors, files, flags, urls
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.inference.flags import MIN_SCORE
from tfrecog.runtime import devices, onednn

_FLAGS = "experiment.flags"
_THRESHOLD = "detector.output.min_score"
_log = logging.getLogger("tfrecog")


def find(
    source: str | Path,
    min_score: float | None,
    checkpoint: str,
    settings: Mapping[str, Any] | None,
    threads: int,
    device: str,
) -> models.Model:
    """See `tfrecog.load`; errors name flags."""
    if not isinstance(source, str | Path):
        raise UserError(f"source={source!r}: give the name of a folder or file, or of published weights")
    urls.check_local(source, "source")
    path = Path(source).expanduser()
    if path.name == _FLAGS and path.is_file():
        path = path.parent
    readers = commands.module("export.onnx_files.reader").READERS
    if not path.is_dir() and (read := readers.get(path.suffix.lower())):
        if device not in ("", "cpu"):
            raise UserError(f"--device={device}: a {path.suffix} file is run on the CPU")
        _refuse_of_run(source, checkpoint, settings)
        return of_reader(read(path, threads), min_score)
    check_threads(threads, source)
    try:
        devices.choose(device)
        return _in_tensorflow(path, str(source), min_score, checkpoint, settings)
    except ModuleNotFoundError as error:
        if not errors.is_dependency(error):
            raise
        raise UserError(
            f"{source} is no TFLite or ONNX file, and {error.name}, which runs all else, is missing: install tfrecog "
            "with its dependencies"
        ) from error


load = named_as_arguments()(find)  # See `tfrecog.load`; errors name arguments.


def _in_tensorflow(path, source, min_score, checkpoint, settings) -> models.Model:
    """The model of a run, a SavedModel, or the name of published weights."""
    if path.is_dir() and (path / _FLAGS).is_file():
        return run(path, min_score, checkpoint, settings)
    if path.is_dir():
        _refuse_of_run(source, checkpoint, settings)
        return of_reader(commands.module("export.served_graph.reader").SavedReader(path), min_score)
    if source in (names := published_names()):
        return run(published(source), min_score, checkpoint, settings)
    near = difflib.get_close_matches(source, names, 3)
    raise UserError(
        f"{source} is no model: give the folder of a run (with {_FLAGS}), that of a SavedModel of export.saved_model, "
        "a .tflite file of export.tflite, an .onnx file of export.onnx, or the name of published weights"
        + (f", such as {' or '.join(near)}" if near else " (python -m tfrecog.import_weights --list)")
    )


def _refuse_of_run(source, checkpoint, settings) -> None:
    """UserError for arguments that only a run has."""
    for name, is_given in (("--checkpoint", checkpoint != "latest"), ("settings", bool(settings))):
        if is_given:
            raise UserError(f"{name}: only a run has such, and {source} is an exported file; leave it out")


def check_threads(threads: int, source: str | Path) -> None:
    """UserError if threads are given for what is no TFLite or ONNX file."""
    if threads:
        raise UserError(f"--threads={threads}: they are of a TFLite or ONNX file, and {source} is none; leave it out")


def run(folder: Path, min_score: float | None, checkpoint: str, settings: Mapping[str, Any] | None) -> models.RunModel:
    """The model of the run in a folder, wherever that was moved to."""
    settings = settings or {}
    if "workdir" in settings or _THRESHOLD in settings:
        raise UserError("settings: the folder is the first argument of load, and the least score its min_score")
    experiment = flags.load(Experiment(), folder / _FLAGS)
    experiment = changed(experiment, {**settings, "workdir": str(folder.resolve())})
    model = models.RunModel(experiment, checkpoint, _least(min_score, experiment.task, folder))
    _warn_of_onednn(folder)
    return model


def _warn_of_onednn(folder: Path) -> None:
    """Says in a line if the run was trained with other kernels than this process has."""
    from tfrecog.runs.folder import trained_with_onednn

    words, trained, here = ("off", "on"), trained_with_onednn(folder), onednn.is_on()
    if trained is not None and trained != here:
        _log.warning(
            "%s was trained with oneDNN %s, which is %s here, so results may differ in their last digits; "
            "%s=%d before TensorFlow is imported makes them those of the training",
            folder, words[trained], words[here], onednn.VARIABLE, trained,
        )  # fmt: skip


def of_reader(reader, min_score: float | None) -> models.Model:
    """The model of an exported file that is open."""
    form, of_metadata = commands.module("export.artifact.results"), commands.module("export.artifact.metadata")
    experiment = flags.replace(of_metadata.experiment_of(reader.metadata), {"task": reader.metadata["task"]})
    output, least = experiment.detector.output, _least(min_score, experiment.task, reader.path)
    if min_score is None:
        least = max(least, output.min_score)
    if experiment.task == "detection" and least < output.min_score:
        raise UserError(
            f"--min_score={least:g}: {reader.path} has no detections with a score below {output.min_score:g}; export "
            "it with a lower --detector.output.min_score"
        )

    def see(picture):
        return form.of_picture(reader.predict(picture), picture.shape[:2], least)

    return models.Model(experiment, form.info_of(reader.metadata), see, least, str(reader.path))


def _least(min_score: float | None, task: str, source: str | Path) -> float:
    """The least score of detections; UserError if one is given that cannot be, or for what is no detector."""
    if min_score is None:
        return MIN_SCORE
    if not models.is_score(min_score):
        raise UserError(f"--min_score={min_score!r}: give a number from 0 to 1")
    if task != "detection":
        raise UserError(f"--min_score={min_score:g}: {source} is not a detector; leave it out")
    return float(min_score)


def published(name: str) -> Path:
    """The folder of the run of published weights, or of this package's, made of their file when first asked for."""
    from tfrecog.weights import importer, models, starter
    from tfrecog.weights.formats import download

    if name == starter.NAME:
        return starter.folder()
    folder = download.folder() / "runs" / tfrecog.version() / name  # Another version may read other settings.
    with files.alone(folder.with_name(f"{name}.lock")):
        if not (folder / _FLAGS).is_file():
            _, report = importer.make_run(name, models.ALL[name], folder)
            print(report)
    return folder


def published_names() -> list[str]:
    """The names that `published` knows."""
    from tfrecog.weights import models, starter

    return [starter.NAME, *models.ALL]
