"""The folder of a run: WORKDIR/experiment.flags reproduces it, and says whether a new command continues it."""

import dataclasses
from importlib import metadata
from pathlib import Path
from typing import IO, Any, TypeVar

import tfrecog
from tfrecog.cli import files, flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Resumable
from tfrecog.config import SINGLE_MAP, BackboneConfig, Experiment
from tfrecog.data import info as dataset
from tfrecog.models.backbones import keras_weights
from tfrecog.runs import checkpoints

FLAGFILE, LOCK = "experiment.flags", ".lock"
IMPORTED = "imported.json"  # in a run that is made of published weights: where they are from

# What a run may be continued with another value of → what depends on it.
_RESUMABLE = {leaf.path: fact.decides for leaf in flags.leaves(Experiment()) if (fact := leaf.fact(Resumable))}
MAY_DIFFER = set(_RESUMABLE)
# What the weights and the metrics of a run do not depend on.
SAME_RESULTS = {path for path, decides in _RESUMABLE.items() if not decides}

_Experiment = TypeVar("_Experiment", bound=Experiment)  # also a command's flags that extend it


def resolve(experiment: _Experiment) -> _Experiment:
    """Returns `experiment` with absolute paths, so that its flagfile means the same in every folder."""

    def absolute(path):
        return str(Path(path).expanduser().resolve()) if path else path

    data = dataclasses.replace(experiment.data, records=absolute(experiment.data.records))
    train = dataclasses.replace(experiment.train, start_from=absolute(experiment.train.start_from))
    sections = {}
    for name in ("detector", "segmenter"):
        section = getattr(experiment, name)
        if section.backbone.weights != keras_weights.IMAGENET:
            backbone = dataclasses.replace(section.backbone, weights=absolute(section.backbone.weights))
            sections[name] = dataclasses.replace(section, backbone=backbone)
    return dataclasses.replace(experiment, workdir=absolute(experiment.workdir), data=data, train=train, **sections)


def evaluation_rules(experiment: Experiment) -> dict[str, Any]:
    """Flags, with their values, that decide what an evaluation of given weights measures."""
    leaves = flags.leaves(validate.read_alone(experiment))
    return {leaf.path: leaf.value for leaf in leaves if _RESUMABLE.get(leaf.path) == "evaluation"}


def backbone_of(experiment: Experiment) -> tuple[str, BackboneConfig]:
    """The section of the network that the task trains, of a detector or a segmenter, and its backbone."""
    section = "segmenter" if experiment.task == "segmentation" else "detector"
    return section, getattr(experiment, section).backbone


def begin(experiment: Experiment, info: dataset.DatasetInfo) -> IO:
    """Notes a resolved experiment in its workdir; raises ValueError if it cannot run there, and then changes nothing.

    Returns the claim on the workdir: until it is closed, no other process trains there.
    """
    workdir = Path(experiment.workdir)
    if (workdir / IMPORTED).is_file():
        raise UserError(
            f"--workdir={workdir} holds imported weights, which stay as they are. To train on from them, name another "
            f"folder and start from this one: --workdir=RUN --train.start_from={workdir} (for other classes with "
            "--train.skip_mismatched); configs/finetune/ has recipes"
        )
    if not checkpoints.latest(workdir):
        check_start(experiment)
    elif (workdir / FLAGFILE).is_file():
        _check_same(workdir, experiment, info)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        claim = files.claim(
            workdir / LOCK,
            f"another process is training in {workdir}: wait for it, end it, or choose another --workdir",
        )
        with files.write(workdir / FLAGFILE) as file:
            file.write(_text(experiment))
        (workdir / dataset.FILE).unlink(missing_ok=True)
        dataset.save(workdir, info)  # So that later commands know the classes where the records are not at hand.
    except OSError as error:
        raise UserError(
            f"--workdir={workdir}: cannot write there ({error.strerror}); choose a folder that can be written to, and "
            "has room"
        ) from error
    return claim


def check_start(experiment: Experiment) -> None:
    """ValueError if a new run would start what is frozen from random weights: it must have learned before."""
    section, backbone = backbone_of(experiment)
    if experiment.train.start_from:
        checkpoints.find(experiment.train.start_from)
    if reads_backbone_weights(experiment):
        keras_weights.find(backbone)
    if experiment.train.start_from:
        return  # Whether all that is frozen is there shows when the weights are read.
    if experiment.task == "classification":
        if experiment.classifier.norm == "frozen":
            raise UserError(
                "--classifier.norm=frozen: what is frozen must have learned before, and this run starts from random "
                "weights. Name others with --train.start_from=RUN, or train from scratch with --classifier.norm=batch"
            )
        return
    frozen, instead, of_keras = [], [], backbone.name.startswith("keras_")
    if not backbone.weights:
        normal = backbone.name not in SINGLE_MAP
        frozen += [f"--{section}.backbone.norm={backbone.norm}"] * (normal and backbone.norm == "frozen")
        frozen += [f"--{section}.backbone.frozen_stages={backbone.frozen_stages}"] * (backbone.frozen_stages > 0)
        norm = "batch" if of_keras or section == "segmenter" else "group"
        norm = f"--{section}.backbone.norm={norm} " if normal else ""
        instead += [f"{norm}--{section}.backbone.frozen_stages=0"] * bool(frozen)
    file = f" or --{section}.backbone.weights=imagenet" * (of_keras and bool(frozen))
    heads = _frozen_heads(experiment.detector) if section == "detector" else []
    if frozen or heads:
        frozen += [f"--detector.{head}.norm=frozen" for head in heads]
        instead += [f"--detector.{head}.norm=group" for head in heads]
        raise UserError(
            f"{' and '.join(frozen)}: what is frozen must have learned before, and this run starts it from random "
            f"weights. Name others with --train.start_from=RUN{file}, or train from scratch with {' '.join(instead)}"
        )


def _frozen_heads(detector):
    """Sections of a detector behind the backbone that have frozen norms."""
    if detector.pool == "warp" or detector.neck == "c4":
        return []  # There is no pyramid, and the heads are fully connected, or the last stage of the backbone.
    branches = {"box": detector.box.convs > 0, "mask": detector.masks and detector.mask.convs > 0}
    present = {"fpn": detector.neck == "fpn"} | branches
    return [name for name, there in present.items() if there and getattr(detector, name).norm == "frozen"]


def reads_backbone_weights(experiment: Experiment) -> bool:
    """Whether a new run reads --detector.backbone.weights: where --train.start_from does not give it every weight."""
    options = experiment.train
    if experiment.task == "classification":
        return False
    _, backbone = backbone_of(experiment)
    return bool(backbone.weights) and (not options.start_from or options.skip_mismatched)


def _text(experiment):
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("tensorflow", "keras"))
    return (
        f"# Written by tfrecog {tfrecog.version()} ({versions}). To reproduce or continue this run:\n"
        f"# python -m tfrecog.train --flagfile={experiment.workdir}/{FLAGFILE}\n" + validate.dumps(experiment)
    )


def _check_same(workdir, experiment, info):
    try:
        before = flags.load(Experiment(), workdir / FLAGFILE)
    except flags.Error as error:
        raise UserError(f"{workdir / FLAGFILE} is not of this version: {error}; use another --workdir") from error
    differences = validate.differences(before, experiment)
    changed = {flag: values for flag, values in differences.items() if flag not in MAY_DIFFER}
    if experiment.schedule.decay in ("cosine", "poly") and "schedule.epochs" in differences:
        changed["schedule.epochs"] = differences["schedule.epochs"]  # The rate of every step depends on it.
    if "data.records" in changed and (workdir / dataset.FILE).is_file() and dataset.load(workdir) == info:
        del changed["data.records"]  # The same records in another place.
    if changed:
        raise UserError(
            f"{workdir} holds a run with other flags:\n{listing(changed)}\n"
            f"Start a new run with another --workdir, or continue this one with its own values:\n"
            f"  python -m tfrecog.train --flagfile={workdir / FLAGFILE}"
        )
    _check_same_records(workdir, experiment, info)


def listing(differences: dict[str, tuple]) -> str:
    """Lines for people of flag → the value in another run, the value now."""
    return "\n".join(f"  --{flag}: {_shown(old)} there, {_shown(new)} now" for flag, (old, new) in differences.items())


def _check_same_records(workdir, experiment, info):
    """The steps already taken, and the epoch that they are part of, are of the records as they were."""
    if not (workdir / dataset.FILE).is_file():
        return
    split, before = experiment.data.train_split, dataset.load(workdir)
    facts = [records.splits.get(split) for records in (before, info)]
    compared = [
        ("classes", before.names, info.names),
        ("images", *(one.images if one else 0 for one in facts)),
    ]
    if experiment.task == "segmentation" and experiment.segmenter.class_balance:  # Weights are made of them.
        compared.append(("pixels of each class", *(one.pixels if one else () for one in facts)))
    for what, old, new in compared:
        if old != new:
            raise UserError(
                f"the records in {experiment.data.records} are not those that {workdir} was begun with: other {what} "
                f"in {split!r} ({_short(old)} then, {_short(new)} now). Start a new run with another --workdir, from "
                f"these weights if you like: --train.start_from={workdir}"
            )


def _short(value):
    return f"{len(value)}: {', '.join(map(str, value[:5]))}" if isinstance(value, tuple) else value


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value) if value == "" else value
