"""What a training says when memory runs out, and the profile that it records."""

import pytest
import tensorflow as tf

from tests import tiny
from tfrecog.cli import flags, out_of_memory
from tfrecog.config import Experiment
from tfrecog.inference import predictor
from tfrecog.runtime import distribution

FULL = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[16,256,200,336]\nmore")


def advice(size=32, parts=1, count=2, **options):
    changes = [f"--data.batch_size={size}", f"--train.accumulate_steps={parts}"]
    experiment = flags.change(Experiment(**options), changes)
    return str(out_of_memory.in_training(FULL, {"image": tf.zeros([size, 8, 13, 3])}, experiment, count))


def test_the_error_says_what_ran_out_of_memory_and_what_to_lower():
    text = advice()
    assert "32 images on 2 replicas: 16 at a time, of 8 x 13 pixels (OOM when allocating tensor with shape" in text
    assert "--train.accumulate_steps=2 works through the batch 8 at a time, and changes no result" in text
    assert "--data.batch_size=16, and the learning rate follows" in text
    assert "--data.short_side below 800, --data.long_side below 1333" in text
    assert "--train.precision=bfloat16" in text


@pytest.mark.parametrize(
    ("size", "parts", "count", "finer"), [(32, 2, 2, 4), (12, 2, 1, 3), (9, 1, 1, 3), (4, 4, 1, 0)]
)
def test_the_parts_that_it_proposes_divide_the_share_of_a_replica(size, parts, count, finer):
    assert f"--train.accumulate_steps={finer} " in advice(size, parts, count) or not finer
    assert finer or "--train.accumulate_steps" not in advice(size, parts, count)


def test_of_a_classifier_it_names_the_crop():
    assert "--classifier.crop below 224" in advice(task="classification")


def test_a_training_that_runs_out_of_memory_says_so(tmp_path):
    class Full(tiny.Task):
        def losses(self, model, batch):
            raise FULL

    with pytest.raises(out_of_memory.OutOfMemory, match="8 images on one replica: 8 at a time"):
        tiny.train(tmp_path, task=Full)


def test_an_evaluation_that_runs_out_of_memory_says_so():
    class Full:
        def predict(self, model, batch):
            raise FULL

    batch = {"image": tf.zeros([6, 4, 5, 3]), "valid": tf.fill([6], True)}
    advised = r"(?s)6 images on one replica, of 4 x 5 .*--data\.eval_batch_size=3"
    with pytest.raises(out_of_memory.OutOfMemory, match=advised):
        list(predictor.predict_batches(Full(), None, distribution.strategy(1), [batch]))


def test_a_profile_is_there_after_its_last_step(tmp_path, capsys):
    tiny.train(tmp_path, profile_steps=(3, 5), steps_per_execution=4)
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
    assert f"the profile of the steps 3 to 5 is in {tmp_path}/plugins/profile" in capsys.readouterr().out


def test_a_run_that_ends_within_its_profile_leaves_what_there_is(tmp_path):
    with pytest.raises(ZeroDivisionError):
        tiny.train(tmp_path, batches=tiny.data(tiny.raises(ZeroDivisionError, at=5)), profile_steps=(3, 9))
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
    tf.profiler.experimental.start(str(tmp_path / "next"))  # An error, were the first still running.
    tf.profiler.experimental.stop(save=False)
