"""Tasks: each is the one place where its data, model and losses meet."""

import importlib

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo

_CLASSES = {
    "detection": "Detection",
    "classification": "Classification",
    "segmentation": "Segmentation",
}


def of(name: str):
    """The class of the task of that name; its module is imported, and those of the others are not."""
    return getattr(importlib.import_module(f"tfrecog.tasks.{name}"), _CLASSES[name])


def build(experiment: Experiment, info: DatasetInfo):
    """The task that `experiment.task` names."""
    return of(experiment.task)(experiment, info)
