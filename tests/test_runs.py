"""What a run may be continued with."""

from dataclasses import replace

import keras
import pytest

from tfrecog.cli import flags
from tfrecog.config import ClassifierConfig, Experiment
from tfrecog.data import info
from tfrecog.runs import checkpoints, folder

CLASSIFIER = ClassifierConfig(norm="batch")
CLASSES = info.DatasetInfo((info.Category("cat", 1),), {"train": info.SplitInfo(4, 0, 0, ())}, image_labels=True)


def begun(experiment, workdir):
    """A run that has taken steps."""
    folder.begin(experiment, CLASSES).close()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")], name="tiny")
    checkpoints.save(workdir, 3, model, None, keep=1)


@pytest.mark.parametrize("decay", ["steps", "constant", "cosine", "poly"])
def test_a_run_may_become_longer_unless_the_rate_of_its_steps_hangs_on_its_length(tmp_path, decay):
    experiment = Experiment(task="classification", workdir=str(tmp_path), classifier=CLASSIFIER)
    experiment = replace(experiment, schedule=replace(experiment.schedule, decay=decay))
    begun(experiment, tmp_path)
    longer = replace(experiment, schedule=replace(experiment.schedule, epochs=20.0))
    if decay in ("cosine", "poly"):
        with pytest.raises(ValueError, match=r"--schedule\.epochs: 12\.0 there, 20\.0 now"):
            folder.begin(longer, CLASSES)
    else:
        folder.begin(longer, CLASSES).close()
    folder.begin(experiment if decay in ("cosine", "poly") else longer, CLASSES).close()


def test_the_flagfile_of_a_run_has_the_settings_that_it_reads_and_no_others(tmp_path):
    experiment = Experiment(task="classification", workdir=str(tmp_path), classifier=CLASSIFIER)
    folder.begin(experiment, CLASSES).close()
    lines = (tmp_path / folder.FLAGFILE).read_text().splitlines()
    sections = {line.removeprefix("--").partition(".")[0] for line in lines if "." in line and line.startswith("--")}
    assert sections >= {"data", "augment", "classifier", "optim", "schedule", "train"}
    assert not sections & {"detector", "segmenter"}
    assert "--classifier.norm=batch" in lines and "--augment.layers=0" in lines
    assert not any(
        line.startswith(("--augment.magnitude", "--optim.trust_coefficient", "--data.max_instances")) for line in lines
    )
    assert flags.load(Experiment(), tmp_path / folder.FLAGFILE) == experiment


def test_a_part_that_is_switched_off_may_change_in_a_run_and_one_that_is_on_may_not(tmp_path):
    experiment = Experiment(task="classification", workdir=str(tmp_path), classifier=CLASSIFIER)
    experiment = flags.replace(experiment, {"schedule.warmup": "none", "schedule.warmup_epochs": 3.0})
    begun(experiment, tmp_path)
    folder.begin(flags.replace(experiment, {"schedule.warmup_epochs": 5.0}), CLASSES).close()
    with pytest.raises(ValueError, match=r"--schedule\.warmup: none there, gradual now"):
        folder.begin(flags.replace(experiment, {"schedule.warmup": "gradual"}), CLASSES)
