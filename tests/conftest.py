"""Two logical CPUs, so that MirroredStrategy has two real replicas on any machine; and where the real data lie."""

import os
import signal
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# As trainings have it, so that one in this process and one by the command are the same to the bit on any CPU.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pytest
import tensorflow as tf

from tests.folders import REPOSITORY

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def two_replicas():
    """A MirroredStrategy of two CPU replicas."""
    from tfrecog.runtime import distribution

    return distribution.strategy(2)


@pytest.fixture(scope="session")
def convolving_in():
    """A function that skips a test where convolutions of a kind of number are not to be had.

    A oneDNN that may not use the instructions of the CPU (ONEDNN_MAX_CPU_ISA) has none in bfloat16, and TensorFlow,
    which looks at the CPU alone, asks it for them.
    """

    def check(kind):
        try:
            tf.nn.conv2d(tf.zeros([1, 8, 8, 3], kind), tf.zeros([3, 3, 3, 4], kind), 1, "SAME")
        except tf.errors.AbortedError as error:
            pytest.skip(f"no convolution in {kind} here: {error.message}")

    return check


@pytest.fixture
def signal_handlers():
    """What a test sets as handlers of signals ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real data sets, which are not part of the repository: TFRECOG_TEST_DATA, or one beside it."""
    folder = Path(os.environ.get("TFRECOG_TEST_DATA") or REPOSITORY / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip(f"the real data sets are not at {folder}; TFRECOG_TEST_DATA names their folder")
    return folder
