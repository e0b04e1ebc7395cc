"""Evaluation of a classifier: top-1 and top-5 accuracy, and which classes are taken for which."""

import contextlib
import csv
from pathlib import Path

import tensorflow as tf

from tfrecog.cli import files
from tfrecog.config import Experiment
from tfrecog.data import classification
from tfrecog.data.split import Split
from tfrecog.evaluations import confusion, misclassified, report
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.classification import FEW, Evaluator

PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, confusion.TABLE, confusion.PICTURE, misclassified.SHEET)


def evaluate(
    task,
    model,
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    out: str | Path | None = None,
    *,
    step: int | None = None,
    checkpoint: str | Path | None = None,
    show: bool = False,
) -> dict[str, float]:
    """`top1`, `top5` (of more than five classes) and `error`.

    Args:
        out: folder for metrics.json (the numbers, a row for each class, what was evaluated, and the model's time per
            image), predictions.csv (the best five classes of each image), confusion.csv and .png, and misclassified.jpg
            (the most confident mistakes). None: nothing is written.
        step, checkpoint: of the weights, for metrics.json.
        show: print the numbers and a line for each class.
    """
    data = experiment.data
    split = Split.open(data.records, data.eval_split)
    split.check_not_empty()
    labels, names = classification.labels_of(split), split.info.names
    evaluator, worst, clock = Evaluator(len(names)), misclassified.Misclassified(), predictor.Clock()
    size = predictor.batch_size(data.eval_batch_size, strategy)
    batches = classification.evaluation(data, experiment.classifier.crop, split, size)
    with _table(out) as write, predictor.progress(len(split), f"evaluate {data.eval_split}") as progress:
        for said, facts in predictor.predict_batches(task, model, strategy, batches, clock=clock):
            row, probabilities = int(facts["record"]), said["probabilities"]
            label = int(labels[row])
            best = evaluator.add(label, probabilities)
            if len(best) and best[0] != label:
                worst.add(row, label, int(best[0]), probabilities)
            if out:
                guesses = [(names[one - 1], f"{probabilities[one - 1]:.6f}") for one in best]
                right = int(len(best) > 0 and best[0] == label)
                write([split.filename(row), names[label - 1], right, *sum(guesses, ())])
            progress.update()
    numbers, table = evaluator.summarize(), evaluator.table(names)
    undefined = int(evaluator.undefined.sum())
    counts = {"images": len(split)} | ({"undefined": undefined} if undefined else {})
    if out:
        title = f"{data.eval_split}: {len(split):,} images, error {100 * numbers['error']:.2f} %"
        confusion.write(Path(out), evaluator.confusion, names, title)
        worst.write(Path(out), split)
    report.write(out, experiment, numbers, table, step=step, checkpoint=checkpoint, clock=clock, **counts)
    if show:
        print(tables.of_classification(numbers, table, evaluator.confusion))
        print(report.speed(clock, strategy))
    if undefined:
        print(
            f"{undefined:,} images count as mistakes, because what the network says of them is not a number: its "
            "weights or its moving statistics have grown out of range"
        )
    return numbers


@contextlib.contextmanager
def _table(out):
    """A function that appends a row to OUT/predictions.csv, one an image, which appears when it is whole."""
    if not out:
        yield lambda row: None
        return
    guesses = [f"{what}_{place}" for place in range(1, FEW + 1) for what in ("class", "probability")]
    with files.write(Path(out) / PREDICTIONS) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file_name", "class", "right", *guesses])
        yield writer.writerow


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "top1_error"
