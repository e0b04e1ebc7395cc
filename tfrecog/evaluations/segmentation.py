"""Evaluation of a segmenter: IoU and accuracy of its label maps at the images' own size, and the worst of them."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import image, records, segmentation
from tfrecog.drawing import contact_sheet, label_map
from tfrecog.evaluations import confusion, loop, worst_label_maps
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.segmentation import Evaluator, numbers_of
from tfrecog.metrics.worst import Worst
from tfrecog.reports import pictures
from tfrecog.reports import segmentation as page
from tfrecog.reports.blocks import Picture
from tfrecog.runtime.cluster import ALONE

PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, confusion.TABLE, confusion.PICTURE, worst_label_maps.SHEET)


class Measured:
    """`mean_iou`, `mean_accuracy`, `pixel_accuracy` and `frequency_weighted_iou`; see `loop.evaluate`.

    One image is in memory at a time, beside the worst few. Files: predictions.csv (pixel accuracy and mean IoU of each
    image), confusion.csv and .png (of pixels) and worst.jpg (the images with the lowest pixel accuracy).
    """

    any_size = True  # A graph for each size would be too many.

    def __init__(self, experiment: Experiment, split, strategy, workers=ALONE):
        segmentation.check(split)
        data, self.split, self.names, self.ignored = experiment.data, split, split.info.names, 0
        self.evaluator, self.worst = Evaluator(len(self.names)), Worst(worst_label_maps.MOST)
        self.chosen: dict[int, tuple[float, bytes]] | None = None  # of images at random, by row, as in `worst`
        size, replicas = predictor.batch_size(data.eval_batch_size, strategy), strategy.num_replicas_in_sync
        self.batches = segmentation.evaluation(data, split, size, replicas, workers)

    def diagnose(self):
        """Has the pictures of the report collected."""
        self.chosen, self.random = {}, pictures.at_random(len(self.split), most=2 * pictures.MOST)

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
            if self.chosen is not None and row in self.random:
                self.chosen[row] = numbers["pixel_accuracy"], records.to_label_map(labels)
        shown = (numbers.get(name, "") for name in ("pixel_accuracy", "mean_iou"))
        return [self.split.filename(row), int(counts.sum()), *shown]

    def summarize(self):
        numbers = self.evaluator.summarize()
        if not numbers:
            split = self.split
            raise UserError(f"split {split.name!r} of {split.folder}: not one pixel counts; all are void")
        more = {"images": len(self.split), "pixels": int(self.evaluator.pixels.sum()), "ignored": self.ignored}
        more["standard_errors"], self.iou_errors = self.evaluator.standard_errors()
        return numbers, self.evaluator.table(self.names), more

    def draw(self, out: Path, numbers):
        title = f"{self.split.name}: {len(self.split):,} images, mean IoU {100 * numbers['mean_iou']:.1f} %"
        confusion.write(out, self.evaluator.confusion, self.names, title, pixels=self.evaluator.pixels)
        loop.save_sheet(worst_label_maps.sheet(self.worst, self.split), out / worst_label_maps.SHEET)

    def report(self, written: dict):
        """The sections of the page, after `draw`; `written` is what metrics.json has."""
        worst = {row: (-badness, said) for badness, row, said in self.worst.entries() if badness > -1}
        known = self.chosen or {}
        others = [row for row in self.random if row in known and row not in worst][: pictures.MOST]
        rows = [*worst, *sorted(others)]
        drawn = [self._picture(row, *(known | worst)[row]) for row in rows]
        legend = [
            (f"#{red:02x}{green:02x}{blue:02x}", name)
            for name, (red, green, blue) in zip(self.names, self._palette()[1:].tolist(), strict=True)
        ]
        return [
            page.results(written),
            page.classes(written["classes"], self.iou_errors),
            page.scores(),
            page.confusions(self.evaluator.confusion, self.evaluator.pixels, self.names),
            page.pictures(drawn[: len(worst)], drawn[len(worst) :], legend),
        ]

    def _palette(self):
        return label_map.palette(len(self.names), [category.colour for category in self.split.info.categories])

    def _picture(self, row, accuracy, predicted):
        """The image, its true and its predicted labels, which a PNG holds."""
        record, colours = self.split.record(row), [tuple(one) for one in self._palette()[1:].tolist()]
        assert record.label_map is not None  # The evaluation has read it.
        small = contact_sheet.fitted(Image.fromarray(image.decode(record.encoded).numpy()), pictures.SIDE)
        parts = [("image", pictures.address(np.asarray(small)))]
        for name, png in (("truth", record.label_map), ("predicted", predicted)):
            labels = Image.fromarray(records.from_label_map(png)).resize(small.size, Image.Resampling.NEAREST)
            parts.append((name, pictures.address(label_map.draw(np.asarray(small), np.asarray(labels), (), colours))))
        return Picture(record.filename or f"record {row}", parts, f"pixel accuracy {accuracy:.1%}")

    def text(self, numbers, table):
        return tables.of_segmentation(numbers, table)


evaluate = functools.partial(loop.evaluate, Measured)


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "mean_iou"
