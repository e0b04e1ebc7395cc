"""Evaluation of a classifier: top-1 and top-5 accuracy, and which classes are taken for which."""

import functools
from pathlib import Path

from tfrecog.config import Experiment
from tfrecog.data import classification
from tfrecog.evaluations import confusion, loop, misclassified
from tfrecog.inference import predictor
from tfrecog.metrics import tables
from tfrecog.metrics.classification import FEW, Evaluator
from tfrecog.metrics.worst import Worst

PREDICTIONS = "predictions.csv"
FILES = (PREDICTIONS, confusion.TABLE, confusion.PICTURE, misclassified.SHEET)


class Measured:
    """`top1`, `top5` (of more than five classes) and `error`; see `loop.evaluate`.

    Files: predictions.csv (the best five classes of each image), confusion.csv and .png, and misclassified.jpg (the
    most confident mistakes).
    """

    any_size = False

    def __init__(self, experiment: Experiment, split, strategy):
        data, self.split, self.names = experiment.data, split, split.info.names
        self.labels = classification.labels_of(split)
        self.evaluator, self.worst = Evaluator(len(self.names)), Worst(misclassified.MOST)
        size = predictor.batch_size(data.eval_batch_size, strategy)
        self.batches = classification.evaluation(data, experiment.classifier.crop, split, size)

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
        guesses = [(self.names[one - 1], f"{probabilities[one - 1]:.6f}") for one in best]
        return [self.split.filename(row), self.names[label - 1], int(right), *sum(guesses, ())]

    def summarize(self):
        undefined, more = int(self.evaluator.undefined.sum()), {"images": len(self.split)}
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

    def text(self, numbers, table):
        return tables.of_classification(numbers, table, self.evaluator.confusion)


evaluate = functools.partial(loop.evaluate, Measured)


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "top1_error"
