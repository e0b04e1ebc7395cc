"""The folder of a run: WORKDIR/experiment.flags reproduces it, and says whether a new command continues it."""

import re
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, TypeVar

import tensorflow as tf

import tfrecog
from tfrecog.cli import files, flagfiles, flags, urls, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Freezes, Resumable, shown
from tfrecog.config import BackboneConfig, Experiment
from tfrecog.data import info as dataset
from tfrecog.models.backbones import keras_weights
from tfrecog.runs import checkpoints
from tfrecog.runtime import environment, onednn

FLAGFILE, LOCK, IMPORTED = flagfiles.OF_RUN, ".lock", flagfiles.IMPORTED

# What a run may be continued with another value of → what depends on it.
_RESUMABLE = {leaf.path: fact.decides for leaf in flags.leaves(Experiment()) if (fact := leaf.fact(Resumable))}
MAY_DIFFER = set(_RESUMABLE)
# What the weights and the metrics of a run do not depend on.
SAME_RESULTS = {path for path, decides in _RESUMABLE.items() if not decides}

_Experiment = TypeVar("_Experiment", bound=Experiment)  # also a command's flags that extend it


def resolve(experiment: _Experiment) -> _Experiment:
    """Returns `experiment` with absolute paths, so that its flagfile means the same in every folder."""
    paths = {"workdir": experiment.workdir, "data.records": experiment.data.records}
    paths["train.start_from"] = experiment.train.start_from
    for section, backbone in backbones(experiment).items():
        if backbone.weights != keras_weights.IMAGENET:
            paths[f"{section}.weights"] = backbone.weights
    return flags.replace(experiment, {k: urls.absolute(v) for k, v in paths.items() if v})


def evaluation_rules(experiment: Experiment) -> dict[str, Any]:
    """Flags, with their values, that decide what an evaluation of given weights measures."""
    leaves = flags.leaves(validate.read_alone(experiment))
    return {leaf.path: leaf.value for leaf in leaves if _RESUMABLE.get(leaf.path) == "evaluation"}


def backbones(experiment: Experiment) -> dict[str, BackboneConfig]:
    """The path of each section of a backbone, of whatever task, and the section."""
    sections = vars(experiment).items()
    return {f"{name}.backbone": section.backbone for name, section in sections if hasattr(section, "backbone")}


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
        note(experiment)
        (workdir / dataset.FILE).unlink(missing_ok=True)
        dataset.save(workdir, info)  # So that later commands know the classes where the records are not at hand.
    except OSError as error:
        raise UserError(
            f"--workdir={workdir}: cannot write there ({error.strerror}); choose a folder that can be written to, and "
            "has room"
        ) from error
    return claim


def note(experiment: Experiment) -> None:
    """Writes a resolved experiment to its workdir, as the one that the run there is."""
    with files.write(Path(experiment.workdir) / FLAGFILE) as file:
        file.write(_text(experiment))


def check_start(experiment: Experiment) -> None:
    """UserError if a new run would freeze layers at random weights: frozen layers need pretrained weights."""
    start, pretrained = experiment.train.start_from, pretrained_backbone(experiment)
    if start:
        checkpoints.find(start)
    if pretrained:
        keras_weights.find(pretrained)
    if start:
        return  # Whether all that is frozen is there shows when the weights are read.
    sections = backbones(experiment)
    frozen = {
        flag: values
        for flag, values in frozen_settings(experiment).items()
        if not (pretrained and sections.get(_section(flag)) is pretrained)
    }
    if not frozen:
        return
    others, skipped = "--train.start_from=RUN", validate.unread(experiment)
    for section in dict.fromkeys(map(_section, frozen)):
        if section in sections and f"{section}.weights" not in skipped:
            others += f" or --{section}.weights={keras_weights.IMAGENET}"
    raise UserError(
        f"{' and '.join(f'--{flag}={shown(value)}' for flag, (value, _) in frozen.items())}: frozen layers need "
        f"pretrained weights, and this run initialises them at random. Give weights with {others}, or train from "
        f"scratch with {' '.join(f'--{flag}={shown(instead)}' for flag, (_, instead) in frozen.items())}"
    )


def frozen_settings(experiment: Experiment, paths: Collection[str] | None = None) -> dict[str, tuple[Any, Any]]:
    """Flags by which weights stay as they are → their values, and those with which they would learn.

    Of all weights, or of the variables with these paths.
    """
    found = {}
    for leaf in validate.read_leaves(experiment):
        fact = leaf.fact(Freezes)
        if fact and fact.holds(leaf.value) and (paths is None or fact.concerns(paths)):
            fitting = (
                value
                for value in fact.instead
                if leaf.path not in validate.problems(flags.replace(experiment, {leaf.path: value}))
            )
            found[leaf.path] = leaf.value, next(fitting, fact.instead[-1])
    return found


def pretrained_backbone(experiment: Experiment) -> BackboneConfig | None:
    """The backbone whose `weights` a new run reads: where --train.start_from does not give it every weight."""
    if experiment.train.start_from and not experiment.train.skip_mismatched:
        return None
    skipped = validate.unread(experiment)
    read = (each for section, each in backbones(experiment).items() if f"{section}.weights" not in skipped)
    return next((backbone for backbone in read if backbone.weights), None)


def _section(flag):
    return flag.rpartition(".")[0]


def trained_with_onednn(workdir: str | Path) -> bool | None:
    """Whether the last training in a workdir computed with oneDNN; None if that is not known."""
    head = (Path(workdir) / FLAGFILE).read_text(errors="replace").partition("\n")[0]
    noted = re.search(r"\boneDNN (on|off)\b", head) if head.startswith("#") else None
    return noted[1] == "on" if noted else None


def _text(experiment):
    used = [f"{name} {version}" for name, version in environment.versions("tensorflow", "keras").items()]
    if not tf.config.get_visible_devices("GPU"):
        used.append(f"oneDNN {'on' if onednn.is_on() else 'off'}")
    return (
        f"# Written by tfrecog {tfrecog.version()} ({', '.join(used)}). To reproduce or continue this run:\n"
        f"# python -m tfrecog.train --flagfile={shlex.quote(f'{experiment.workdir}/{FLAGFILE}')}\n"
        + validate.dumps(experiment)
    )


def differences(experiment: Experiment, info: dataset.DatasetInfo | None = None) -> dict[str, tuple[Any, Any]]:
    """Flag → its values in the run that the workdir holds and in this one, where they differ; none without a run.

    `info` is of the records of this one; None: it is read from them. UserError if that run is of another version.
    """
    workdir = Path(experiment.workdir)
    try:
        existing = flags.load(Experiment(), workdir / FLAGFILE) if (workdir / FLAGFILE).is_file() else experiment
    except flags.Error as error:
        raise UserError(f"{workdir / FLAGFILE} is not of this version: {error}; use another --workdir") from error
    found, noted = validate.differences(existing, experiment), (workdir / dataset.FILE).is_file()
    if "data.records" in found and noted and dataset.load(workdir) == (info or dataset.load(experiment.data.records)):
        del found["data.records"]  # The same records in another place.
    return found


def _check_same(workdir, experiment, info):
    found = differences(experiment, info)
    changed = {flag: values for flag, values in found.items() if flag not in MAY_DIFFER}
    if experiment.schedule.decay in ("cosine", "poly", "linear") and "schedule.epochs" in found:
        changed["schedule.epochs"] = found["schedule.epochs"]  # The rate of every step depends on it.
    if changed:
        weights, flagfile = (shlex.quote(str(path)) for path in (workdir, workdir / FLAGFILE))
        raise UserError(
            f"{workdir} holds a run with other flags:\n{listing(changed)}\n"
            f"Start a new run with another --workdir (from these weights: --train.start_from={weights}), or continue "
            f"this one with its own values:\n  python -m tfrecog.train --flagfile={flagfile}"
        )
    _check_same_records(workdir, experiment, info)


def listing(differences: dict[str, tuple]) -> str:
    """Lines for people of flag → the value in another run, the value now."""
    return "\n".join(f"  --{flag}: {_shown(old)} there, {_shown(new)} now" for flag, (old, new) in differences.items())


def _check_same_records(workdir, experiment, info):
    """UserError if the records differ from those that the steps so far were trained on."""
    if not (workdir / dataset.FILE).is_file():
        return
    split, before = experiment.data.train_split, dataset.load(workdir)
    facts = [records.splits.get(split) for records in (before, info)]
    compared = [
        ("classes", before.names, info.names),
        ("images", *(one.images if one else 0 for one in facts)),
    ]
    if experiment.segmenter.class_balance:  # Weights are made of them.
        compared.append(("pixels of each class", *(one.pixels if one else () for one in facts)))
    for what, old, new in compared:
        if old != new:
            raise UserError(
                f"the records in {experiment.data.records} are not those that {workdir} was started with: other {what} "
                f"in {split!r} ({_short(old)} then, {_short(new)} now). Start a new run with another --workdir, from "
                f"these weights if you like: --train.start_from={workdir}"
            )


def _short(value):
    return f"{len(value)}: {', '.join(map(str, value[:5]))}" if isinstance(value, tuple) else value


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value) if value == "" else value
