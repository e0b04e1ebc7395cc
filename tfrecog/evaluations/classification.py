"""Evaluation of a classifier: top-1 and top-5 accuracy, a row for each class, and the confusion matrix."""

from pathlib import Path

import tensorflow as tf

from tfrecog import inference
from tfrecog.config import Experiment
from tfrecog.data import classification, index, info
from tfrecog.evaluations import report
from tfrecog.metrics.classification import Evaluator

CONFUSION = "confusion.csv"


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
    """`top1` and `top5`; arguments as of `tfrecog.evaluate.evaluate`."""
    data = experiment.data
    dataset, where = info.load(data.records), index.load(data.records, data.eval_split, ["label"])
    labels = classification.labels_of(where, dataset, data.records)
    evaluator = Evaluator(dataset.num_classes)
    size = inference.batch_size(data.eval_batch_size, strategy)
    batches = classification.evaluation(data, experiment.classifier.crop, where, size)
    with inference.progress(len(where), f"evaluate {data.eval_split}") as progress:
        for said, facts in inference.each(task, model, strategy, batches):
            evaluator.add(int(labels[facts["record"]]), said["probabilities"])
            progress.update()
    numbers = evaluator.summarize()
    report.write(out, experiment, numbers, [], step=step, checkpoint=checkpoint, images=len(where))
    if show:
        print(numbers)
    return numbers
