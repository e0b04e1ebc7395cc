"""Tasks: each is the one place where its data, model and losses meet."""

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


def of(name: str):
    """The class of the task of that name."""
    from tfrecog.tasks import classification, detection, segmentation

    return {
        "detection": detection.Detection,
        "classification": classification.Classification,
        "segmentation": segmentation.Segmentation,
    }[name]


def build(experiment: Experiment, info: DatasetInfo):
    """The task that `experiment.task` names."""
    return of(experiment.task)(experiment, info)
