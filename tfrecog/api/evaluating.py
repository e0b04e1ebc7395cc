"""The evaluation of a run on a split of records: of the command, and of a loaded model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from tfrecog import tasks
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.evaluations.loop import METRICS, Numbers
from tfrecog.reports import report
from tfrecog.runs import trained
from tfrecog.tasks import class_mapping


class Weights(NamedTuple):
    """A model with the weights of a checkpoint."""

    model: Any
    strategy: tf.distribute.Strategy
    checkpoint: Path
    step: int


def evaluate(
    experiment: Experiment, restore: Callable[[], Weights], out: str | Path | None = None, show: bool = False
) -> Numbers:
    """The numbers of a run on `data.eval_split` of `data.records`, by name.

    Whether the records fit is checked before `restore` reads the weights. The other arguments are those of
    `evaluations.loop.evaluate`.
    """
    evaluation = tasks.of(experiment.task).evaluation
    known, now = trained.get_dataset(experiment), info.load(experiment.data.records)
    class_mapping.label_of(known.categories, now.categories)
    if hasattr(evaluation, "check_records"):
        evaluation.check_records(experiment, known)
    model, strategy, checkpoint, step = restore()
    task = tasks.build(experiment, known)
    if known.names != now.names:
        task = class_mapping.Relabelled(task, now.categories)
        if show:
            count, theirs = known.num_classes, now.num_classes
            print(f"The run knows {count} classes; those of the records, {theirs}, are found by name")
    if show:
        print(f"Evaluating {checkpoint} on {experiment.data.eval_split} of {experiment.data.records}", flush=True)
    numbers = evaluation.evaluate(task, model, experiment, strategy, out, step=step, checkpoint=checkpoint, show=show)
    if show:
        written = [name for name in (METRICS, *evaluation.FILES, report.FILE) if out and (Path(out) / name).is_file()]
        print(f"Wrote {', '.join(written)} in {out}" if out else "Wrote no file: name a folder for them with --out")
    return numbers
