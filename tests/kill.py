"""python tests/kill.py STEP, and flags of tfrecog.train: a training whose batch of step STEP kills it (SIGKILL)."""

import os
import runpy
import signal
import sys

from tfrecog.data import read


def dying(kill_at):
    """`read.in_words`, which every batch passes in order, but the batch that leads to step `kill_at` never comes."""
    intact = read.in_words

    def in_words(batches):
        for done, batch in enumerate(intact(batches)):
            if done + 1 == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    return in_words


if __name__ == "__main__":
    read.in_words = dying(int(sys.argv.pop(1)))
    runpy.run_module("tfrecog.train", run_name="__main__", alter_sys=True)
