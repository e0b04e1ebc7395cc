"""Compares an artefact with the run that it was made from, prints what differs, and judges it."""

import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, plain
from tfrecog.inference import image_files, result_files
from tfrecog.runs import checkpoints, trained

from ..artifact import metadata
from ..litert import reader as lite_model
from ..served_graph import reader as saved_reader
from . import accuracy, compare, compatibility, exported_model, tolerances
from .checkpoint import CheckpointReader

REPORT = "verify.json"
SHOWN = 5  # of the pictures in which something is too far
VARIED = 1e-3  # Scores that differ by less from picture to picture are those of a network that has learnt nothing.
BY_KIND = -1.0  # of a tolerance's flag: that of the kind of artefact


def verify(flags) -> bool:
    """Compares and prints; whether the artefact is as near to the checkpoint as it should be."""
    paths = image_files.find(flags.images)
    model = exported_model.load(flags.artefact, flags.threads)
    experiment = compatibility.experiment_of(plain(flags), model.metadata, flags.artefact)
    compatibility.check_metadata(model.metadata, experiment, trained.get_dataset(experiment), flags.artefact)
    kind = compatibility.kind_of(model.metadata, flags)
    given = _given(flags)
    strict = kind != "int8" or any(name != "accuracy" for name in given)
    tolerance = dataclasses.replace(tolerances.KINDS[kind], **given)
    no_accuracy = accuracy.why_not(experiment, metadata.names(model.metadata))
    if no_accuracy and not strict:
        raise UserError(f"{flags.artefact} is int8, which is judged by its accuracy, and there is none: {no_accuracy}")
    reader, path, step = _checkpoint(flags, experiment, model.metadata)
    print(f"{path} against {flags.artefact} ({kind})", flush=True)
    if other := compatibility.changed(plain(flags), experiment):
        print(f"Both with what the artefact was exported with: {', '.join(other)}")
    each, broken = _compare(reader, model, paths, tolerance)
    rows, far = _judge(each, experiment, tolerance, strict)
    print(f"{len(each)} of {len(paths)} images:\n{tolerances.text_of(rows)}", flush=True)
    _print_far(far)
    numbers = {}
    if no_accuracy:
        print(f"Accuracy is left out: {no_accuracy}")
    else:
        numbers = _measure(reader, model, experiment, flags.max_images)
        measured = tolerances.judged_accuracy(numbers, experiment.task, kind, tolerance.accuracy)
        if not strict and all(row["each"]["checkpoint"] <= tolerance.accuracy for row in measured):
            raise UserError(
                f"the checkpoint's accuracy on {experiment.data.eval_split} is {tolerance.accuracy:g} at most, which "
                "is too low to judge an int8 artefact: train it, or give other --data.records"
            )
        rows += measured
        print(
            f"{numbers['artefact']['images']} images of {experiment.data.eval_split}:\n{tolerances.text_of(measured)}"
        )
    fine = all(row["fine"] for row in rows)
    same = "as the checkpoint" if strict else "as accurate as the checkpoint (int8 is not judged by single results)"
    print(f"The artefact {f'is {same}' if fine else 'differs from the checkpoint by more than the tolerances'}")
    if flags.out:
        report = {"fine": fine, "kind": kind, "artefact": flags.artefact, "checkpoint": str(path), "step": step}
        report |= {"tolerance": dataclasses.asdict(tolerance), "rows": rows, "accuracy": numbers}
        report |= {"images": [str(path) for path in paths if path not in broken], "far": far}
        result_files.write_json(Path(flags.out) / REPORT, report)
    return fine


def _given(flags) -> dict[str, float]:
    """The tolerances that flags set."""
    values = {
        "score": flags.score_tolerance,
        "box": flags.box_tolerance,
        "mask": flags.mask_tolerance if flags.mask_tolerance == BY_KIND else 1 - flags.mask_tolerance,
        "pixels": flags.pixel_tolerance,
        "unmatched": flags.unmatched_tolerance,
        "accuracy": flags.ap_tolerance,
    }
    return {name: value for name, value in values.items() if value != BY_KIND}


def _checkpoint(flags, experiment: Experiment, model_metadata: dict) -> tuple[CheckpointReader, Path, int]:
    """The checkpoint with the settings of the artefact's export, its path and its step."""
    try:
        task, network, _, path, step = trained.restore(experiment, flags.checkpoint)
    except checkpoints.CheckpointError as error:
        if other := compatibility.changed(plain(flags), experiment):
            raise compatibility.Incompatible(
                f"{flags.artefact} seems to be of another run: no checkpoint of {flags.workdir} can be restored "
                f"with the flags that it was exported with, such as {', '.join(other[:4])}"
            ) from error
        raise
    if step != model_metadata["step"]:
        raise compatibility.Incompatible(
            f"{flags.artefact} was exported from {model_metadata['checkpoint']}, and {path} is of step {step}: name "
            "the other with --checkpoint, or export again"
        )
    return CheckpointReader(task, network, experiment), path, step


def _compare(reader: CheckpointReader, model: exported_model.Artefact, paths, tolerance):
    """Differences in each of the images that can be read, and the others with reasons; UserError if nothing differs."""
    each: dict[str, compare.Differences] = {}
    broken: dict[Path, str] = {}
    task, scores = reader.experiment.task, []
    checkpoint = functools.partial(reader.on_canvas, model) if _is_lite(model) else reader.predict
    for number, picture in image_files.legible(paths, broken):
        own = checkpoint(picture)
        if isinstance(model, saved_reader.SavedReader):
            other = model.predict(picture, saved_reader.SIGNATURES[number % len(saved_reader.SIGNATURES)])
        else:
            other = model.predict(picture)
        if task == "detection":
            found = compare.detections(own, other, tolerance, model.metadata, picture.shape[:2])
        elif task == "classification":
            found = compare.scores(own, other)
            scores.append(own["scores"])
        else:
            found = compare.label_maps(own, other)
        each[str(paths[number])] = found
    for file, reason in broken.items():
        print(f"not read: {file}: {reason}", file=sys.stderr)
    if nothing := _nothing(each, task, scores, tolerance, model.metadata["min_score"]):
        raise UserError(f"--images: {nothing}")
    return each, broken


def _nothing(each, task, scores, tolerance, min_score) -> str:
    """Why nothing was compared; empty if something was."""
    total, count = _total(each), len(each)
    if not count:
        return "not one of the files could be read as an image"
    if task == "detection":
        if total.detections:
            return ""
        return (
            f"in {count} images neither finds anything with a score above {min_score:g}, so there is nothing to "
            "compare: choose others, or export with a lower --detector.output.min_score"
        )
    if task == "classification":
        varied = count == 1 or total.score > tolerance.score or np.ptp(scores, axis=0).max() > VARIED
        what = "scores for every picture"
    else:
        varied, what = len(total.classes) > 1 or total.pixels > 0, "label for every pixel"
    if varied:
        return ""
    return (
        f"in {count} images the checkpoint has the same {what}, which another model may have too: choose others, or "
        "train it"
    )


def _judge(each, experiment, tolerance, strict):
    """The table's rows of all images, and what is too far in which of them."""
    parts = {name for name in ("masks", "keypoints") if getattr(experiment.detector, name)}
    judge = functools.partial(tolerances.judged, task=experiment.task, parts=parts, tolerance=tolerance, strict=strict)
    rows = judge(_total(each))
    return rows, tolerances.outliers(rows, {path: judge(one) for path, one in each.items()})


def _total(each) -> compare.Differences:
    total = compare.Differences()
    for one in each.values():
        total.add(one)
    return total


def _measure(reader, model, experiment, max_images):
    """AP, top-1 or mean IoU of the artefact, and of the checkpoint on the photos and on a TFLite file's canvas."""
    models = {"artefact": model.predict, "checkpoint": reader.predict}
    if _is_lite(model):
        models["checkpoint on its pixels"] = functools.partial(reader.on_canvas, model)
    return accuracy.measure(experiment, models, max_images, model.metadata)


def _is_lite(model) -> bool:
    return isinstance(model, lite_model.LiteModel)


def _print_far(far):
    for path in [*far][:SHOWN]:
        print(f"  too far in {path}: " + "; ".join(f"{what} {value:.3g}" for what, value in far[path].items()))
    if len(far) > SHOWN:
        print(f"  and in {len(far) - SHOWN} more")
