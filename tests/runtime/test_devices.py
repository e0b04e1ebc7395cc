"""The device that a command, or a program, computes on."""

import pytest
import tensorflow as tf

import tfrecog
from tests.export import random_runs
from tests.runtime.test_cluster import clusters
from tfrecog.cli.errors import UserError
from tfrecog.runtime import devices, distribution
from tfrecog.runtime.cluster import Workers


@pytest.mark.parametrize("device", ["gpu:7", "tpu", "cpu:1", "GPU"])
def test_one_that_is_not_there_is_refused_with_those_that_are(device):
    with pytest.raises(UserError, match=f"--device={device} is not a device of this machine; there is cpu"):
        devices.choose(device)


def test_the_cpu_is_always_there_and_what_has_begun_stays(tmp_path):
    run = random_runs.make("classifier_digits", tmp_path).parent
    with pytest.raises(UserError, match=r"^device=gpu:7 is not"):
        tfrecog.load(run, device="gpu:7")
    with pytest.raises(UserError, match=r"a \.tflite file is run on the CPU"):
        tfrecog.load("model.tflite", device="gpu")
    if tf.config.list_physical_devices("GPU"):
        with pytest.raises(UserError, match="has already begun on other devices"):
            devices.choose("cpu")
    else:
        assert tfrecog.load(run, device="cpu").keras_model
        assert distribution.strategy().extended.worker_devices[0].endswith("CPU:0")


@pytest.mark.parametrize(("kind", "asked"), [("GPU", "NCCL"), ("CPU", None)])
def test_nccl_is_asked_for_where_several_machines_have_gpus(kind, asked, monkeypatch):
    """No cluster of GPUs is at hand: only what TensorFlow is asked for is seen."""
    monkeypatch.setattr(Workers, "connect", lambda _, make: make())
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda resolver, options: (resolver, options))
    resolver, options = distribution._of_workers(Workers(clusters(1, 2)[1]), 1, kind)  # type: ignore[misc]
    assert (options and options.implementation.value) == asked
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)
