"""A run of a study and what became of it, and the training of all that are left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecog.cli import files, flags, json_values, signals
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.runs import checkpoints, folder
from tfrecog.runtime import tf_config
from tfrecog.studies.progress import Progress
from tfrecog.training import schedules

OUTCOME, FLAGFILE, LOG = "outcome.json", "given.flags", "train.log"
_STARTS = "--- started by tfrecog.study ---"  # a line of train.log; what came before it is of an earlier start
ENDED = ("finished", "diverged")  # Trained again these would come out the same.
_REPOSITORY = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Run:
    """One change with one seed; its experiment has a workdir of its own."""

    change: str
    seed: int
    experiment: Experiment
    steps_per_epoch: int

    def __str__(self):
        return f"{self.change}, seed {self.seed}"

    @property
    def workdir(self) -> Path:
        """Folder of the run."""
        return Path(self.experiment.workdir)

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return schedules.total_steps(self.experiment.schedule, self.steps_per_epoch)

    @property
    def outcome(self) -> dict:
        """`state`, `reason` and `seconds` of its last training that came to an end by itself; or empty."""
        path = self.workdir / OUTCOME
        return json_values.load(path, dict[str, Any], "delete it: the run is trained again") if path.is_file() else {}

    @property
    def state(self) -> str:
        """`new`, `begun`, `failed` (these are trained), `finished` or `diverged`."""
        ended = self.outcome.get("state")
        if ended and not folder.differences(self.experiment).keys() - folder.SAME_RESULTS:
            return ended
        return "begun" if ended or checkpoints.latest(self.workdir) else "new"

    def check_folder(self) -> None:
        """ValueError if its folder holds a run with other flags."""
        found = folder.differences(self.experiment)
        changed = {flag: found[flag] for flag in sorted(found) if flag not in folder.MAY_DIFFER}
        if changed:
            raise UserError(
                f"{self.workdir} holds a run of {self.change!r} with other flags:\n{folder.listing(changed)}\n"
                "Give the change another name, the study another --workdir, or remove that folder"
            )

    def done(self) -> int:
        """Steps taken so far, by its log."""
        found = re.findall(r"^step (\d+)/", self._end_of_log(), re.MULTILINE)
        return min(int(found[-1]), self.total) if found else 0

    def result(self) -> str:
        """What its last evaluation printed."""
        found = re.findall(r"^evaluated at [^:]*: (.*)", self._end_of_log(), re.MULTILINE)
        return found[-1].strip() if found else ""

    def start(self) -> subprocess.Popen:
        """Trains, or continues, in a process of its own, which writes to train.log."""
        (self.workdir / OUTCOME).unlink(missing_ok=True)
        with files.write(self.workdir / FLAGFILE) as file:
            file.write(flags.dumps(self.experiment))
        paths = [str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        environment.pop(tf_config.VARIABLE, None)  # Each run of a study is on this machine alone.
        command = [sys.executable, "-m", "tfrecog.train", f"--flagfile={self.workdir / FLAGFILE}"]
        with open(self.workdir / LOG, "a", encoding="utf-8") as log:
            print(_STARTS, file=log, flush=True)
            # A group of its own: Ctrl-C reaches the study alone, which then stops its runs.
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0
            )

    def note(self, status: int, seconds: float) -> dict:
        """Writes what became of it, by the exit status of its process, and returns it."""
        state, reason = ("finished", "") if status == 0 else _state_and_reason(status, self._end_of_log())
        outcome = {"state": state, "reason": reason, "seconds": round(seconds, 1)}
        with files.write(self.workdir / OUTCOME) as file:
            json.dump(outcome, file, indent=1)
        return outcome

    def _end_of_log(self):
        path = self.workdir / LOG
        if not path.is_file():
            return ""
        with open(path, "rb") as log:
            log.seek(max(0, path.stat().st_size - 20_000))
            return log.read().decode(errors="replace").rpartition(_STARTS)[2]


def _state_and_reason(status, log):
    """State and reason of a run that ended with another exit status than 0."""
    errors = re.findall(r"^error: (.*)", log, re.MULTILINE)
    if status < 0:
        name = signal.Signals(-status).name
        return "failed", f"killed by {name}" + ", perhaps because the memory was full" * (name == "SIGKILL")
    last = errors[-1] if errors else (log.strip().splitlines() or ["it printed nothing"])[-1]
    return "diverged" if status == Status.NOT_FINITE else "failed", last


def train(planned: Iterable[Run], jobs: int, finished: Callable[[Run], object] = lambda run: None) -> None:
    """Trains every run that has not ended, `jobs` at a time, and notes in its folder what became of it.

    If a signal ends this, or an error of `finished`, which is called with every run that finishes, the others that are
    being trained save a checkpoint first.
    """
    planned = list(planned)
    waiting = [run for run in planned if run.state not in ENDED]
    progress, active = Progress(planned, waiting), {}
    # Signals wait until a run that was just started is known, so that none is left behind.
    with signals.Interruption() as interruption:
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop(0)
                    active[run] = run.start(), time.monotonic()
                interruption.check()
                time.sleep(0.2)
                for run in [run for run, (process, _) in active.items() if process.poll() is not None]:
                    process, start = active.pop(run)
                    outcome = run.note(process.returncode, time.monotonic() - start)
                    progress.ended(run, outcome)
                    if outcome["state"] == "finished":
                        finished(run)
                progress.show(active)
        finally:
            progress.close()
            _stop([process for process, _ in active.values()])


def _stop(processes):
    if not processes:
        return
    print("\nthe runs save a checkpoint; the same command continues from there ...", file=sys.stderr, flush=True)
    try:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()  # Nothing, if it has ended.
