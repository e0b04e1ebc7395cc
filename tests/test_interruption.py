"""A command that is stopped ends with a line and its exit status, whatever it was doing."""

import os
import signal
import subprocess
import sys
import threading

import keras
import pytest
import tensorflow as tf

from tests.folders import REPOSITORY
from tfrecog import train
from tfrecog.cli import command, signals
from tfrecog.training import loop

RESUME = "python -m tfrecog.train --flagfile="


class Slow(keras.layers.Layer):
    """The signal comes while a layer is traced, which Keras and autograph wrap in their own errors."""

    def call(self, x):
        os.kill(os.getpid(), signal.SIGTERM)
        return x


pytestmark = pytest.mark.usefixtures("signal_handlers")


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "graph"])
def test_a_signal_inside_a_layer_stops_the_command(capsys, traced):
    layer = Slow()
    call = tf.function(layer) if traced else layer

    def main():
        call(tf.zeros([1, 2]))

    with pytest.raises(SystemExit) as ended, signals.stops(main):
        command.end(main)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "stopped; nothing is left half written" in capsys.readouterr().err


def test_a_training_that_is_stopped_before_there_is_a_run_names_no_flagfile(tmp_path, monkeypatch, capsys):
    def stop(_):
        raise signals.Stopped(signal.SIGTERM)

    monkeypatch.setattr(loop, "train", stop)
    for line in ("stopped; nothing is left half written", f"stopped; to continue: {RESUME}{tmp_path}/experiment.flags"):
        with pytest.raises(SystemExit):
            command.end(lambda: train.main(train.Flags(workdir=str(tmp_path))))
        assert line in capsys.readouterr().err
        (tmp_path / "experiment.flags").touch()


# Hashing is a call that Python's handlers wait for, as a step of TensorFlow that is being compiled; these take an hour.
BUSY = """
import hashlib
from tfrecog.cli import signals

def main():
    with signals.Interruption():
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

with signals.stops(main):
    main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_long_step_is_answered_at_once_and_a_second_one_ends_it(number):
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        answer = process.stderr.readline() + process.stderr.readline()
        assert answer == "\nstopping after this step (once more: at once, without a checkpoint) ...\n"
        process.send_signal(number)
        assert process.stderr.read() == f"\n{signals.AT_ONCE}\n"
        assert process.wait() == 128 + number


def test_an_interruption_leaves_no_thread_and_no_file_open():
    def state():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = state()
    with signals.Interruption():
        assert state() > before
    assert state() == before


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_that_leaves_ends_the_command_without_a_traceback(lines):
    code = (
        "import sys; from tfrecog.cli import command\n"
        f"def main(): sys.stdin.read(), [print('line', n) for n in range({lines})]\n"
        "command.end(main)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout and process.stdin and process.stderr
        process.stdout.close()  # as head does when it has its lines
        process.stdin.close()
        assert process.stderr.read() == "" and process.wait() == 128 + signal.SIGPIPE


def test_another_pipe_that_breaks_is_not_taken_for_the_reader():
    def work():
        raise BrokenPipeError("a worker's")

    with pytest.raises(BrokenPipeError, match="a worker's"):
        command.end(work)
