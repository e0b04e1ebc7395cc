"""Steps that are timed in a process of their own."""

import os
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.fitting import pictures
from tfrecog.cli.errors import UserError
from tfrecog.config import BoxConfig
from tfrecog.fitting import choices, facts, machine
from tfrecog.fitting.session import sources
from tfrecog.fitting.timing import measuring, probe
from tfrecog.ops import boxes
from tfrecog.tasks.detection import Truth


def test_copies_of_the_truth_fill_the_positives_of_each_image():
    truth = Truth(
        {
            "boxes": tf.constant([[[10.0, 10, 50, 30], [0, 0, 20, 20]], [[5, 5, 25, 65], [0, 0, 0, 0]]]),
            "labels": tf.constant([[1, 2], [1, 0]]),
        }
    )
    box = BoxConfig(samples=16, positive_fraction=0.5)
    seen = {}

    def sample_rois(rois, valid, truth, seed):
        seen.update(rois=rois, valid=valid)

    rois, valid = tf.zeros([2, 3, 4]), tf.zeros([2, 3], tf.bool)
    measuring.with_copies(sample_rois, box)(rois, valid, truth, None)
    assert seen["rois"].shape == [2, 8 + 3, 4]
    np.testing.assert_array_equal(seen["valid"][:, :8], True)
    for image in range(2):
        iou = boxes.pairwise_iou(truth.boxes[image], seen["rois"][image, :8])
        assert float(tf.reduce_min(tf.reduce_max(iou, axis=0))) > 0.7  # Of each copy with an object: a positive.


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    source = sources.of_photos(str(pictures.of_classes(folder / "photos", each=40)), folder / "out")
    found = facts.of_records(source.records, source.train)
    plan = choices.ladder(found, machine.Machine(2.0, 10**9), {"data.eval_split": "val"}, 5.0)[0]
    return choices.with_length(plan, found, 4, 100, 1).experiment()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_steps_are_timed_and_a_process_that_dies_is_one_without_memory(experiment):
    with probe.Prober() as prober:
        measured = prober.measure(experiment, evaluates=True, most=20, longest=1e300)
        assert measured.steps_per_epoch == choices.steps_per_epoch(experiment)
        assert 0 < measured.step < measured.start and measured.memory > 2**26
        assert measured.evaluation(10) > 0
        with pytest.raises(UserError, match="no_such_folder"):
            prober.measure(type(experiment)(workdir="", data=type(experiment.data)(records="/no_such_folder")))
        with pytest.raises(probe.TooSlow):
            prober.measure(experiment, longest=0.01)
        assert prober._process is None
        prober._start()
        os.kill(prober._process.pid, signal.SIGKILL)  # as the system does where memory is short
        with pytest.raises(probe.NotEnoughMemory):
            prober.measure(experiment)
