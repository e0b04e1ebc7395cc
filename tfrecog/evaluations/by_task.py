"""The evaluation of each task."""

from pathlib import Path

import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.evaluations import classification, detection, segmentation

FILES = {"detection": detection.FILES, "classification": classification.FILES, "segmentation": segmentation.FILES}


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
