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

# Layers of this model → the same in a network of another role.
_ROLES = {
    # The last stage of a network, which on a single map is the trunk of the detector.
    "model/trunk/res5/": "model/backbone/res5/",
    # Fully connected layers of a classifier, here convolutions: fc6 sees all cells of a map [S, S, C], flattened in
    # that order (Long et al. 2015, section 3.1).
    "model/head/fc": "model/fc",
    # So does the trunk: with VGG16 the map of a roi is pooled to 7 x 7, with AlexNet to 6 x 6, as the last pooling of
    # the classifier leaves it (Girshick 2015, section 2.2).
    "model/trunk/dense1/": "model/fc6/",
    "model/trunk/dense2/": "model/fc7/",
}


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
    keys = _renamed(wanted, there.keys)
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


def _renamed(wanted, keys):
    """Keys of a checkpoint, where layers of another role have the names and shapes that this model has for them."""
    found = {}
    for key, variable in wanted.items():
        for ours, theirs in _ROLES.items():
            there = key.replace(ours, theirs, 1)
            if there != key and there in keys and key not in keys and there not in wanted:
                shape = keys[there][1]
                if math.prod(shape) == math.prod(variable.shape) and shape[-1:] == list(variable.shape[-1:]):
                    found[key] = there
    # A layer's kernel and bias go together.
    found = {k: there for k, there in found.items() if not k.endswith("/bias") or k[: -len("bias")] + "kernel" in found}
    kept = {key: at for key, at in keys.items() if key not in found.values()}
    return kept | {key: (keys[there][0], list(wanted[key].shape)) for key, there in found.items()}


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


def _differences_of_networks(before, experiment):
    """Flag → the two values, where networks of two tasks follow other rules; one without `stride_in_1x1` has it off."""
    found = {}
    for name, absent in _OF_NETWORKS.items():
        (there, old), (here, new) = (_rule(one, name) or ("", absent) for one in (before, experiment))
        if old != new and None not in (old, new):
            found[here or there] = old, new
    return found


def _rule(experiment, name):
    """Flag and value of a rule of the network that an experiment reads; None if it has none of that name."""
    leaves = validate.read_leaves(experiment)
    return next(((leaf.path, leaf.value) for leaf in leaves if leaf.path.endswith(f".{name}")), None)
