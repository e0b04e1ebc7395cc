"""The experiments of the laboratory: variations of images, moved rois, shifted parts, and the ends of an image."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from tfrecog import tasks
from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.data import image
from tfrecog.data.reading import AS_SHOWN, Reading
from tfrecog.data.split import Split
from tfrecog.equivariance_lab import ends, measure, parts, report, rois
from tfrecog.equivariance_lab.classification import Classifier
from tfrecog.equivariance_lab.detection import Detector
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.equivariance_lab.measure import ModelUnderTest, Sample
from tfrecog.equivariance_lab.report import Measured
from tfrecog.equivariance_lab.segmentation import Segmenter
from tfrecog.equivariance_lab.transforms import VARIATIONS
from tfrecog.inference import image_files
from tfrecog.runs import checkpoints, trained

_MODELS = {"classification": Classifier, "detection": Detector, "segmentation": Segmenter}


def run(flags: Flags) -> list[str]:
    """Does the experiment that the flags name, prints what it measures, and returns the names of its files."""
    experiments = {"variations": _variations, "parts": _parts, "ramp": _ramp, "rois": _rois, "ends": _ends}
    measured = experiments[flags.experiment](flags)
    print(report.text_of(measured))
    return report.write(flags.out, measured)


def _variations(flags):
    model, facts, shown = _model_and_samples(flags)
    strengths = {name: getattr(flags.strength, name) for name in flags.variations}
    with Bar(total=len(shown), desc="equivariance", starting="compiling") as progress:
        options = {"margin": flags.margin, "floors": flags.floors, "advance": progress.update}
        rows, pictures = measure.measure(model, shown, strengths, **options)
    facts |= {"task": flags.task, "margin": flags.margin, "records": "" if flags.images else flags.data.records}
    return Measured(rows, facts, {name: one.unit for name, one in VARIATIONS.items()}, pictures)


def _parts(flags):
    return Measured(parts.table(), {"parts": f"{parts.SIDE} x {parts.SIDE} pixels, random"})


def _ramp(flags):
    summary, rows = rois.ramps()
    return Measured([*summary, *rows], {}, {"ramps": "stride"}, shown=summary)


def _rois(flags):
    model, facts, shown = _model_and_samples(flags)
    rows = rois.of_run(model, shown)
    return Measured(rows, facts, shown=[row for row in rows if row.strength in rois.SHOWN])


def _ends(flags):
    path = image_files.find(flags.images)[0]
    task, model, checkpoint = restore(flags)
    picture = image_files.load(path, task.info.reading)
    widest = picture.shape[1] // 2 - 1
    if max(flags.shift) > widest:
        raise UserError(f"--shift needs pixels from 1 to {widest}, of an image {picture.shape[1]} wide")
    print(f"{checkpoint} on {path}, {picture.shape[0]} x {picture.shape[1]} pixels", flush=True)
    rows = ends.rows_of(model, picture, flags.shift)
    facts = {"checkpoint": checkpoint, "image": str(path)}
    return Measured(rows, facts, shown=[row for row in rows if row.strength in ends.PLACES])


def _model_and_samples(flags):
    """The model under test, what is known of it and of the images, and these, with their truth if they are records."""
    task, network, checkpoint = restore(flags)
    model = _MODELS[flags.task](task, network, flags)
    shown = list(samples(model, flags, task.info.names, task.info.reading))
    print(f"{checkpoint} on {len(shown)} images, such as {shown[0].name}", flush=True)
    return model, {"checkpoint": checkpoint, "images": [sample.name for sample in shown]}, shown


def samples(
    model: ModelUnderTest, flags: Flags, names: tuple[str, ...], reading: Reading = AS_SHOWN
) -> Iterator[Sample]:
    """Yields the first photos that the flags name, or the first records, whose classes are to have those names.

    OSError names a photo that cannot be read; UserError says why records are none for the model.
    """
    if flags.images:
        for path in image_files.find(flags.images)[: flags.max_images]:
            yield Sample(model.resize(image_files.load(path, reading)), Path(path).name)
        return
    if not flags.data.records:
        raise UserError("--images is missing: name photos, or records with --data.records and --data.eval_split")
    split = Split.open(flags.data.records, flags.data.eval_split)
    if split.info.names != names:
        raise UserError(
            f"--data.records={split.folder}: its {split.info.num_classes} classes are not the {len(names)} of the run, "
            "in its order; give records of those, or photos: --images='photos/*.jpg'"
        )
    if not len(split):
        raise UserError(f"--data.eval_split={split.name} of {split.folder} has no image")
    for row in range(min(flags.max_images, len(split))):
        record = split.truth(row)
        seen = model.resize(image.decode(record.encoded).numpy())
        yield Sample(seen, record.filename or f"record {row}", *model.truth(split, row, record, seen.shape[:2]))


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
