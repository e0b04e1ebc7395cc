"""Tasks: each is the one place where its data, model and losses meet."""

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


def build(experiment: Experiment, info: DatasetInfo):
    """The task that `experiment.task` names."""
    from tfrecog.tasks.classification import Classification
    from tfrecog.tasks.detection import Detection
    from tfrecog.tasks.segmentation import Segmentation

    of = {"detection": Detection, "classification": Classification, "segmentation": Segmentation}
    return of[experiment.task](experiment, info)
