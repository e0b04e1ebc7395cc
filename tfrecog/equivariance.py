"""The laboratory of equivariance: what a network makes of variations of its input.

python -m tfrecog.equivariance --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN
python -m tfrecog.equivariance --flagfile=RUN/experiment.flags --out=SEEN     (the records of the run, with accuracy)
python -m tfrecog.equivariance --rois=ramp --out=SEEN         (RoIAlign and RoIPool; as --parts, it needs no run)

A change g of the image x is invariant for f if f(g(x)) = f(x), as a class should be, and equivariant if f(g(x)) =
M_g f(x), where M_g moves the output as g moves what is in the image, as boxes, masks and label maps should be. Each
source of variation is applied with growing strength, and the differences are measured. What leaves the image does not
count. g has to interpolate, and that alone changes what a network says: the floor, in parentheses and dotted in the
figures, is what comes of g and its inverse, one after the other. Shifts by whole pixels are exact.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import keras
import numpy as np
import tensorflow as tf

from tfrecog import tasks
from tfrecog.cli import files, flags, out_of_memory, signals, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, plain
from tfrecog.drawing import figures
from tfrecog.equivariance_lab import (
    classification,
    detection,
    ends,
    measure,
    parts,
    report,
    rois,
    samples,
    segmentation,
)
from tfrecog.equivariance_lab.transforms import BY_NAME
from tfrecog.inference import image_files, predictor
from tfrecog.runs import checkpoints, trained
from tfrecog.runs.flags import CHECKPOINT

SHIFT, RAMPS = "shift.png", "ramps.png"
_ROI_SHIFTS = tuple(np.arange(1, 33) / 2)  # pixels


def _strengths(name: str) -> tuple[float, ...]:
    return tuple(float(one) for one in BY_NAME[name].strengths)


@dataclasses.dataclass(frozen=True)
class Strengths:
    """How far each variation goes; of scale, contrast and saturation 1 is no change, of the others 0."""

    translation: Annotated[tuple[float, ...], "Pixels to the right."] = _strengths("translation")
    rotation: Annotated[tuple[float, ...], "Degrees, anticlockwise, about the middle."] = _strengths("rotation")
    scale: Annotated[tuple[float, ...], "Factors, about the middle."] = _strengths("scale")
    deformation: Annotated[tuple[float, ...], "Largest local stretch, by smooth waves; at most 0.9."] = _strengths(
        "deformation"
    )
    brightness: Annotated[tuple[float, ...], "Shares of the range that are added."] = _strengths("brightness")
    contrast: Annotated[tuple[float, ...], "Factors of what differs from the mean."] = _strengths("contrast")
    saturation: Annotated[tuple[float, ...], "Factors of what differs from gray."] = _strengths("saturation")
    noise: Annotated[tuple[float, ...], "Standard deviations, in gray levels of 255."] = _strengths("noise")
    occlusion: Annotated[
        tuple[float, ...], "Shares that are covered: of each object's box, or of the image where there are no boxes."
    ] = _strengths("occlusion")
    context: Annotated[
        tuple[float, ...],
        "Shares of another image in what is around the objects' boxes, or around the middle where there are none.",
    ] = _strengths("context")


@dataclasses.dataclass(frozen=True)
class Laboratory(Experiment):
    """The flags of a run and of the laboratory."""

    checkpoint: Annotated[str, CHECKPOINT + " Or `random`: as it would start to learn."] = "latest"
    images: Annotated[
        str,
        "Photos, as of tfrecog.predict. Empty: the images of --data.eval_split in --data.records, with accuracy.",
    ] = ""
    max_images: Annotated[int, "So many of them are looked at, the first."] = 16
    out: Annotated[str, "Folder for results.csv, results.json, curves, pictures and TensorBoard's events."] = ""
    variations: Annotated[
        tuple[str, ...], f"Which are applied, of {', '.join(BY_NAME)}."
    ] = tuple(BY_NAME)  # fmt: skip
    strength: Strengths = dataclasses.field(default_factory=Strengths)
    layers: Annotated[
        bool, "Measure the maps of the backbone (of a detector: of its neck) too, and what a classifier pools of them."
    ] = False
    margin: Annotated[
        int, "Pixels along the edges that do not count in maps, such as half of the field of view: padding is there."
    ] = 0
    floors: Annotated[bool, "Measure what g's interpolation does alone; off, it takes half of the time."] = True
    min_score: Annotated[float, "Of a detector: detections with a lower score count in AP50 alone."] = 0.5
    proposals: Annotated[
        Literal["made", "moved"],
        "Of a detector without an RPN: made of each changed image, as those of the run's records were (which takes the "
        "time of selective search); or those of the records, moved as what is in the image, so that the network alone "
        "is measured.",
    ] = "made"
    rois: Annotated[
        Literal["none", "ramp", "run"],
        "Move rois in place of images: of RoIAlign and RoIPool on a ramp, whose error is in pixels and which needs no "
        "run; or also those of a detector's own detections.",
    ] = "none"
    parts: Annotated[
        bool, "Shift the input of single parts, such as a convolution or a pooling; needs no run, nor images."
    ] = False
    shift: Annotated[
        tuple[int, ...],
        "Of a segmenter, in place of all that: how far from the ends of the first image its logits follow shifts by so "
        "many pixels, such as 32,16,1.",
    ] = ()


def main(asked: Laboratory) -> int:
    """Measures, prints and draws; returns the exit status."""
    try:
        check(asked)
        if asked.parts:
            written = _parts(asked)
        elif asked.rois != "none":
            written = _rois(asked)
        elif asked.shift:
            written = _ends(asked)
        else:
            written = _variations(asked)
    except tf.errors.ResourceExhaustedError as error:
        print(f"error: out of memory: {out_of_memory.reason(error)}\nTake smaller photos.", file=sys.stderr)
        return 1
    except (OSError, ValueError, checkpoints.CheckpointError, out_of_memory.OutOfMemory) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(written)} in {asked.out}")
    return 0


def check(asked: Laboratory) -> None:
    """Raises a ValueError that names the flag of what cannot be measured."""
    if asked.rois != "ramp" and not asked.parts:
        validate.check(plain(asked))
    if not asked.out:
        raise UserError("--out is missing: the folder for what is found, as in --out=SEEN")
    if Path(asked.out).is_file():
        raise UserError(f"--out={asked.out} is a file: name a folder")
    unknown = [name for name in asked.variations if name not in BY_NAME]
    if unknown or not asked.variations:
        given = ",".join(asked.variations)
        raise UserError(f"--variations={given}: name some of {', '.join(BY_NAME)}")
    usual = Strengths()
    for name, one in BY_NAME.items():
        strengths = getattr(asked.strength, name)
        shown = f"--strength.{name}={','.join(f'{strength:g}' for strength in strengths)}"
        if not strengths or not all(one.low <= strength <= one.high for strength in strengths):
            end = f" to {one.high:g}" if one.high < float("inf") else " on"
            raise UserError(f"{shown}: needs numbers ({one.unit}) from {one.low:g}{end}, with commas between them")
        if name not in asked.variations and strengths != getattr(usual, name):
            raise UserError(f"{shown}: nothing reads it, for --variations leaves {name} out")
    if asked.max_images < 1:
        raise UserError(f"--max_images={asked.max_images}: must be more than 0")
    if asked.margin < 0:
        raise UserError(f"--margin={asked.margin}: must not be negative")
    if not 0 <= asked.min_score <= 1:
        raise UserError(f"--min_score={asked.min_score:g}: must be between 0 and 1")
    if (asked.rois != "none") + bool(asked.shift) + asked.parts > 1:
        raise UserError("--rois, --shift and --parts are one experiment each; leave all but one of them out")
    if asked.shift and asked.task != "segmentation":
        raise UserError(
            f"--shift: --task={asked.task} has no output for every pixel; name the flags of a segmenter's run, or "
            "leave --shift out: --variations=translation is for every task"
        )
    if asked.rois == "run" and asked.task != "detection":
        raise UserError(f"--rois=run: --task={asked.task} has no rois; name the flags of a detector's run")
    if asked.task == "detection" and asked.detector.pool == "warp" and asked.layers:
        raise UserError("--layers: --detector.pool=warp cuts rois out of the image, and has no map to look at")
    if asked.proposals == "moved":
        if asked.task != "detection" or asked.detector.proposals != "record" or asked.rois == "ramp" or asked.parts:
            raise UserError("--proposals=moved: nothing reads proposals here; it is for --detector.proposals=record")
        if asked.images:
            raise UserError("--proposals=moved: photos have no proposals to move; leave --images out, for the records")
    if asked.rois == "ramp" and (asked.images or asked.layers):
        raise UserError("--rois=ramp reads neither --images nor --layers; leave them out, or set --rois=run")


def restored(asked: Laboratory):
    """Task and model of the run, and the checkpoint's name."""
    if asked.checkpoint != "random":
        try:
            task, model, _, path, _ = trained.restore(asked, asked.checkpoint)
        except checkpoints.CheckpointError as error:
            if checkpoints.latest(asked.workdir) is None:
                raise checkpoints.CheckpointError(f"{error}. --checkpoint=random measures untrained weights") from error
            raise
        return task, model, str(path)
    task = tasks.build(asked, trained.get_dataset(asked))
    model = task.build()
    start(model, asked.train.seed)
    return task, model, "random weights"


def start(model: keras.Model, seed: int) -> None:
    """Gives random weights to kernels that start as zeros, without which a new network says nothing."""
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel") and not np.any(variable.numpy()):
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(random.normal(scale=fan_in**-0.5, size=variable.shape).astype(np.float32))


def subject_of(asked: Laboratory, task, model):
    """What the laboratory sees of a task's model."""
    if asked.task == "classification":
        return classification.Subject(task, model, asked, asked.layers)
    if asked.task == "segmentation":
        return segmentation.Subject(task, model, asked, asked.layers)
    return detection.Subject(task, model, asked, asked.layers, asked.min_score, asked.proposals == "moved")


def samples_of(asked: Laboratory, names: tuple[str, ...]):
    """Images, with their truth if they are records."""
    if asked.images:
        return list(samples.of_photos(asked, asked.images, asked.max_images))
    if not asked.data.records:
        raise UserError("--images is missing: name photos, or records with --data.records and --data.eval_split")
    found = list(samples.of_records(asked, names, asked.max_images))
    if not found:
        raise UserError(f"--data.eval_split={asked.data.eval_split} of {asked.data.records} has no image")
    return found


def _variations(asked):
    task, model, checkpoint = restored(asked)
    shown = samples_of(asked, task.info.names)
    chosen = [dataclasses.replace(BY_NAME[name], strengths=getattr(asked.strength, name)) for name in asked.variations]
    print(f"{checkpoint} on {len(shown)} images, such as {shown[0].name}", flush=True)
    objects = (lambda seen: seen.sure.boxes) if asked.task == "detection" else None
    with predictor.progress(len(shown), "equivariance") as progress:
        rows, pictures = measure.measure(
            subject_of(asked, task, model), shown, chosen,
            margin=asked.margin, floors=asked.floors, objects=objects, advance=progress.update,
        )  # fmt: skip
    units = {one.name: one.unit for one in chosen}
    print(report.text_of(rows, units))
    facts = {"task": asked.task, "checkpoint": checkpoint, "margin": asked.margin}
    facts |= {"images": [sample.name for sample in shown], "records": "" if asked.images else asked.data.records}
    return report.write(asked.out, rows, facts, units, pictures)


def _parts(asked):
    rows = parts.table()
    print(parts.text_of(rows))
    units = {row.variation: "pixels" for row in rows}
    return report.write(asked.out, rows, {"parts": f"{parts.SIDE} x {parts.SIDE} pixels, random"}, units, drawn=[])


def _rois(asked):
    rows, table = rois.ramps(), rois.summary_of_ramps()
    facts: dict = {"ramps": table}
    if asked.rois == "run":
        task, model, checkpoint = restored(asked)
        shown = samples_of(asked, task.info.names)
        print(f"{checkpoint} on {len(shown)} images, such as {shown[0].name}", flush=True)
        found = rois.of_run(subject_of(asked, task, model), shown, _ROI_SHIFTS)
        print(report.text_of(found, {}))
        facts |= {"checkpoint": checkpoint, "images": [sample.name for sample in shown]}
        rows += found
    print(rois.text_of_ramps(table))
    figures.save(rois.figure(rows), Path(asked.out) / RAMPS)
    own = [row for row in rows if not row.variation.startswith("ramp")]
    return [RAMPS, *report.write(asked.out, rows, facts, {}, drawn=own)]


def _ends(asked):
    path = image_files.find(asked.images)[0]
    picture = image_files.load(path)
    widest = picture.shape[1] // 2 - 1
    if max(asked.shift) > widest or min(asked.shift) < 1:
        raise UserError(f"--shift needs pixels from 1 to {widest}, of an image {picture.shape[1]} wide")
    _, model, checkpoint = restored(asked)
    print(f"{checkpoint} on {path}, {picture.shape[0]} x {picture.shape[1]} pixels", flush=True)
    spread = float(np.std(model(tf.constant(picture[None], tf.float32))))
    curves = {shift: ends.by_distance(ends.difference(model, picture, shift)) for shift in asked.shift}
    print(ends.text_of(curves, spread))
    figures.save(ends.figure(curves, spread), Path(asked.out) / SHIFT)
    with files.write(Path(asked.out) / report.RESULTS) as file:
        shown = {shift: [float(one) for one in curve] for shift, curve in curves.items()}
        json.dump({"checkpoint": checkpoint, "image": str(path), "deviation": spread, "shifts": shown}, file)
        file.write("\n")
    return [SHIFT, report.RESULTS]


if __name__ == "__main__":
    with signals.told():
        sys.exit(main(flags.parse(Laboratory())))
