"""Evaluates a run: `python -m tfrecog.evaluate --flagfile=RUN/experiment.flags` writes its metrics and predictions.

Every image of the split counts once, whatever the batch size and the number of replicas.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tensorflow as tf

from tfrecog import tasks
from tfrecog.cli import flags, out_of_memory, signals, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.evaluations import classification, detection, segmentation
from tfrecog.evaluations.report import METRICS
from tfrecog.runs import checkpoints
from tfrecog.runtime import distribution
from tfrecog.tasks import class_mapping

CHECKPOINT = (
    "Whose weights: `latest` (the end of the training, which is what papers report), `best` (by AP, top-1 or mean IoU "
    "on the evaluation split, which flatters a little), or a path: a checkpoint (RUN/checkpoints/step-00000120), or "
    "the folder of a run, of which it is the best, or else the latest."
)


@dataclasses.dataclass(frozen=True)
class Evaluation(Experiment):
    """The flags of a run and of its evaluation."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    out: Annotated[str, "Folder for metrics.json and what belongs to it. Empty: the run's."] = ""


def evaluate(
    task,
    model,
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    out: str | Path | None = None,
    **options,
) -> dict[str, float]:
    """Numbers by name of a model on `experiment.data.eval_split`, by the rules of `experiment.task`.

    Args:
        out: folder for metrics.json (the numbers, a row for each class, what was evaluated, and how long the model took
            for an image) and what belongs to it: of a detector detections.json (COCO's results format, with the ids of
            the source), and with VOC's numbers precision_recall.csv and .png (the curve of each class) and errors.jpg
            (the surest false positives of each kind and the largest missed objects); of a classifier
            predictions.csv (of each image the best five classes), confusion.csv and .png (how many of each class were
            taken for which) and misclassified.jpg (the mistakes that it was surest of); of a segmenter predictions.csv
            (pixel accuracy and mean IoU of each image), confusion.csv and .png (of pixels) and worst.jpg (the images
            with the lowest pixel accuracy). None: nothing is written.
        options: `step` of the model's training and `checkpoint` that the weights are from, for metrics.json; `show`
            prints the numbers and a line for each class.
    """
    of = {"detection": detection, "classification": classification, "segmentation": segmentation}[experiment.task]
    return of.evaluate(task, model, experiment, strategy, out, **options)


def restore(experiment: Experiment, checkpoint: str):
    """Task, model with the weights of a run's checkpoint, and strategy; also the checkpoint's path and step.

    `checkpoint` is `latest`, `best`, or a path.
    """
    choose = {"latest": checkpoints.latest, "best": checkpoints.best}
    path = choose[checkpoint](experiment.workdir) if checkpoint in choose else checkpoints.find(checkpoint)
    if path is None:
        raise checkpoints.CheckpointError(
            f"there is no {checkpoint} checkpoint in {experiment.workdir or 'the current folder'}: give the "
            "experiment.flags of a run that has saved one, its folder with --workdir if it has moved, or --checkpoint"
        )
    strategy = distribution.at_most(experiment.train.replicas)
    task = tasks.build(experiment, dataset_of(experiment))
    with strategy.scope():
        model = task.build()
    step = checkpoints.restore(path, model)
    return task, model, strategy, path, step


def dataset_of(experiment: Experiment) -> info.DatasetInfo:
    """What a run was trained on: its folder notes it, so the records need not be at hand."""
    noted = (Path(experiment.workdir) / info.FILE).is_file()
    return info.load(experiment.workdir if noted else experiment.data.records)


def _check_keypoints(trained: tuple[str, ...], folder: str) -> None:
    """ValueError if the records in a folder do not have the keypoints that were trained, or not their sigmas."""
    info.sigmas(folder)
    now = info.load(folder).keypoints
    if now != trained:
        raise UserError(
            f"the run was trained on {len(trained)} keypoints ({', '.join(trained)}), and the records in {folder} have "
            f"{len(now)} ({', '.join(now)}), or in another order; evaluate on records of those"
        )


def main(evaluation: Evaluation) -> None:
    """Evaluates and prints; what the user can mend ends the program with a message."""
    out = evaluation.out or evaluation.workdir
    try:
        validate.check(evaluation)
        if not evaluation.data.records:
            raise UserError("--data.records is missing: the folder of the records to evaluate on")
        trained, now = dataset_of(evaluation).categories, info.load(evaluation.data.records).categories
        class_mapping.label_of(trained, now)  # Before the weights are read.
        if evaluation.task == "detection" and evaluation.detector.keypoints:
            _check_keypoints(dataset_of(evaluation).keypoints, evaluation.data.records)
        task, model, strategy, path, step = restore(evaluation, evaluation.checkpoint)
        if [one.name for one in trained] != [one.name for one in now]:
            task = class_mapping.Relabelled(task, now)
            print(f"The run knows {len(trained)} classes; those of the records, {len(now)}, are found by name")
        print(f"Evaluating {path} on {evaluation.data.eval_split} of {evaluation.data.records}", flush=True)
        evaluate(task, model, evaluation, strategy, out, step=step, checkpoint=path, show=True)
    except (OSError, ValueError, checkpoints.CheckpointError, out_of_memory.OutOfMemory) as error:
        sys.exit(f"error: {error}")
    beside = {"detection": detection.FILES, "classification": classification.FILES}
    beside |= {"segmentation": segmentation.FILES}
    files = [name for name in (METRICS, *beside[evaluation.task]) if (Path(out) / name).is_file()]
    print(f"Wrote {', '.join(files[:-1])} and {files[-1]} in {out}")


if __name__ == "__main__":
    with signals.told():
        main(flags.parse(Evaluation()))
