"""Evaluation of a segmenter: IoU and accuracy of its label maps at the images' own size, and the worst of them."""

import functools
from pathlib import Path

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import records, segmentation
from tfrecog.evaluations import confusion, loop, worst_label_maps
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.segmentation import Evaluator, numbers_of
from tfrecog.metrics.worst import Worst

PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, confusion.TABLE, confusion.PICTURE, worst_label_maps.SHEET)


class Measured:
    """`mean_iou`, `mean_accuracy`, `pixel_accuracy` and `frequency_weighted_iou`; see `loop.evaluate`.

    One image is in memory at a time, beside the worst few. Files: predictions.csv (pixel accuracy and mean IoU of each
    image), confusion.csv and .png (of pixels) and worst.jpg (the images with the lowest pixel accuracy).
    """

    any_size = True  # A graph for each size would be too many.

    def __init__(self, experiment: Experiment, split, strategy):
        segmentation.check(split)
        data, self.split, self.names, self.ignored = experiment.data, split, split.info.names, 0
        self.evaluator, self.worst = Evaluator(len(self.names)), Worst(worst_label_maps.MOST)
        batches = segmentation.evaluation(data, split, predictor.batch_size(data.eval_batch_size, strategy))
        self.batches = _without_fillers(batches, strategy.num_replicas_in_sync)

    def rows(self, out):
        return loop.csv_rows(out, PREDICTIONS, ["file_name", "pixels", "pixel_accuracy", "mean_iou"])

    def add(self, outputs, facts):
        row, labels = int(facts["record"]), outputs["label_map"]
        truth = segmentation.truth(self.split, row)
        counts = self.evaluator.add(truth, labels)
        self.ignored += int((truth == 0).sum())
        numbers = numbers_of(counts)
        if numbers:  # As a PNG, which takes less memory.
            self.worst.add(-numbers["pixel_accuracy"], row, lambda: records.to_label_map(labels))
        shown = (numbers.get(name, "") for name in ("pixel_accuracy", "mean_iou"))
        return [self.split.filename(row), int(counts.sum()), *shown]

    def summarize(self):
        numbers = self.evaluator.summarize()
        if not numbers:
            split = self.split
            raise UserError(f"split {split.name!r} of {split.folder}: not one pixel counts; all are void")
        more = {"images": len(self.split), "pixels": int(self.evaluator.pixels.sum()), "ignored": self.ignored}
        return numbers, self.evaluator.table(self.names), more

    def draw(self, out: Path, numbers):
        title = f"{self.split.name}: {len(self.split):,} images, mean IoU {100 * numbers['mean_iou']:.1f} %"
        confusion.write(out, self.evaluator.confusion, self.names, title, pixels=self.evaluator.pixels)
        loop.save_sheet(worst_label_maps.sheet(self.worst, self.split), out / worst_label_maps.SHEET)

    def text(self, numbers, table):
        return tables.of_segmentation(numbers, table)


evaluate = functools.partial(loop.evaluate, Measured)


def _without_fillers(batches, replicas):
    """The batches without the fillers at their ends, where images of one size are few: they cost as much as images.

    What is left divides among the replicas.
    """
    for batch in batches:
        size = -(-int(np.sum(batch["valid"])) // replicas) * replicas
        yield {name: value[:size] for name, value in batch.items()}


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "mean_iou"
