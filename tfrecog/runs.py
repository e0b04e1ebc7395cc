"""The folder of a run: WORKDIR/experiment.flags reproduces it, and says whether a new command continues it."""

import dataclasses
import os
from importlib import metadata
from pathlib import Path

from absl import flags

from tfrecog import checkpoints, flagged
from tfrecog.config import Experiment
from tfrecog.data import info as dataset

FLAGFILE = "experiment.flags"

# What a run may be continued with another value of: it changes neither the model nor the steps already taken.
MAY_DIFFER = {
    "workdir",
    "data.eval_split",
    "data.eval_batch_size",
    "data.eval_short_side",
    "data.workers",
    "detector.rpn.infer.per_level",
    "detector.rpn.infer.total",
    "detector.output.min_score",
    "detector.output.nms_iou",
    "detector.output.max_detections",
    "detector.output.min_size",
    "detector.output.mask_threshold",
    "schedule.epochs",
    "train.replicas",
    "train.deterministic",
    "train.evaluate_epochs",
    "train.checkpoint_epochs",
    "train.keep_checkpoints",
    "train.log_steps",
    "train.summary_images",
}


def resolve(experiment: Experiment) -> Experiment:
    """Returns `experiment` with absolute paths, so that its flagfile means the same in every folder."""

    def absolute(path):
        return str(Path(path).expanduser().resolve()) if path else path

    data = dataclasses.replace(experiment.data, records=absolute(experiment.data.records))
    backbone = experiment.detector.backbone
    backbone = dataclasses.replace(backbone, weights=absolute(backbone.weights))
    detector = dataclasses.replace(experiment.detector, backbone=backbone)
    return dataclasses.replace(experiment, workdir=absolute(experiment.workdir), data=data, detector=detector)


def begin(experiment: Experiment, info: dataset.DatasetInfo) -> None:
    """Notes a resolved experiment in its workdir; raises ValueError if the run there is another."""
    workdir = Path(experiment.workdir)
    if checkpoints.latest(workdir) and (workdir / FLAGFILE).is_file():
        _check_same(workdir, experiment, info)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        draft = workdir / f".{FLAGFILE}"
        draft.write_text(_text(experiment))
        os.replace(draft, workdir / FLAGFILE)
        (workdir / dataset.FILE).unlink(missing_ok=True)
        dataset.save(workdir, info)  # So that later commands know the classes where the records are not at hand.
    except OSError as error:
        raise ValueError(
            f"--workdir={workdir}: cannot write there ({error.strerror}); choose a folder that can be written to"
        ) from error


def _text(experiment):
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras"))
    return (
        f"# Written by tfrecog {_version()} ({versions}). To reproduce or continue this run:\n"
        f"# python -m tfrecog.train --flagfile={experiment.workdir}/{FLAGFILE}\n" + flagged.dumps(experiment)
    )


def _version():
    try:
        return metadata.version("tfrecog")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _check_same(workdir, experiment, info):
    try:
        before = flagged.load(Experiment(), workdir / FLAGFILE)
    except flags.Error as error:
        raise ValueError(f"{workdir / FLAGFILE} is not of this version: {error}; use another --workdir") from error
    differences = flagged.differences(before, experiment)
    changed = {flag: values for flag, values in differences.items() if flag not in MAY_DIFFER}
    if "data.records" in changed and (workdir / dataset.FILE).is_file() and dataset.load(workdir) == info:
        del changed["data.records"]  # The same records in another place.
    if changed:
        listing = "\n".join(
            f"  --{flag}: {_shown(old)} there, {_shown(new)} now" for flag, (old, new) in changed.items()
        )
        raise ValueError(
            f"{workdir} holds a run with other flags:\n{listing}\n"
            f"Start a new run with another --workdir, or continue this one with its own values:\n"
            f"  python -m tfrecog.train --flagfile={workdir / FLAGFILE}"
        )


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value) if value == "" else value
