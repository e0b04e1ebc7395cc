"""Ablation: trains one experiment again and again, with named changes and several seeds, and compares.

python -m tfrecog.study --flagfile=configs/study/warmup.flags --data.records=DATA --workdir=STUDY

The flags are those of a training, which all runs have in common, and with them

  --change='NAME: --flag=value --flag=value'

once for each thing to compare: what NAME has other than the rest. A name alone is the experiment as it is. In a
flagfile a change is a line without quotes; --flagfile=FILE can be among its flags; the same NAME again replaces it.

Every change is trained with every seed by `tfrecog.train`, in STUDY/NAME/seed-N. The same command goes on where it was
stopped, repeats nothing that is finished, and trains what was added. A run that diverges or fails ends only itself.
STUDY/table.md and table.csv have mean and standard deviation over the seeds, runs.csv each run, study.png the curves.
"""

import dataclasses
import fcntl
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, NamedTuple

from tfrecog import tasks
from tfrecog.cli import files, flags, signals, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment, plain
from tfrecog.data import info
from tfrecog.runs import folder as runs
from tfrecog.studies import results, runner
from tfrecog.training import schedules

FLAGFILE, LOCK = "study.flags", ".study.lock"


@dataclasses.dataclass(frozen=True)
class Study(Experiment):
    """The flags that all runs of a study have, and its own; --change is beside them, for it may come many times."""

    seeds: Annotated[tuple[int, ...], "Every change is trained once with each of these as train.seed."] = (0, 1, 2)
    metric: Annotated[
        tuple[str, ...],
        "What to compare: names in a run's metrics.json. NAME_error is 1 - NAME; train_seconds is the time of the run, "
        "with its evaluations, and test_seconds_per_image that of the model alone. Empty: top1_error, box_AP (or "
        "voc_mAP with --metrics=voc), mean_iou.",
    ] = ()
    last: Annotated[
        int, "The result of a run is the median of its last so many evaluations; 5 in Goyal et al. 2017, section 5.1."
    ] = 1
    percent: Annotated[bool, "Shows metrics times 100."] = True
    jobs: Annotated[int, "Runs trained at the same time; several share the cores, or the GPU's memory."] = 1
    dry_run: Annotated[bool, "Checks and prints what would be trained, and trains nothing."] = False


class Change(NamedTuple):
    """What one line of the comparison has other than the rest."""

    name: str
    flags: tuple[str, ...]


def parse_changes(arguments: list[str]) -> tuple[list[Change], list[str]]:
    """Changes in the order of their names' first appearance, and the other arguments; ValueError if one has no name."""
    changes, rest, arguments = {}, [], list(arguments)
    while arguments:
        name, equals, text = arguments.pop(0).partition("=")
        if name not in ("--change", "-change"):
            rest.append(name + equals + text)
            continue
        text = text if equals or not arguments else arguments.pop(0)
        name, _, given = (part.strip() for part in text.partition(":"))
        words = shlex.split(given)
        stray = [word for word in words if not word.startswith("--")]
        if not name or name.startswith("--") or stray:
            raise UserError(
                f"--change={text}: a change is a name, a colon and flags, as in --change='large batch: "
                "--data.batch_size=512'" + (f"; {stray[0]!r} is no flag" if stray and name else "")
            )
        changes[name] = Change(name, tuple(words))
    return list(changes.values()), rest


def plan(study: Study, changes: list[Change]) -> list[runner.Run]:
    """Every run of a study: all changes with the first seed, then all with the second, ...

    Raises ValueError or OSError for whatever would end one of them at its start; nothing is written.
    """
    for flag, numbers, least in (
        ("seeds", study.seeds, 0), ("last", [study.last], 1), ("jobs", [study.jobs], 1)
    ):  # fmt: skip
        if not numbers or min(numbers) < least:
            raise UserError(f"--{flag}={','.join(map(str, numbers))}: must be {least} or more")
    if not study.workdir:
        raise UserError("--workdir is missing: the folder of the study, in which every run gets its own")
    if not changes:
        raise UserError("there is nothing to compare: give at least one --change='NAME: --flag=value' (see --help)")
    if len(set(study.seeds)) < len(study.seeds):
        raise UserError(f"--seeds={','.join(map(str, study.seeds))}: a seed is named twice")
    base, folders, made = runs.resolve(plain(study)), {}, {}
    for change in changes:
        experiment = _changed(base, change)
        folder = re.sub(r"[^a-z0-9._]+", "-", change.name.lower()).strip("-.") or "change"
        for other, (name, before) in folders.items():
            if other == folder:
                raise UserError(f"changes {name!r} and {change.name!r} would share the folder {folder}: rename one")
            if before == experiment:
                raise UserError(f"changes {name!r} and {change.name!r} are the same experiment: drop one")
        folders[folder] = (change.name, experiment)
        try:
            steps_per_epoch = _check(experiment)
        except (ValueError, OSError) as error:
            raise UserError(f"change {change.name!r}: {error}") from error
        made[folder] = (change.name, experiment, steps_per_epoch)
    return [
        runner.Run(name, seed, _of_seed(experiment, folder, seed), steps_per_epoch)
        for seed in study.seeds
        for folder, (name, experiment, steps_per_epoch) in made.items()
    ]


def _changed(base, change):
    try:
        experiment = flags.change(base, change.flags)
    except flags.Error as error:
        raise UserError(f"change {change.name!r}: {error}") from error
    for flag, old, new, instead in (
        ("workdir", base.workdir, experiment.workdir, "every run has its own folder in the study's"),
        ("train.seed", 0, experiment.train.seed, "name the seeds with --seeds"),
    ):
        if old != new:
            raise UserError(f"change {change.name!r}: --{flag}={new} would have no effect: {instead}")
    return runs.resolve(experiment)


def _check(experiment):
    """Steps of an epoch of an experiment that can start."""
    validate.check(experiment)
    if not experiment.data.records:
        raise UserError("--data.records is missing: the folder of the records")
    if not experiment.train.evaluate_epochs:
        raise UserError("--train.evaluate_epochs=0: a study compares evaluations; evaluate at least once")
    runs.check_start(experiment)
    data = tasks.build(experiment, info.load(experiment.data.records)).data()
    return data.steps_per_epoch


def _of_seed(experiment, folder, seed):
    workdir = str(Path(experiment.workdir) / folder / f"seed-{seed}")
    train = dataclasses.replace(experiment.train, seed=seed)
    return dataclasses.replace(experiment, workdir=workdir, train=train)


def describe(planned: list[runner.Run], jobs: int) -> str:
    """For people: the runs of each change, what they have other than the first, and how far they are."""
    lines, first = [], planned[0].experiment
    for name in dict.fromkeys(run.change for run in planned):
        of_change = [run for run in planned if run.change == name]
        one = of_change[0]
        differences = flags.differences(first, dataclasses.replace(one.experiment, workdir=first.workdir))
        peak = schedules.peak(one.experiment.optim, one.experiment.data.batch_size)
        states = [run.state for run in of_change]
        known = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        batch = one.experiment.data.batch_size
        lines.append(f"{name}\n    batch {batch}, peak rate {peak:g}, {one.total} steps; {known}")
        lines += [f"    --{flag}={_shown(new)}" for flag, (_, new) in differences.items()]
    left = sum(run.state not in runner.ENDED for run in planned)
    lines.append(f"{len(planned)} runs, {left} of them to train, {jobs} at a time")
    return "\n".join(lines)


def _shown(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _note(study, changes):
    """Writes the flagfile that goes on with this study; the claim on its folder is returned."""
    workdir = Path(study.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    claim = open(workdir / LOCK, "w")  # noqa: SIM115  It stays open as long as the study runs.
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        claim.close()
        raise UserError(f"another study is running in {workdir}: wait for it, or choose another --workdir") from error
    lines = [f"--change={change.name}: {shlex.join(change.flags)}\n" for change in changes]
    with files.write(workdir / FLAGFILE) as file:
        file.write(f"# To go on: python -m tfrecog.study --flagfile={workdir / FLAGFILE}\n")
        file.write(flags.dumps(study) + "".join(lines))
    return claim


def _measured(run, study):
    """ValueError if a finished run did not measure what is to be compared."""
    results.collect([run], study.metric, study.last)


def main(arguments: list[str]) -> int:
    """Trains what is left of a study and reports; returns the exit status: 1 if a run failed (not: diverged)."""
    if {"--help", "-h", "-help", "--helpfull"} & set(arguments[1:]):
        print(__doc__)
    try:
        changes, rest = parse_changes(flags.expand(arguments))
    except (flags.Error, ValueError) as error:
        sys.exit(f"error: {error}")
    study = flags.parse(Study(), rest)
    study = dataclasses.replace(
        study,
        workdir=study.workdir and str(Path(study.workdir).expanduser().resolve()),
        metric=study.metric
        or {
            "classification": ("top1_error",),
            "detection": ("voc_mAP" if study.metrics == "voc" else "box_AP",),
            "segmentation": ("mean_iou",),
        }[study.task],
    )
    try:
        planned = plan(study, changes)
        for run in planned:
            run.check_folder()
        print(describe(planned, study.jobs), flush=True)
        if study.dry_run:
            return 0
        claim = _note(runs.resolve(study), changes)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        with claim:
            try:  # A metric that there is not is told after the first run, and not after the last.
                runner.train(planned, study.jobs, lambda run: _measured(run, study))
            finally:
                results.write(results.collect(planned, study.metric, study.last), study)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped at once; the same command continues from the last checkpoints", file=sys.stderr)
        return 130
    print((Path(study.workdir) / results.TABLE).read_text(encoding="utf-8"))
    print(f"table.md, table.csv, runs.csv and study.png are in {study.workdir}")
    return 1 if any(run.state == "failed" for run in planned) else 0


if __name__ == "__main__":
    with signals.told():
        sys.exit(main(sys.argv))
