"""Evaluation of a segmenter: IoU and accuracy of its label maps at the images' own size, and the worst of them."""

import contextlib
import csv
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import segmentation
from tfrecog.data.split import Split
from tfrecog.evaluations import confusion, report, worst_label_maps
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.segmentation import Evaluator, numbers_of

PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, confusion.TABLE, confusion.PICTURE, worst_label_maps.SHEET)


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
    """`mean_iou`, `mean_accuracy`, `pixel_accuracy` and `frequency_weighted_iou`; see `metrics.segmentation`.

    One image is in memory at a time, beside the worst few.

    Args:
        out: folder for metrics.json (the numbers, a row for each class, what was evaluated, and the model's time per
            image), predictions.csv (pixel accuracy and mean IoU of each image), confusion.csv and .png (of pixels) and
            worst.jpg (the images with the lowest pixel accuracy). None: nothing is written.
        step, checkpoint: of the weights, for metrics.json.
        show: print the numbers and a line for each class.
    """
    data = experiment.data
    split = Split.open(data.records, data.eval_split)
    segmentation.check(split)
    split.check_not_empty()
    names = split.info.names
    evaluator, failures, clock = Evaluator(len(names)), worst_label_maps.WorstLabelMaps(), predictor.Clock()
    ignored = 0
    batches = segmentation.evaluation(data, split, predictor.batch_size(data.eval_batch_size, strategy))
    batches = _without_fillers(batches, strategy.num_replicas_in_sync)
    with _table(out) as write, predictor.progress(len(split), f"evaluate {data.eval_split}") as progress:
        # A graph for each size would be too many.
        for said, facts in predictor.predict_batches(task, model, strategy, batches, any_size=True, clock=clock):
            row = int(facts["record"])
            truth = segmentation.truth(split, row)
            counts = evaluator.add(truth, said["label_map"])
            ignored += int((truth == 0).sum())
            if out:
                of_image = numbers_of(counts)
                shown = (of_image.get(key, "") for key in ("pixel_accuracy", "mean_iou"))
                write([split.filename(row), int(counts.sum()), *shown])
                if of_image:
                    failures.add(row, of_image["pixel_accuracy"], said["label_map"])
            progress.update()
    numbers, table = evaluator.summarize(), evaluator.table(names)
    if not numbers:
        raise UserError(f"split {data.eval_split!r} of {data.records}: not one pixel counts; all are void")
    if out:
        title = f"{data.eval_split}: {len(split):,} images, mean IoU {100 * numbers['mean_iou']:.1f} %"
        confusion.write(Path(out), evaluator.confusion, names, title, pixels=evaluator.pixels)
        failures.write(Path(out), split)
    counts = {"images": len(split), "pixels": int(evaluator.pixels.sum()), "ignored": ignored}
    report.write(out, experiment, numbers, table, step=step, checkpoint=checkpoint, clock=clock, **counts)
    if show:
        print(tables.of_segmentation(numbers, table))
        print(report.speed(clock, strategy))
    return numbers


def _without_fillers(batches, replicas):
    """The batches without the fillers at their ends, where images of one size are few: they cost as much as images.

    What is left divides among the replicas.
    """
    for batch in batches:
        size = -(-int(np.sum(batch["valid"])) // replicas) * replicas
        yield {name: value[:size] for name, value in batch.items()}


@contextlib.contextmanager
def _table(out):
    """A function that appends a row to OUT/predictions.csv, one an image, which appears when it is whole."""
    if not out:
        yield lambda row: None
        return
    with files.write(Path(out) / PREDICTIONS) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file_name", "pixels", "pixel_accuracy", "mean_iou"])
        yield writer.writerow


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "mean_iou"
