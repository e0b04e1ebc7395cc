"""The experiments of the laboratory: variations of images, moved rois, shifted parts, and the ends of an image."""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfrecog import tasks
from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.drawing import figures
from tfrecog.equivariance_lab import ends, measure, parts, ramps, report, rois, samples
from tfrecog.equivariance_lab.classification import Classifier
from tfrecog.equivariance_lab.detection import Detector
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.equivariance_lab.model_under_test import ModelUnderTest, Options, Sample
from tfrecog.equivariance_lab.segmentation import Segmenter
from tfrecog.equivariance_lab.transforms import BY_NAME
from tfrecog.inference import image_files, predictor
from tfrecog.runs import checkpoints, trained

SHIFT, RAMPS = "shift.png", "ramps.png"
_MODELS = {"classification": Classifier, "detection": Detector, "segmentation": Segmenter}


def run(flags: Flags) -> list[str]:
    """Does the experiment that the flags ask for, prints what it measures, and returns the names of its files."""
    if flags.parts:
        return _parts(flags)
    if flags.rois != "none":
        return _rois(flags)
    return _ends(flags) if flags.shift else _variations(flags)


def _variations(flags):
    model, checkpoint, shown = _subject(flags)
    strengths = {BY_NAME[name]: getattr(flags.strength, name) for name in flags.variations}
    with predictor.progress(len(shown), "equivariance") as progress:
        rows, pictures = measure.measure(
            model, shown, strengths, margin=flags.margin, floors=flags.floors, advance=progress.update
        )
    units = {one.name: one.unit for one in strengths}
    print(report.text_of(rows, units))
    facts = {"task": flags.task, "checkpoint": checkpoint, "margin": flags.margin}
    facts |= {"images": [sample.name for sample in shown], "records": "" if flags.images else flags.data.records}
    return report.write(flags.out, rows, facts, units, pictures)


def _parts(flags):
    rows = parts.table()
    print(parts.text_of(rows))
    units = {row.variation: "pixels" for row in rows}
    return report.write(flags.out, rows, {"parts": f"{parts.SIDE} x {parts.SIDE} pixels, random"}, units, drawn=[])


def _rois(flags):
    measured = ramps.measure()
    summary, of_run = ramps.summary_of(measured), []
    facts: dict = {"ramps": summary}
    if flags.rois == "run":
        model, checkpoint, shown = _subject(flags)
        of_run = rois.of_run(model, shown)
        print(report.text_of(of_run, {}))
        facts |= {"checkpoint": checkpoint, "images": [sample.name for sample in shown]}
    print(ramps.text_of(summary))
    figures.save(ramps.figure(measured), Path(flags.out) / RAMPS)
    return [RAMPS, *report.write(flags.out, [*ramps.rows_of(measured), *of_run], facts, {}, drawn=of_run)]


def _ends(flags):
    path = image_files.find(flags.images)[0]
    picture = image_files.load(path)
    widest = picture.shape[1] // 2 - 1
    if max(flags.shift) > widest:
        raise UserError(f"--shift needs pixels from 1 to {widest}, of an image {picture.shape[1]} wide")
    _, model, checkpoint = restore(flags)
    print(f"{checkpoint} on {path}, {picture.shape[0]} x {picture.shape[1]} pixels", flush=True)
    deviation = float(np.std(model(tf.constant(picture[None], tf.float32))))
    curves = {shift: ends.by_distance(ends.difference(model, picture, shift)) for shift in flags.shift}
    print(ends.text_of(curves, deviation))
    figures.save(ends.figure(curves, deviation), Path(flags.out) / SHIFT)
    with files.write(Path(flags.out) / report.RESULTS) as file:
        shown = {shift: [float(one) for one in curve] for shift, curve in curves.items()}
        json.dump({"checkpoint": checkpoint, "image": str(path), "deviation": deviation, "shifts": shown}, file)
        file.write("\n")
    return [SHIFT, report.RESULTS]


def _subject(flags) -> tuple[ModelUnderTest, str, list[Sample]]:
    """The model under test, the name of its checkpoint, and images, with their truth if they are records."""
    task, network, checkpoint = restore(flags)
    options = Options(flags.layers, flags.min_score, flags.proposals == "moved")
    model = _MODELS[flags.task](task, network, flags, options)
    if flags.images:
        shown = list(samples.of_photos(model, flags.images, flags.max_images))
    elif flags.data.records:
        shown = list(samples.of_records(model, flags.data, task.info.names, flags.max_images))
    else:
        raise UserError("--images is missing: name photos, or records with --data.records and --data.eval_split")
    print(f"{checkpoint} on {len(shown)} images, such as {shown[0].name}", flush=True)
    return model, checkpoint, shown


def restore(flags: Flags) -> tuple:
    """Task and model of the run, and the checkpoint's name."""
    if flags.checkpoint != "random":
        try:
            task, model, _, path, _ = trained.restore(flags, flags.checkpoint)
        except checkpoints.CheckpointError as error:
            if checkpoints.latest(flags.workdir) is None:
                raise checkpoints.CheckpointError(f"{error}. --checkpoint=random measures untrained weights") from error
            raise
        return task, model, str(path)
    task = tasks.build(flags, trained.get_dataset(flags))
    model = task.build()
    _fill_zeros(model, flags.train.seed)
    return task, model, "random weights"


def _fill_zeros(model: keras.Model, seed: int) -> None:
    """Gives random weights to kernels that start as zeros, without which a new network says nothing."""
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel") and not np.any(variable.numpy()):
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(random.normal(scale=fan_in**-0.5, size=variable.shape).astype(np.float32))
