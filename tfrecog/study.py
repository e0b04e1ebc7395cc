"""Ablation: trains one experiment again and again, with named changes and several seeds, and compares.

python -m tfrecog.study --flagfile=configs/study/warmup.flags --data.records=DATA --workdir=STUDY

The flags are those of a training, which all runs have in common, and with them

  --change='NAME: --flag=value --flag=value'

once for each thing to compare: what NAME has other than the rest. A name alone is the experiment as it is. In a
flagfile a change is a line without quotes; --flagfile=FILE can be among its flags; the same NAME again replaces it.

Every change is trained with every seed by `tfrecog.train`, in STUDY/NAME/seed-N. The same command continues where it
was stopped, repeats nothing that is finished, and trains what was added. A run that diverges or fails ends only itself.
STUDY/table.md and table.csv have mean and standard deviation over the seeds, runs.csv each run, study.png the curves.
"""

import shlex
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command, validate
from tfrecog.cli.errors import Status
from tfrecog.cli.facts import Length, NonNegative, Range, Repeated
from tfrecog.config import Experiment, plain


@dataclass(frozen=True)
class Flags(Experiment):
    """The flags that all runs of a study have, and its own."""

    change: Annotated[
        tuple[str, ...], "A name, a colon and the flags that differ in this change.", Repeated(), Length()
    ] = ()
    seeds: Annotated[
        tuple[int, ...], "Every change is trained once with each of these as train.seed.", NonNegative()
    ] = (0, 1, 2)  # fmt: skip
    metric: Annotated[
        tuple[str, ...],
        "What to compare: names in a run's metrics.json. NAME_error is 1 - NAME; train_seconds is the time of the run, "
        "with its evaluations, and test_seconds_per_image that of the model alone. Empty: top1_error, box_AP (or "
        "voc_mAP with --metrics=voc), mean_iou.",
        Length(),
    ] = ()
    last: Annotated[
        int,
        "The result of a run is the median of its last evaluations, this many; 5 in Goyal et al. 2017, section 5.1.",
        Range(1),
    ] = 1
    percent: Annotated[bool, "Show metrics times 100."] = True
    jobs: Annotated[int, "Runs trained at the same time; several share the cores, or the GPU's memory.", Range(1)] = 1
    dry_run: Annotated[bool, "Check and print what would be trained, and train nothing."] = False


def main(flags: Flags) -> int:
    """Trains the unfinished runs of a study and reports; returns 1 if a run failed (not: diverged)."""
    from pathlib import Path

    from tfrecog.cli.signals import Stopped
    from tfrecog.runs import folder
    from tfrecog.studies import plan, report, results, runner

    flags = folder.resolve(flags)
    runs = plan.runs_of(plain(flags), plan.read_changes(flags.change), flags.seeds)
    metrics = flags.metric or (plan.headline(runs[0]),)
    for run in runs:
        run.check_folder()
    print(plan.describe(runs, flags.jobs), flush=True)
    if flags.dry_run:
        return Status.DONE
    with plan.claim(flags):
        try:  # A metric that no run measures is named after the first run, and not after the last.
            runner.train(runs, flags.jobs, lambda run: results.collect([run], metrics, flags.last))
        except Stopped as stopped:
            stopped.consequence = (
                f"to continue: python -m tfrecog.study --flagfile={shlex.quote(f'{flags.workdir}/{plan.FLAGFILE}')}"
            )
            raise
        finally:
            report.write(results.collect(runs, metrics, flags.last), flags.workdir, metrics, flags.percent)
    print((Path(flags.workdir) / report.TABLE).read_text(encoding="utf-8"))
    print(f"table.md, table.csv, runs.csv and study.png are in {flags.workdir}")
    return Status.FAILED if any(run.state == "failed" for run in runs) else Status.DONE


if __name__ == "__main__":
    # Each change is checked with the settings that it has; those that all have in common may need a change.
    command.run(main, Flags(), required=("workdir", "change"), check=validate.check_ranges)
