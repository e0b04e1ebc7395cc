"""What a run may be continued with."""

from dataclasses import replace

import keras
import pytest

from tfrecog.config import ClassifierConfig, Experiment
from tfrecog.data import info
from tfrecog.runs import checkpoints, folder

CLASSES = info.DatasetInfo((info.Category("cat", 1),), {"train": info.Split(4, 0, 0, ())}, image_labels=True)


@pytest.mark.parametrize("shape", ["steps", "constant", "cosine", "poly"])
def test_a_run_may_become_longer_unless_the_rate_of_its_steps_hangs_on_its_length(tmp_path, shape):
    experiment = Experiment(task="classification", workdir=str(tmp_path), classifier=ClassifierConfig(norm="batch"))
    experiment = replace(experiment, schedule=replace(experiment.schedule, shape=shape))
    folder.begin(experiment, CLASSES).close()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")], name="tiny")
    checkpoints.save(tmp_path, 3, model, None, keep=1)
    longer = replace(experiment, schedule=replace(experiment.schedule, epochs=20.0))
    if shape in ("cosine", "poly"):
        with pytest.raises(ValueError, match=r"--schedule\.epochs: 12\.0 there, 20\.0 now"):
            folder.begin(longer, CLASSES)
    else:
        folder.begin(longer, CLASSES).close()
    folder.begin(experiment if shape in ("cosine", "poly") else longer, CLASSES).close()
