"""Tasks: each is the one place where its data, model and losses meet."""

from tfrecog.config import Experiment
from tfrecog.data.info import DatasetInfo


def build(experiment: Experiment, info: DatasetInfo):
    """The task that `experiment.task` names."""
    from tfrecog.tasks.classification import Classification
    from tfrecog.tasks.detection import Detection

    return {"detection": Detection, "classification": Classification}[experiment.task](experiment, info)


def check_learns(experiment: Experiment) -> None:
    """Raises ValueError for a task that has no training and no evaluation yet."""
    if experiment.task == "classification":
        raise ValueError(
            "--task=classification: classifiers cannot be trained or evaluated yet. A classifier's run can be shown "
            "pictures (python -m tfrecog.predict --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=SEEN), "
            "and a detector can start from its backbone (--train.start_from=RUN --train.skip_mismatched)"
        )
