"""Compares an artefact with the run that it was made from, prints what differs, and judges it."""

import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import plain
from tfrecog.inference import image_files, result_files
from tfrecog.runs import checkpoints, trained

from ..artifact import metadata
from ..litert import reader as lite_model
from ..served_graph import reader as saved_reader
from . import accuracy, compatibility, exported_model, tolerances
from . import compare as differences
from .checkpoint import CheckpointReader

REPORT = "verify.json"
SHOWN = 5  # of the pictures in which something is too far
VARIED = 1e-3  # Scores that differ by less from picture to picture are those of a network that has learnt nothing.
BY_KIND = -1.0  # of a tolerance's flag: that of the kind of artefact


def tolerance_of(given, kind: str) -> tuple[differences.Tolerance, float]:
    """The tolerances of a kind, as the flags change them."""
    tolerance, ap = tolerances.KINDS[kind]
    asked = {"score": given.score_tolerance, "box": given.box_tolerance, "pixels": given.pixel_tolerance}
    asked["mask"] = given.mask_tolerance if given.mask_tolerance == BY_KIND else 1 - given.mask_tolerance
    asked = {name: value for name, value in asked.items() if value != BY_KIND}
    return dataclasses.replace(tolerance, **asked), ap if given.ap_tolerance == BY_KIND else given.ap_tolerance


def compare(
    reader: CheckpointReader, model: exported_model.Artefact, paths, tolerance
) -> tuple[differences.Differences, dict, dict]:
    """Differences over the images at `paths`, in each of them, and the files that could not be read, with reasons."""
    total, each, broken, first, varied = differences.Differences(), {}, {}, None, False
    task, output = reader.experiment.task, reader.experiment.detector.output
    asked = {"min_score": output.min_score, "mask_threshold": output.mask_threshold, "paste": output.paste}
    on = functools.partial(reader.on_canvas, model) if isinstance(model, lite_model.LiteModel) else reader.predict
    for number, picture in image_files.legible(paths, broken):
        own = on(picture)
        if isinstance(model, saved_reader.SavedReader):
            other = model.predict(picture, saved_reader.SIGNATURES[number % len(saved_reader.SIGNATURES)])
        else:
            other = model.predict(picture)
        again = functools.partial(on, picture, noise=tolerance.noise)
        if task == "detection":
            about = asked | {"photo": picture.shape[:2]}
            found = differences.of_detections(own, other, again, tolerance, about, output.max_detections)
        elif task == "classification":
            found = differences.of_scores(own, other)
            first = own["scores"] if first is None else first
            varied |= found.score > tolerance.score or np.abs(own["scores"] - first).max() > VARIED
        else:
            found = differences.of_label_maps(own, other, again, tolerance)
        for tie in found.ties:
            tie["image"] = str(paths[number])
        each[str(paths[number])] = found
        total.add(found)
    if task == "segmentation":
        varied = len(total.classes) > 1 or total.pixels > 0
    for file, reason in broken.items():
        print(f"not read: {file}: {reason}", file=sys.stderr)
    if nothing := _nothing(task, total, varied, len(paths) - len(broken), output.min_score):
        raise UserError(f"--images: {nothing}")
    return total, each, broken


def _nothing(task, found, varied, done, min_score) -> str:
    """Why nothing was compared; empty if something was."""
    if not done:
        return "not one of the files could be read as an image"
    if task == "detection":
        if found.matched + found.only_checkpoint + found.only_artefact:
            return ""
        if found.ties:
            return f"all {len(found.ties)} detections are ties, so nothing is proven: choose others"
        return (
            f"in {done} images neither finds anything with a score above {min_score:g}, so there is nothing to "
            "compare: choose others, or export with a lower --detector.output.min_score"
        )
    if varied or (task == "classification" and done == 1):
        return ""
    what = "scores for every picture" if task == "classification" else "label for every pixel"
    return (
        f"in {done} images the checkpoint has the same {what}, which another model may have too: choose others, or "
        "train it"
    )


def verify(given) -> bool:
    """Compares and prints; whether the artefact is as near to the checkpoint as it should be."""
    paths = image_files.find(given.images)
    model = exported_model.load(given.artefact, given.threads)
    about = model.metadata
    experiment = compatibility.experiment_of(plain(given), about, given.artefact)
    compatibility.check_metadata(about, experiment, trained.get_dataset(experiment), given.artefact)
    kind = compatibility.kind_of(about, given)
    left_out = accuracy.why_not(experiment, metadata.names(about))
    limits = (given.score_tolerance, given.box_tolerance, given.mask_tolerance, given.pixel_tolerance)
    strict = kind != "int8" or limits != (BY_KIND,) * 4
    if left_out and not strict:
        raise UserError(f"{given.artefact} is int8, which is judged by its accuracy, and there is none: {left_out}")
    tolerance, ap = tolerance_of(given, kind)
    task, network, path, step = _restored(given, experiment)
    if step != about["step"]:
        raise compatibility.Unfit(
            f"{given.artefact} was made of {about['checkpoint']}, and {path} is of step {step}: name the other with "
            "--checkpoint, or export again"
        )
    reader = CheckpointReader(task, network, experiment)
    print(f"{path} against {given.artefact} ({kind})", flush=True)
    if other := compatibility.changed(plain(given), experiment):
        print(f"Both with what the artefact was exported with: {', '.join(other)}")
    tf.random.set_seed(0)
    found, each, broken = compare(reader, model, paths, tolerance)
    judge = functools.partial(_judged, experiment=experiment, about=about, tolerance=tolerance, strict=strict)
    rows = judge(found)
    print(f"{len(paths) - len(broken)} of {len(paths)} images:\n{tolerances.text_of(rows)}", flush=True)
    _print_ties(found)
    far = tolerances.far(rows, {path: judge(one) for path, one in each.items()})
    _print_far(far)
    numbers = {}
    if left_out:
        print(f"Accuracy is left out: {left_out}")
    else:
        models = {"artefact": model.predict, "checkpoint": reader.predict}
        if isinstance(model, lite_model.LiteModel):
            models["checkpoint on its pixels"] = functools.partial(reader.on_canvas, model)
        numbers = accuracy.measure(experiment, models, given.max_images, about)
        measured = tolerances.judged_accuracy(numbers, experiment.task, kind, ap)
        if not strict and all(row["each"]["checkpoint"] <= ap for row in measured):
            raise UserError(
                f"the checkpoint's accuracy on {experiment.data.eval_split} is {ap:g} at most, which proves nothing of "
                "an artefact in int8: train it, or give it other --data.records"
            )
        rows += measured
        print(
            f"{numbers['artefact']['images']} images of {experiment.data.eval_split}:\n{tolerances.text_of(measured)}"
        )
    fine = all(row["fine"] for row in rows)
    same = "as the checkpoint" if strict else "as accurate as the checkpoint (int8 is not judged by single results)"
    print(f"The artefact {f'is {same}' if fine else 'differs from the checkpoint by more than it may'}")
    if given.out:
        report = {"fine": fine, "kind": kind, "artefact": given.artefact, "checkpoint": str(path), "step": step}
        report |= {"tolerance": dataclasses.asdict(tolerance) | {"ap": ap}, "rows": rows, "accuracy": numbers}
        report |= {"images": [str(path) for path in paths if path not in broken], "ties": found.ties, "far": far}
        result_files.write_json(Path(given.out) / REPORT, report)
    return fine


def _restored(given, experiment):
    """The run's task and model with what the artefact was exported with, its checkpoint, and the checkpoint's step."""
    try:
        task, network, _, path, step = trained.restore(experiment, given.checkpoint)
    except checkpoints.CheckpointError as error:
        if other := compatibility.changed(plain(given), experiment):
            raise compatibility.Unfit(
                f"{given.artefact} is of another run, it seems: no checkpoint of {given.workdir} can be restored with "
                f"the flags that it was exported with, such as {', '.join(other[:4])}"
            ) from error
        raise
    return task, network, path, step


def _judged(found, experiment, about, tolerance, strict):
    """The table's rows of the images."""
    parts = {name for name in ("masks", "keypoints") if getattr(experiment.detector, name)}
    if "masks" in parts and about.get("masks", "squares") == "squares":
        parts.add("squares")
    return tolerances.judged(found, experiment.task, parts, tolerance, strict)


def _print_ties(found):
    reasons: dict[str, int] = {}
    for tie in found.ties:
        reasons[tie["why"]] = reasons.get(tie["why"], 0) + tie.get("count", 1)
    for why, count in reasons.items():
        print(f"    {count}: {why}")


def _print_far(far):
    for path in [*far][:SHOWN]:
        print(f"  too far in {path}: " + "; ".join(f"{what} {value:.3g}" for what, value in far[path].items()))
    if len(far) > SHOWN:
        print(f"  and in {len(far) - SHOWN} more")
