"""Evaluates a run on a split of records, and writes its metrics and predictions.

python -m tfrecog.evaluate --flagfile=RUN/experiment.flags

Every image of the split counts once, whatever the batch size and the number of replicas.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its evaluation."""

    out: Annotated[str, "Folder for metrics.json and what belongs to it. Empty: the run's."] = ""


def main(flags: Flags) -> None:
    """Evaluates and prints."""
    from tfrecog import tasks
    from tfrecog.data import info
    from tfrecog.evaluations.loop import METRICS
    from tfrecog.runs import trained
    from tfrecog.tasks import class_mapping

    out, evaluation = flags.out or flags.workdir, tasks.of(flags.task).evaluation
    known, now = trained.get_dataset(flags), info.load(flags.data.records)
    # Whether the records fit, before the weights are read.
    class_mapping.label_of(known.categories, now.categories)
    if hasattr(evaluation, "check_records"):
        evaluation.check_records(flags, known)
    task, model, strategy, path, step = trained.restore(flags, flags.checkpoint)
    if known.names != now.names:
        task = class_mapping.Relabelled(task, now.categories)
        print(f"The run knows {known.num_classes} classes; those of the records, {now.num_classes}, are found by name")
    print(f"Evaluating {path} on {flags.data.eval_split} of {flags.data.records}", flush=True)
    evaluation.evaluate(task, model, flags, strategy, out, step=step, checkpoint=path, show=True)
    written = [name for name in (METRICS, *evaluation.FILES) if (Path(out) / name).is_file()]
    print(f"Wrote {', '.join(written)} in {out}" if out else "Wrote no file: name a folder for them with --out")


if __name__ == "__main__":
    command.run(main, Flags(), required=("data.records",))
