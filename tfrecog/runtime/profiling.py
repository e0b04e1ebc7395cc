"""A profile of some steps of a training, for TensorBoard's profile plugin."""

from pathlib import Path

import tensorflow as tf


class Profile:
    """Records from the first of some steps to the last, unless the training ends before; nothing where none are given.

    A run that is continued within these steps or after them records nothing.
    """

    def __init__(self, workdir: str | Path, steps: tuple[int, ...]):
        self.workdir = str(workdir)
        self.first, self.last = steps or (0, 0)
        self._running = False

    def ends_call(self, done: int) -> bool:
        """Whether it begins or ends after step `done`."""
        return bool(self.first) and done in (self.first - 1, self.last)

    def before(self, step: int) -> None:
        """Before each call, of the step that it begins with."""
        if self.first and step == self.first:
            tf.profiler.experimental.start(self.workdir)
            self._running = True

    def after(self, done: int) -> str:
        """After each call; returns a line for people once the profile is there, else nothing."""
        return self.close() if self._running and done >= self.last else ""

    def close(self) -> str:
        """Ends the recording, if there is one, and returns the line of `after`."""
        if not self._running:
            return ""
        self._running = False
        tf.profiler.experimental.stop()
        return (
            f"the profile of the steps {self.first} to {self.last} is in {self.workdir}/plugins/profile; to see it: "
            f"pip install xprof, and tensorboard --logdir={self.workdir}, tab Profile"
        )
