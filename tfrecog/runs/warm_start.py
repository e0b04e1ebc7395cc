"""How a new run starts from the weights of another: which of them fit, what must not be missing, whose rules hold."""

import dataclasses
import math
from collections.abc import Collection
from pathlib import Path

import keras

from tfrecog.cli import flags, validate
from tfrecog.cli.facts import BakedInto
from tfrecog.config import SINGLE_MAP, Experiment
from tfrecog.runs import checkpoint_reader, checkpoints, folder
from tfrecog.runs.checkpoint_reader import CheckpointError


def load_weights(
    source: str | Path,
    model: keras.Model,
    skip_mismatched: bool = False,
    learned: Collection[str] = (),
    experiment: Experiment | None = None,
) -> str:
    """Starts a model from the weights of a run's folder or of one checkpoint; returns a report for people.

    Raises CheckpointError, and changes nothing, if they do not fit.

    Args:
        source: names them.
        model: gets them.
        skip_mismatched: leaves variables as they are that are missing in the checkpoint or have another shape there.
            What is frozen may not be among them, unless it has learned elsewhere.
        learned: paths of the variables that have.
        experiment: of the new run. What the weights compute hangs on some of its settings too: where those of `source`
            differ, the report says so; for a folder of imported weights it is an error.
    """
    path = checkpoints.find(source)
    there, wanted = checkpoint_reader.read(path).averaged(), checkpoint_reader.variables_of(model)
    keys = dict(there.keys)
    # The last stage of a network, which on a single map is the trunk of the detector.
    for key in [key for key in wanted if key.startswith("model/trunk/res5/") and key not in keys]:
        elsewhere = key.replace("trunk", "backbone", 1)
        if elsewhere in keys and elsewhere not in wanted:
            keys[key] = keys.pop(elsewhere)
    for key, dense in _as_convolutions(wanted, keys).items():
        keys[key] = keys.pop(dense)[0], list(wanted[key].shape)
    for key, dense in _as_trunk(wanted, keys).items():
        keys[key] = keys.pop(dense)
    missing, surplus, reshaped = checkpoint_reader.compare(
        wanted, {k: v for k, v in keys.items() if k.startswith("model/")}
    )
    listing = checkpoint_reader.listing(missing, surplus, reshaped)
    if listing and not skip_mismatched:
        raise CheckpointError(
            f"{path} is of another model.\n{listing}To start from what fits and leave the rest as it is initialised, "
            "add --train.skip_mismatched"
        )
    fitting = {key: variable for key, variable in wanted.items() if key not in missing and key not in reshaped}
    ignorant = [p for p in _fixed(model) if f"model/{p}" not in fitting and p not in learned]
    if ignorant:
        raise CheckpointError(
            f"{path} lacks {len(ignorant)} variables that this run freezes, such as {ignorant[0]}: what is frozen must "
            f"have learned before.\n{listing}Start from weights of the same network, or let it learn: "
            f"{_thawing(ignorant, experiment)}"
        )
    if not fitting:
        raise CheckpointError(f"{path} has not one variable that this model has.\n{listing}")
    paths = [key.removeprefix("model/") for key in fitting]
    warning = _compare_rules(source, path, experiment, paths) if experiment else ""
    dataclasses.replace(there, keys=keys).assign(fitting)
    return f"{len(fitting)} of {len(wanted)} variables start from {path}\n{listing}{warning}".rstrip()


def _fixed(model):
    """Paths of the variables that training leaves as they are; moving statistics follow what learns, if that does."""
    learning = {variable.path for variable in model.trainable_variables}
    fixed = []
    for variable in model.variables:
        layer = variable.path.rpartition("/")[0]
        if variable.name.startswith("moving_"):
            of_learning = any(f"{layer}/{name}" in learning for name in ("gamma", "beta"))
        else:
            of_learning = variable.trainable or variable.name not in ("kernel", "bias", "gamma", "beta")
        if not of_learning:
            fixed.append(variable.path)
    return fixed


def _as_convolutions(wanted, keys):
    """Keys of fc6 and fc7 as convolutions → those of a classifier, fully connected, which hold the same numbers.

    There fc6 sees all cells of a map [S, S, C], flattened in that order (Long et al. 2015, section 3.1).
    """
    found = {}
    for key, variable in wanted.items():
        dense = key.replace("model/head/fc", "model/fc", 1)
        if key not in keys and dense != key and dense in keys:
            _, shape = keys[dense]
            if math.prod(shape) == math.prod(variable.shape) and shape[-1] == variable.shape[-1]:
                found[key] = dense
    return found


def _as_trunk(wanted, keys):
    """Keys of a detector's fully connected layers → those of fc6 and fc7 of a classifier, where both are as large.

    fc6 sees a map [S, S, C], flattened in that order, and so does the trunk: with VGG16 that of a roi is pooled to
    7 x 7, with AlexNet to 6 x 6, as the last pooling of the classifier leaves it (Girshick 2015, section 2.2).
    """
    found = {}
    for key, variable in wanted.items():
        for ours, theirs in (("dense1", "fc6"), ("dense2", "fc7")):
            dense = key.replace(f"model/trunk/{ours}/", f"model/{theirs}/", 1)
            if key not in keys and dense != key and dense in keys and keys[dense][1] == list(variable.shape):
                found[key] = dense
    # A layer's kernel and bias go together.
    return {key: dense for key, dense in found.items() if key.rpartition("/")[0] + "/kernel" in found}


def _thawing(paths, experiment):
    """Flags with which variables learn that are frozen."""
    section, backbone = folder.backbone_of(experiment or Experiment())
    normal = backbone.name not in SINGLE_MAP
    heads = {"fpn": "fpn/", "box": "trunk/conv", "mask": "mask/"}
    words = [
        f"--detector.{name}.norm=group" for name, begin in heads.items() if any(p.startswith(begin) for p in paths)
    ]
    if any(not path.startswith(tuple(heads.values())) for path in paths):
        words.insert(0, f"--{section}.backbone.norm=group " * normal + f"--{section}.backbone.frozen_stages=0")
    return " ".join(words)


def _compare_rules(source, path, experiment, paths):
    """A warning of the settings of another run that its weights depend on and this one has not; maybe empty.

    Raises CheckpointError where they matter and `source` is a folder of imported weights.
    """
    run = path.parent.parent
    if not (run / folder.FLAGFILE).is_file():
        return ""
    try:
        before = flags.load(Experiment(), run / folder.FLAGFILE)
    except flags.Error as error:
        return (
            f"warning: {run / folder.FLAGFILE} is not of this version, and not compared with the flags here: {error}\n"
        )
    if before.task == experiment.task:
        facts = {leaf.path: fact for leaf in flags.leaves(experiment) if (fact := leaf.fact(BakedInto))}
        concerned = {flag for flag, fact in facts.items() if fact.concerns(paths)}
        rules = {flag for flag in concerned if not facts[flag].slightly}
        habits, differences = concerned - rules, validate.differences(before, experiment)
    else:
        # They share the backbone alone, and epsilon does not stay what it was in all recipes.
        rules, habits = {"detector.backbone.stride_in_1x1"}, {"detector.backbone.norm_epsilon"}
        differences = flags.differences(_with_network(before), _with_network(experiment))
    broken = {flag: values for flag, values in differences.items() if flag in rules}
    if broken and (run / folder.IMPORTED).is_file() and Path(source).resolve() == run.resolve():
        raise CheckpointError(
            f"{run} holds published weights, which compute something else by the rules of this run:\n"
            f"{folder.listing(broken)}\nSet these flags as there; or begin the command with "
            f"--flagfile={run / folder.FLAGFILE}, and leave out the flagfile that sets them; or, to start "
            f"all the same, name the checkpoint: --train.start_from={path}"
        )
    changed = broken | {flag: values for flag, values in differences.items() if flag in habits}
    if not changed:
        return ""
    return f"warning: the weights of {run} learned by other rules than those of this run:\n{folder.listing(changed)}\n"


def _with_network(experiment):
    """The experiment with the rules of a classifier's or segmenter's network where a detector has its backbone's."""
    if experiment.task == "detection":
        return experiment
    if experiment.task == "segmentation":
        network = experiment.segmenter.backbone
    else:
        network = dataclasses.replace(
            experiment.detector.backbone, norm_epsilon=experiment.classifier.norm_epsilon, stride_in_1x1=False
        )
    return dataclasses.replace(experiment, detector=dataclasses.replace(experiment.detector, backbone=network))
