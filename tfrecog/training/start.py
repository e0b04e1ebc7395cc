"""The start of a training: what is checked and claimed before it, and the weights that it begins from."""

import contextlib
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecog import tasks
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import shown
from tfrecog.config import Experiment, TrainConfig
from tfrecog.data import info
from tfrecog.models.backbones import keras_weights
from tfrecog.runs import checkpoints, folder, warm_start
from tfrecog.runtime import cluster, distribution
from tfrecog.training import peers, schedules
from tfrecog.training.step import TrainState


def prepare(experiment: Experiment) -> tuple:
    """Returns the resolved experiment, its task, its data and the claim on its workdir.

    Raises UserError or OSError; then nothing is left behind.
    """
    validate.check(experiment)
    workers = cluster.workers()
    if workers.count > 1:
        peers.check_flags(experiment)
    settle(experiment.train)
    # Here already, so that a wrong number of replicas leaves no run behind.
    check_divisible(experiment, distribution.strategy(experiment.train.replicas).num_replicas_in_sync)
    with workers.together():
        experiment = folder.resolve(experiment)
        dataset = info.load(experiment.data.records)
        task = tasks.build(experiment, dataset)
        data = task.data()
        check_bends(experiment, dataset, data.steps_per_epoch)
        peers.compare(workers, experiment)
        peers.check_shared(workers, experiment.workdir)
        claim = folder.begin(experiment, dataset) if workers.is_chief else contextlib.nullcontext()
        workers.meet()
    return experiment, task, data, claim


def settle(train: TrainConfig) -> None:
    """Has TensorFlow compute as a training asks for; before any operation runs.

    Afterwards more replicas on a CPU are refused, and determinism does not reach everything.
    """
    distribution.reserve(train.replicas if cluster.workers().count == 1 else 1)
    if train.deterministic or not tf.config.get_visible_devices("GPU"):
        # On a CPU always: some sums are else taken in whatever order the threads arrive.
        tf.config.experimental.enable_op_determinism()
        # It would join additions, two by two, into one AddN: see `train_step`.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def check_bends(experiment: Experiment, dataset: info.DatasetInfo, steps_per_epoch: int) -> None:
    """UserError if the run in the workdir would have taken its steps so far at other rates: bends are only added."""
    if not (latest := checkpoints.latest(experiment.workdir)):
        return
    old, new = folder.differences(experiment, dataset).get("schedule.bends", ((), ()))
    done = int(latest.name.partition("-")[2])
    common = min(len(old), len(new))
    more = [schedules.steps(epoch, steps_per_epoch) for epoch in (*old[common:], *new[common:])[::2]]
    if old[:common] != new[:common] or any(step < done for step in more):
        raise UserError(
            f"--schedule.bends={shown(new)}: the run in {experiment.workdir} has taken {done} steps with "
            f"{shown(old) or 'none'}; bends can be added behind those, or choose another --workdir"
        )


def check_divisible(experiment: Experiment, count: int) -> None:
    """UserError if a batch cannot be split equally among this many replicas."""
    size, parts = experiment.data.batch_size, experiment.train.accumulate_steps
    if size % (count * parts):
        what = f"{count} equal replicas"
        if parts > 1:
            what = f"--train.accumulate_steps={parts} equal parts on each of {what}"
        unit = count * parts
        raise UserError(
            f"--data.batch_size={size} does not divide into {what}; the nearest that do: "
            f"{max(unit, size // unit * unit)} and {(size // unit + 1) * unit}"
        )


def starting_point(experiment: Experiment, model: Any, state: TrainState) -> int:
    """Restores the run, or starts it from other weights, and returns how many steps are done."""
    workers, latest = cluster.workers(), checkpoints.latest(experiment.workdir)
    latest = workers.meet(latest and latest.name).values[0]  # The chief's: others may see it a little later.
    if latest:
        return checkpoints.restore(Path(experiment.workdir) / checkpoints.FOLDER / latest, model, state)
    options, backbone, learned = experiment.train, folder.pretrained_backbone(experiment), []
    if backbone:
        report = keras_weights.load(model.backbone, keras_weights.find(backbone))
        workers.say(report)
        learned = [variable.path for variable in model.backbone.variables]
    if options.start_from:
        report = warm_start.load_weights(options.start_from, model, options.skip_mismatched, learned, experiment)
        workers.say(report)
    state.averages.restart()
    return 0
