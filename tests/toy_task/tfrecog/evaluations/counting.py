"""Evaluation of a network that counts."""

from tfrecog.data import counting
from tfrecog.data.split import Split
from tfrecog.evaluations import report
from tfrecog.inference import predictor
from tfrecog.metrics.counting import Evaluator

FILES = ()  # beside metrics.json


def headline(experiment):
    """The metric by which experiments are compared if none is named."""
    return "mean_error"


def evaluate(task, model, experiment, strategy, out=None, *, step=None, checkpoint=None, show=False):
    """The numbers of `metrics.counting`, by name; also in OUT/metrics.json."""
    data = experiment.data
    split, evaluator = Split.open(data.records, data.eval_split), Evaluator()
    size = predictor.batch_size(data.eval_batch_size, strategy)
    batches = counting.evaluation(data, experiment.counting.side, split, size)
    for said, facts in predictor.predict_batches(task, model, strategy, batches):
        evaluator.add(float(said["count"]), int(split.index.instances[int(facts["record"])]))
    numbers = evaluator.summarize()
    report.write(out, experiment, numbers, [], step=step, checkpoint=checkpoint, images=len(split))
    if show:
        print(f"mean error {numbers['mean_error']:.2f} objects, {numbers['exact']:.1%} exact")
    return numbers
