"""How a new run starts from the weights of another: which of them fit, what must not be missing, whose rules hold."""

import dataclasses
import math
from collections.abc import Collection
from pathlib import Path

import keras

from tfrecog.cli import flags, validate
from tfrecog.cli.facts import BakedInto, shown
from tfrecog.config import Experiment
from tfrecog.runs import checkpoint_reader, checkpoints, folder
from tfrecog.runs.checkpoint_reader import CheckpointError

# Rules of a network that any task may have, and what one without such a setting follows; None: another rule.
_OF_NETWORKS = {"stride_in_1x1": False, "norm_epsilon": None}


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
            f"{path} lacks {len(ignorant)} variables that this run freezes, such as {ignorant[0]}: frozen layers "
            f"need pretrained weights.\n{listing}Start from weights of the same network{_or_thaw(experiment, ignorant)}"
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


def _or_thaw(experiment, paths):
    """The advice to let the variables with these paths learn, by the flags that freeze them; empty if none does."""
    frozen = folder.frozen_settings(experiment or Experiment(), paths)
    learning = " ".join(f"--{flag}={shown(instead)}" for flag, (_, instead) in frozen.items())
    return f", or let it learn: {learning}" if learning else ""


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
        differences = _differences_of_networks(before, experiment)
        rules = {flag for flag in differences if flag.endswith("stride_in_1x1")}
        habits = differences.keys() - rules
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


def _network_rules(experiment):
    """Rules of the network that every task has: name → flag and value, of those that this one reads."""
    skipped = validate.unread(experiment)
    leaves = {leaf.path.rpartition(".")[2]: leaf for leaf in flags.leaves(experiment) if leaf.path not in skipped}
    return {name: (leaves[name].path, leaves[name].value) for name in _OF_NETWORKS if name in leaves}


def _differences_of_networks(before, experiment):
    """Flag → the two values, where networks of two tasks follow other rules; one without `stride_in_1x1` has it off."""
    there, here = _network_rules(before), _network_rules(experiment)
    found = {}
    for name, absent in _OF_NETWORKS.items():
        flag = (here.get(name) or there.get(name) or (name,))[0]
        old, new = (rules[name][1] if name in rules else absent for rules in (there, here))
        if old != new and None not in (old, new):
            found[flag] = old, new
    return found
