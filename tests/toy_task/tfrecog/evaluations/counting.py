"""Evaluation of a network that counts."""

import contextlib
import functools

from tfrecog.data import counting
from tfrecog.evaluations import loop
from tfrecog.inference import predictor
from tfrecog.metrics.counting import Evaluator

FILES = ()  # beside metrics.json


def headline(experiment):
    """The metric by which experiments are compared if none is named."""
    return "mean_error"


class Measured:
    """The numbers of `metrics.counting`; see `loop.evaluate`."""

    any_size = False

    def __init__(self, experiment, split, strategy, workers):
        size = predictor.batch_size(experiment.data.eval_batch_size, strategy)
        self.batches = counting.evaluation(experiment.data, experiment.counting.side, split, size, workers)
        self.split, self.evaluator = split, Evaluator()

    def rows(self, out):
        return contextlib.nullcontext(lambda row: None)

    def add(self, outputs, facts):
        self.evaluator.add(float(outputs["count"]), int(self.split.index.instances[int(facts["record"])]))

    def summarize(self):
        return self.evaluator.summarize(), [], {"images": len(self.split)}

    def draw(self, out, numbers):
        """Nothing."""

    def text(self, numbers, table):
        return f"mean error {numbers['mean_error']:.2f} objects, {numbers['exact']:.1%} exact"


evaluate = functools.partial(loop.evaluate, Measured)
