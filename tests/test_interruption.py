"""A command that is stopped ends with a line and its exit status, whatever it was doing."""

import os
import signal
import subprocess
import sys

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
