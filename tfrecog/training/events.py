"""TensorBoard's files of a run."""

import contextlib
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf


class Events:
    """Writes what `tf.summary` makes; where that fails a warning says so, once, and the training goes on.

    Then it tries again with a new file: TensorBoard reads all files of a folder, each to its first fault.
    """

    def __init__(self, workdir: str | Path, start: int):
        """Has TensorBoard drop the steps after `start` of a run that was killed: they come again."""
        self._folder, self._file, self._behind = str(workdir), None, False
        self._try(lambda: _mark_restart(self._folder, start))

    def write(self, step: int, summaries: Callable[[], object]) -> None:
        """Calls `summaries`, whose tf.summary.scalar, image and so on are of this step."""

        def work():
            self._file = self._file or tf.summary.create_file_writer(self._folder)
            with self._file.as_default(step=step):
                summaries()
            self._file.flush()
            if not os.statvfs(self._folder).f_bavail:  # TensorFlow writes a part, and says nothing.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._behind = False

        self._try(work)

    def close(self) -> None:
        """Writes what is left."""
        if self._file:
            self._try(self._file.close)

    def _try(self, work):
        try:
            work()
        except (OSError, tf.errors.OpError) as error:
            if not self._behind:
                logging.getLogger("tfrecog").warning(
                    "TensorBoard's file in %s cannot be written, the training goes on without it: %s",
                    self._folder,
                    " ".join(str(error).split()),
                )
            self._behind = True
            with contextlib.suppress(OSError, tf.errors.OpError):
                if self._file:
                    self._file.close()
            self._file = None


def _mark_restart(folder, start):
    with tf.Graph().as_default():  # The writer of whole events is of graphs, and has a file of its own.
        writer = tf.compat.v1.summary.FileWriter(folder)
        session_log = tf.compat.v1.SessionLog
        writer.add_session_log(session_log(status=session_log.START), start + 1)
        writer.close()
