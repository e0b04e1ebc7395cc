"""What a step of a training takes on this machine: it is tried in a process of its own.

A detector's steps are measured with as many positives as a step may have, for an untrained one has hardly any, and a
step late in the training takes up to twice as long as an early one.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tfrecog
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment

_A_WEEK = 7 * 24 * 3600.0


class NotEnoughMemory(Exception):
    """The machine has not enough memory for a step: it was refused, or the process was killed."""


class TooSlow(Exception):
    """The steps took longer to measure than they might."""


@dataclass(frozen=True)
class Measured:
    """What some steps of a training took."""

    step: float  # seconds
    start: float  # seconds until the first step: the network is built, and its graph compiled
    steps_per_epoch: int
    memory: int  # bytes, at the peak
    evaluation_start: float = 0.0  # seconds that the first evaluation takes longer, as its graph is built
    evaluation_fixed: float = 0.0  # seconds of one with its report, whatever the number of its pictures
    evaluation_picture: float = 0.0  # seconds of a picture in an evaluation

    def evaluation(self, pictures: int) -> float:
        """Seconds of an evaluation of so many pictures."""
        return self.evaluation_fixed + self.evaluation_picture * pictures

    def with_evaluation_of(self, other: "Measured") -> "Measured":
        """The same, with the times of evaluations of another."""
        names = ("evaluation_start", "evaluation_fixed", "evaluation_picture")
        return replace(self, **{name: getattr(other, name) for name in names})


class Prober:
    """Measures experiments, in a process that starts at once and serves until it is closed or dies."""

    def __init__(self, device: str = ""):
        self.device = device
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (as long as the process)
        self._process: subprocess.Popen | None = None
        self._start()

    def __enter__(self) -> "Prober":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def measure(
        self, experiment: Experiment, evaluates: bool = False, most: float = 60.0, longest: float = 3600.0
    ) -> Measured:
        """What its steps take.

        Args:
            evaluates: whether evaluation is measured, too.
            most: seconds to spend on steps, about.
            longest: seconds after which it is given up, with all that is compiled.

        Raises:
            NotEnoughMemory, TooSlow
            UserError: the experiment cannot be trained.
        """
        request = {"flags": validate.dumps(experiment).splitlines(), "evaluates": evaluates, "most": most}
        given_up = threading.Event()

        def give_up() -> None:
            given_up.set()
            if process := self._process:
                process.kill()

        timer = threading.Timer(min(longest, _A_WEEK), give_up)  # A timer takes no number of any size.
        timer.start()
        try:
            answer = self._asked(request)
        except Exception:
            if given_up.is_set():
                raise TooSlow from None
            raise
        finally:
            timer.cancel()
        if answer.get("short_of_memory"):
            self.close()  # What it holds is not given back otherwise.
            raise NotEnoughMemory
        if "error" in answer:
            raise UserError(answer["error"])
        return Measured(**answer)

    def close(self) -> None:
        """Ends the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        command = [sys.executable, "-m", "tfrecog.fitting.timing.measuring", self.device]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        # This very library, whatever else is installed.
        places = [str(Path(tfrecog.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        pipes["env"] = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
        # In a session of its own: Ctrl-C is for the command, which then ends this.
        self._process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            self._start()
        process = self._process
        assert process and process.stdin and process.stdout
        try:
            print(json.dumps(request), file=process.stdin, flush=True)
            while answer := process.stdout.readline():
                if "ready" not in (found := json.loads(answer)):
                    return found
        except BrokenPipeError:
            pass
        status = process.wait()
        self._process = None
        if status < 0:
            raise NotEnoughMemory
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        raise RuntimeError(f"the steps could not be measured: {lines[-1] if lines else f'exit status {status}'}")
