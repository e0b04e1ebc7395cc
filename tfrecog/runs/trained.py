"""The model of a run, with the weights of one of its checkpoints."""

from pathlib import Path

from tfrecog import tasks
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.runs import checkpoints
from tfrecog.runtime import distribution


def restore(experiment: Experiment, checkpoint: str):
    """Task, model with the weights of a run's checkpoint, and strategy; also the checkpoint's path and step.

    `checkpoint` is `latest`, `best`, or a path.
    """
    choose = {"latest": checkpoints.latest, "best": checkpoints.best}
    path = choose[checkpoint](experiment.workdir) if checkpoint in choose else checkpoints.find(checkpoint)
    if path is None:
        raise checkpoints.CheckpointError(
            f"there is no {checkpoint} checkpoint in {experiment.workdir or 'the current folder'}: give the "
            "experiment.flags of a run that has saved one, its folder with --workdir if it has moved, or --checkpoint"
        )
    strategy = distribution.at_most(experiment.train.replicas)
    task = tasks.build(experiment, get_dataset(experiment))
    with strategy.scope():
        model = task.build()
    step = checkpoints.restore(path, model)
    return task, model, strategy, path, step


def get_dataset(experiment: Experiment) -> info.DatasetInfo:
    """What a run was trained on: its folder notes it, so the records need not be at hand."""
    noted = (Path(experiment.workdir) / info.FILE).is_file()
    return info.load(experiment.workdir if noted else experiment.data.records)
