"""Evaluation of a classifier: top-1 and top-5 accuracy, and which classes are taken for which."""

import functools
import json
from pathlib import Path

import numpy as np

from tfrecog.cli import files
from tfrecog.config import Experiment
from tfrecog.data import classification, image
from tfrecog.evaluations import confusion, loop, misclassified
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.classification import FEW, Answers, Evaluator
from tfrecog.metrics.worst import Worst
from tfrecog.reports import classification as page
from tfrecog.reports import pictures
from tfrecog.reports.blocks import Picture
from tfrecog.runtime.cluster import ALONE

PREDICTIONS, DIAGNOSIS = "predictions.csv", "diagnosis.json"
FILES = (PREDICTIONS, DIAGNOSIS, confusion.TABLE, confusion.PICTURE, misclassified.SHEET)


class Measured:
    """`top1`, `top5` (of more than five classes) and `error`; see `loop.evaluate`.

    Files: predictions.csv (the best five classes of each image), diagnosis.json (see `metrics.classification.Answers`),
    confusion.csv and .png, and misclassified.jpg (the most confident mistakes).
    """

    any_size = False

    def __init__(self, experiment: Experiment, split, strategy, workers=ALONE):
        data, self.split, self.names = experiment.data, split, split.info.names
        self.labels = classification.labels_of(split)
        self.evaluator, self.worst = Evaluator(len(self.names)), Worst(misclassified.MOST)
        self.answers: Answers | None = None
        self.chosen: dict[int, tuple[int, int, float]] = {}  # what is said of images at random, by their rows
        size = predictor.batch_size(data.eval_batch_size, strategy)
        self.batches = classification.evaluation(data, experiment.classifier.crop, split, size, workers)

    def diagnose(self):
        """Has what diagnosis.json and the report are made of collected."""
        self.answers = Answers(self.names)
        self.random = pictures.at_random(len(self.split), most=2 * pictures.MOST)

    def rows(self, out):
        guesses = [f"{what}_{place}" for place in range(1, FEW + 1) for what in ("class", "probability")]
        return loop.csv_rows(out, PREDICTIONS, ["file_name", "class", "right", *guesses])

    def add(self, outputs, facts):
        row, probabilities = int(facts["record"]), outputs["probabilities"]
        label = int(self.labels[row])
        best = self.evaluator.add(label, probabilities).tolist()
        right = best[:1] == [label]
        if best and not right:
            mistake = label, best[0], float(probabilities[label - 1])
            self.worst.add(probabilities[best[0] - 1], row, lambda: mistake)
        if self.answers:
            answer = (label, best[0], float(probabilities[best[0] - 1])) if best else (label, 0, 0.0)
            self.answers.add(*answer)
            if row in self.random:
                self.chosen[row] = answer
        guesses = [(self.names[one - 1], f"{probabilities[one - 1]:.6f}") for one in best]
        return [self.split.filename(row), self.names[label - 1], int(right), *sum(guesses, ())]

    def summarize(self):
        undefined, more = int(self.evaluator.undefined.sum()), {"images": len(self.split)}
        more["standard_errors"] = self.evaluator.standard_errors()
        if undefined:
            more["undefined"] = undefined
            print(
                f"{undefined:,} images count as mistakes, because what the network says of them is not a number: its "
                "weights or its moving statistics have grown out of range"
            )
        return self.evaluator.summarize(), self.evaluator.table(self.names), more

    def draw(self, out: Path, numbers):
        title = f"{self.split.name}: {len(self.split):,} images, error {100 * numbers['error']:.2f} %"
        confusion.write(out, self.evaluator.confusion, self.names, title)
        loop.save_sheet(misclassified.sheet(self.worst, self.split), out / misclassified.SHEET)
        if self.answers:
            self.diagnosis = self.answers.report()
            with files.write(out / DIAGNOSIS) as file:
                json.dump(self.diagnosis, file)
                file.write("\n")
        else:
            (out / DIAGNOSIS).unlink(missing_ok=True)

    def report(self, written: dict):
        """The sections of the page, after `draw`; `written` is what metrics.json has."""
        worst = {row: (*said[:2], sure) for sure, row, said in self.worst.entries()[: pictures.MOST]}
        others = [row for row in self.random if row in self.chosen and row not in worst][: pictures.MOST]
        return [
            page.results(written),
            page.classes(written["classes"], self.diagnosis),
            page.curves(self.diagnosis),
            page.confusions(self.evaluator.confusion, self.evaluator.images, self.names),
            page.pictures(
                [self._picture(row, *said) for row, said in worst.items()],
                [self._picture(row, *self.chosen[row]) for row in sorted(others)],
            ),
        ]

    def _picture(self, row, label, predicted, probability):
        said = f"{self.names[predicted - 1]} ({probability:.0%})" if predicted else "nothing, the outputs are NaN"
        words = f"true {self.names[label - 1]}, predicted {said}"
        shown = np.asarray(image.decode(self.split.record(row).encoded))
        name = self.split.filename(row) or f"record {row}"
        return Picture(name, [("", pictures.address(shown, pictures.SIDE // 2))], words)

    def text(self, numbers, table):
        return tables.of_classification(numbers, table, self.evaluator.confusion)


evaluate = functools.partial(loop.evaluate, Measured)


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "top1_error"
