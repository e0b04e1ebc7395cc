"""The runs of a study: an experiment with each of its changes and each of its seeds, checked before any is trained."""

import dataclasses
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tfrecog import tasks
from tfrecog.cli import files, flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import shown
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.runs import folder as run_folder
from tfrecog.studies import runner
from tfrecog.training import schedules

FLAGFILE, LOCK = "study.flags", ".study.lock"


def read_changes(texts: Iterable[str]) -> dict[str, list[str]]:
    """Name → flags of texts such as `large batch: --data.batch_size=512`, in the order of their first appearance.

    The same name again replaces a change. Raises UserError for one without a name, or with a word that is no flag.
    """
    changes = {}
    for text in texts:
        name, _, given = (part.strip() for part in text.partition(":"))
        try:
            words = shlex.split(given)
        except ValueError as error:  # a quote that is not closed
            raise UserError(f"--change={text}: {error}") from error
        stray = [word for word in words if not word.startswith("--")]
        if not name or name.startswith("--") or stray:
            raise UserError(
                f"--change={text}: a change is a name, a colon and flags, as in --change='large batch: "
                "--data.batch_size=512'" + (f"; {stray[0]!r} is no flag" if stray and name else "")
            )
        changes[name] = words
    return changes


def runs_of(base: Experiment, changes: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> list[runner.Run]:
    """Every run of a study: all changes with the first seed, then all with the second, ...

    Raises UserError for whatever would end one of them at its start; nothing is written.
    """
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds={shown(tuple(seeds))}: a seed is named twice")
    if not base.data.records:
        raise UserError("--data.records is missing: the folder of the records")
    base, planned = run_folder.resolve(base), {}
    for name, words in changes.items():
        folder = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-.") or "change"
        try:
            experiment = _changed(base, words)
            for other, (earlier, before, _) in planned.items():
                if other == folder:
                    raise UserError(f"it would share the folder {folder} with {earlier!r}: rename one")
                if before == experiment:
                    raise UserError(f"it and {earlier!r} are the same experiment: drop one")
            planned[folder] = name, experiment, _steps_per_epoch(experiment)
        except (ValueError, OSError) as error:
            raise UserError(f"change {name!r}: {error}") from error
    return [
        runner.Run(name, seed, _with_seed(experiment, folder, seed), steps_per_epoch)
        for seed in seeds
        for folder, (name, experiment, steps_per_epoch) in planned.items()
    ]


def _changed(base, words):
    experiment = flags.change(base, words)
    for flag, old, new, instead in (
        ("workdir", base.workdir, experiment.workdir, "every run has its own folder in the study's"),
        ("train.seed", 0, experiment.train.seed, "name the seeds with --seeds"),
    ):
        if old != new:
            raise UserError(f"--{flag}={new} would have no effect: {instead}")
    return run_folder.resolve(experiment)


def _steps_per_epoch(experiment):
    """Steps of an epoch of an experiment, which must be able to start."""
    validate.check(experiment)
    if not experiment.train.evaluate_epochs:
        raise UserError("--train.evaluate_epochs=0: a study compares evaluations; evaluate at least once")
    run_folder.check_start(experiment)
    return _task(experiment).data().steps_per_epoch


def _task(experiment):
    return tasks.build(experiment, info.load(experiment.data.records))


def _with_seed(experiment, folder, seed):
    workdir = str(Path(experiment.workdir) / folder / f"seed-{seed}")
    train = dataclasses.replace(experiment.train, seed=seed)
    return dataclasses.replace(experiment, workdir=workdir, train=train)


def headline(run: runner.Run) -> str:
    """The metric that studies of the run's task compare if none is named."""
    return _task(run.experiment).evaluation.headline(run.experiment)


def describe(planned: Sequence[runner.Run], jobs: int) -> str:
    """For people: the runs of each change, what they have other than the first, and how far they are."""
    lines, first = [], planned[0].experiment
    for name in dict.fromkeys(run.change for run in planned):
        of_change = [run for run in planned if run.change == name]
        experiment, states = of_change[0].experiment, [run.state for run in of_change]
        peak = schedules.peak(experiment.optim, experiment.data.batch_size)
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        lines.append(f"{name}\n    batch {experiment.data.batch_size}, peak rate {peak:g}, {of_change[0].total} steps")
        lines[-1] += f"; {counts}"
        differences = flags.differences(first, dataclasses.replace(experiment, workdir=first.workdir))
        lines += [f"    --{flag}={shown(value)}" for flag, (_, value) in differences.items()]
    left = sum(run.state not in runner.ENDED for run in planned)
    lines.append(f"{len(planned)} runs, {left} of them to train, {jobs} at a time")
    return "\n".join(lines)


def claim(study: Experiment) -> IO:
    """Writes the flagfile that continues a study into its workdir, and returns the claim on this folder.

    Until it is closed, no other process runs a study there; UserError if one does.
    """
    workdir = Path(study.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    lock = files.claim(
        workdir / LOCK, f"another study is running in {workdir}: wait for it, or choose another --workdir"
    )
    with files.write(workdir / FLAGFILE) as file:
        file.write(f"# To continue: python -m tfrecog.study --flagfile={workdir / FLAGFILE}\n{flags.dumps(study)}")
    return lock
