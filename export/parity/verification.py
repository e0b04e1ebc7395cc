"""Compares an exported model with the run that it was made from, prints what differs, and judges it."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.config import plain
from tfrecog.inference import image_files, result_files
from tfrecog.runs import checkpoints, trained

from ..artifact import metadata
from ..artifact.canvas_model import CanvasModel
from ..litert.on_gpu import GpuModel
from ..litert.reader import LiteModel
from ..onnx_files.reader import READERS
from ..served_graph.reader import SIGNATURES, SavedReader
from . import accuracy, compare, compatibility
from .checkpoint import CheckpointReader

REPORT = "verify.json"
SHOWN = 5  # of the pictures in which something is too far
VARIED = 1e-3  # Scores that differ by less from picture to picture are those of a network that has learnt nothing.


def verify(flags, given: dict[str, float]) -> bool:
    """Compares and prints; whether the exported model is as near to the checkpoint as it should be.

    Args:
        given: the tolerances that are not those of the kind of model, by the fields of `compare.Tolerance`.
    """
    paths, model, run = image_files.find(flags.images), load(flags.artefact, flags.threads, flags.gpu), plain(flags)
    experiment = compatibility.experiment_of(run, model.metadata, flags.artefact)
    compatibility.check_metadata(model.metadata, experiment, trained.get_dataset(experiment), flags.artefact)
    kind = compatibility.kind_of(model.metadata, flags)
    tolerance = dataclasses.replace(compare.KINDS[kind], **given)
    strict = kind not in compare.BY_ACCURACY or bool(given.keys() - {"ap"})
    no_accuracy = accuracy.why_not(experiment, metadata.names(model.metadata))
    if no_accuracy and not strict:
        raise UserError(f"{flags.artefact} is {kind}, which is judged by its accuracy: {no_accuracy}")
    changed = compatibility.changed(run, experiment)
    reader, path, step = _checkpoint(flags, experiment, model.metadata, changed)
    print(f"{path} against {flags.artefact} ({kind})", flush=True)
    if changed:
        print(f"Both with the settings of the artefact's export: {', '.join(changed)}")

    each = _compare(reader, model, paths, tolerance)
    judge = tolerance if strict else None
    rows = compare.table(compare.total(each.values()), judge)
    far = compare.outliers(rows, {path: compare.table(one, judge) for path, one in each.items()})
    print(f"{len(each)} of {len(paths)} images:\n{compare.text_of(rows)}", flush=True)
    for name, values in [*far.items()][:SHOWN]:
        print(f"  too far in {name}: " + "; ".join(f"{what} {value:.3g}" for what, value in values.items()))
    if len(far) > SHOWN:
        print(f"  and in {len(far) - SHOWN} more")
    if no_accuracy:
        print(f"Accuracy is left out: {no_accuracy}")
    scored = compatibility.boxes_alone(experiment) if _boxes_only(model.metadata) else experiment
    numbers = {} if no_accuracy else _accuracy(reader, model, scored, flags.max_images)
    if numbers:
        rows += _judge_accuracy(numbers, experiment, kind, tolerance.ap, strict)
    fine = all(row["fine"] for row in rows)
    same = "as the checkpoint" if strict else f"as accurate as the checkpoint ({kind} is not judged by single results)"
    print(f"The artefact {f'is {same}' if fine else 'differs from the checkpoint by more than the tolerances'}")
    if flags.out:
        report = {"fine": fine, "kind": kind, "artefact": flags.artefact, "checkpoint": str(path), "step": step}
        report |= {"tolerance": dataclasses.asdict(tolerance), "rows": rows, "accuracy": numbers}
        result_files.write_json(Path(flags.out) / REPORT, report | {"images": [*each], "far": far})
    return fine


def load(path: str | Path, threads: int = 0, gpu: bool = False) -> CanvasModel | SavedReader:
    """The model in a TFLite or ONNX file or a SavedModel's folder; UserError or OSError if it cannot be read.

    `gpu` runs a TFLite file as `litert.on_gpu` says.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: there is no such file or folder; export a run by export.saved_model, export.tflite or export.onnx"
        )
    kind = None if path.is_dir() else READERS.get(path.suffix.lower(), LiteModel)
    if gpu and kind is not LiteModel:
        raise UserError(f"--gpu is for a TFLite file, and {path} is none: leave it out")
    if kind is None:
        return SavedReader(path)
    return GpuModel(path, threads) if gpu else kind(path, threads)


def _checkpoint(flags, experiment, model_metadata, changed) -> tuple[CheckpointReader, Path, int]:
    """The checkpoint with the settings of the model's export, its path and its step."""
    try:
        task, network, _, path, step = trained.restore(experiment, flags.checkpoint)
    except checkpoints.CheckpointError as error:
        if not changed:
            raise
        raise UserError(
            f"{flags.artefact} seems to be of another run: no checkpoint of {flags.workdir} can be restored "
            f"with the flags that it was exported with, such as {', '.join(changed[:4])}"
        ) from error
    if step != model_metadata["step"]:
        raise UserError(
            f"{flags.artefact} was exported from {model_metadata['checkpoint']}, and {path} is of step {step}: name "
            "the other checkpoint with --checkpoint, or export again"
        )
    return CheckpointReader(task, network, experiment, _boxes_only(model_metadata)), path, step


def _boxes_only(model_metadata) -> bool:
    """Whether a detector has neither masks nor keypoints, whatever its run has: MediaPipe's Tasks read none."""
    return bool(metadata.reader_of(model_metadata)) and model_metadata["task"] == "detection"


def _compare(reader, model, paths, tolerance) -> dict[str, compare.Differences]:
    """Differences in each of the images that can be read, by their paths; UserError if that proves nothing."""
    each: dict[str, compare.Differences] = {}
    broken: dict[Path, str] = {}
    for number, picture in image_files.legible(paths, broken, metadata.reading(model.metadata)):
        if isinstance(model, CanvasModel):
            own, other = reader.on_canvas(model, picture), model.predict(picture)
        else:
            own, other = reader.predict(picture), model.predict(picture, SIGNATURES[number % len(SIGNATURES)])
        if "boxes" in own:
            found = compare.detections(own, other, tolerance, model.metadata, picture.shape[:2])
        else:
            found = compare.scores(own, other) if "scores" in own else compare.label_maps(own, other)
        each[str(paths[number])] = found
    image_files.report_broken(paths, broken)
    if nothing := _nothing(compare.total(each.values()), reader.experiment, tolerance):
        raise UserError(f"--images: in {len(each)} images {nothing}")
    return each


def _nothing(total, experiment, tolerance) -> str:
    """Why the differences in all images prove nothing; empty if they do."""
    if experiment.task == "detection":
        if total.detections:
            return ""
        return (
            f"neither detects anything with a score above {experiment.detector.output.min_score:g}, so there is "
            "nothing to compare: choose others, or export with a lower --detector.output.min_score"
        )
    if experiment.task == "classification":
        what, differing = "scores for every picture", total.largest["probability"] > tolerance.score
        varied = len(total.scores) == 1 or np.ptp(total.scores, axis=0).max() > VARIED
    else:
        what, differing, varied = "label for every pixel", total.largest["pixel"] > 0, len(total.classes) > 1
    if varied or differing:
        return ""
    return f"the checkpoint has the same {what}, so there is nothing to compare: choose others, or train it"


def _accuracy(reader, model, experiment, max_images) -> dict[str, dict[str, float]]:
    """AP, top-1 or mean IoU of the model, and of the checkpoint on the photos and on a file's canvas."""
    models = {"artefact": model.predict, "checkpoint": reader.predict}
    if isinstance(model, CanvasModel):
        models["checkpoint on its pixels"] = functools.partial(reader.on_canvas, model)
    return accuracy.measure(experiment, models, max_images)


def _judge_accuracy(numbers, experiment, kind, limit, strict) -> list[dict]:
    """Prints the accuracies and returns their rows; UserError if the checkpoint's is too low to judge by."""
    rows, split = accuracy.table(numbers, experiment.task, kind, limit), experiment.data.eval_split
    if not strict and all(row["each"]["checkpoint"] <= limit for row in rows):
        raise UserError(
            f"the checkpoint's accuracy on {split} is {limit:g} at most, which is too low to judge a file of {kind}: "
            "train it, or give other --data.records"
        )
    print(f"{numbers['artefact']['images']} images of {split}:\n{compare.text_of(rows)}")
    return rows
