"""Tasks: each is the one place where its data, model and losses meet."""

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


def build(experiment: Experiment, info: DatasetInfo):
    """The task that `experiment.task` names."""
    from tfrecog.tasks.classification import Classification
    from tfrecog.tasks.detection import Detection

    return {"detection": Detection, "classification": Classification}[experiment.task](experiment, info)
