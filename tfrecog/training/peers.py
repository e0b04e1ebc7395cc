"""Whether the workers of a training were started alike: with the same flags, data, versions and folder."""

import contextlib
import os
import time
from pathlib import Path

import tfrecog
from tfrecog.cli import files, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import shown
from tfrecog.config import Experiment
from tfrecog.data.split import Split
from tfrecog.runtime import environment
from tfrecog.runtime.cluster import Workers

# What may differ from machine to machine; that the folders hold the same is seen otherwise.
_OWN = {"workdir", "data.records", "data.workers"}
_PATIENCE = 60  # seconds until a file on a network disk is seen on all machines
_MARK = ".machines"  # a file in the run's folder by which they see that it is one


def check_flags(experiment: Experiment) -> None:
    """UserError that names a setting with which several machines cannot train."""
    if experiment.augment.mixup:
        raise UserError(
            f"--augment.mixup={experiment.augment.mixup:g} mixes images of the whole batch, of which each of several "
            "machines makes a part: leave it at 0, or train on one machine"
        )


def compare(workers: Workers, experiment: Experiment) -> None:
    """UserError that names what differs, and on which worker, unless all are to train the same."""
    if workers.count == 1:
        return
    facts = {f"--{leaf.path}": shown(leaf.value) for leaf in validate.read_leaves(experiment) if leaf.path not in _OWN}
    data, names = experiment.data, [experiment.data.train_split]
    names += [data.eval_split] * (experiment.train.evaluate_epochs > 0)
    facts |= {f"the records of {name!r}": Split.open(data.records, name).fingerprint() for name in names}
    facts |= {"the version of tfrecog": tfrecog.version()}
    facts |= {f"the version of {name}": one for name, one in environment.versions("tensorflow", "keras").items()}
    chief, *others = workers.meet({name: str(value) for name, value in facts.items()}).values
    lines = [
        f"  {name}: {other.get(name, 'none')} on {workers.name(index)}, {chief.get(name, 'none')} on the chief"
        for index, other in enumerate(others, 1)
        for name in chief | other
        if other.get(name) != chief.get(name)
    ]
    if lines:
        raise UserError("\n".join(["the workers were not started alike; give all machines the same:", *lines]))


def check_shared(workers: Workers, workdir: str) -> None:
    """UserError that names the workers to which the run's folder is another than to the chief."""
    if workers.count == 1:
        return
    mark, token = Path(workdir) / _MARK, os.urandom(8).hex()
    if workers.is_chief:
        try:
            with files.write(mark) as file:
                file.write(token)
        except OSError as error:
            raise UserError(f"--workdir={workdir}: {error}") from error
    seen = [False]  # until all have looked
    try:
        token = workers.meet(token).values[0]
        seen = workers.meet(workers.is_chief or _sees(mark, token)).values
    finally:
        if workers.is_chief:
            mark.unlink()
            if not all(seen):
                with contextlib.suppress(OSError):  # It is not empty, and so not of this training alone.
                    mark.parent.rmdir()
    others = [workers.name(index) for index, sees in enumerate(seen) if not sees]
    if others:
        raise UserError(
            f"--workdir={workdir} is another folder on {', '.join(others)} than on the chief: all machines need one on "
            "a disk that they share"
        )


def _sees(mark: Path, token: str) -> bool:
    """Whether a file with this content is there, at last."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if mark.name in os.listdir(mark.parent) and mark.read_text() == token:
                return True
        time.sleep(0.2)
    return False
