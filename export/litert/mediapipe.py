"""A TFLite file for the stock Tasks of MediaPipe: ImageClassifier, ImageSegmenter and ObjectDetector.

What they read is in their sources: tasks/cc/vision/image_segmenter/image_segmenter_graph.cc,
tasks/cc/components/processors/detection_postprocessing_graph.cc and classification_postprocessing_graph.cc. All take
one input, the picture, which they stretch over it, and one subgraph. docs/decisions/0044 has the reasons.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment

READER = "mediapipe"
# What an ObjectDetector calls its tensors: it goes by these names, not by places.
NAMES = {
    "detection_boxes": "location",
    "detection_classes": "category",
    "detection_scores": "score",
    "num_detections": "number of detections",
}
# What its tensors mean where that differs from other files'.
MEANINGS = {
    "detection_boxes": "y1, x1, y2, x2 as shares of the picture's sides, by falling score.",
    "detection_classes": "Class: n is line n of labels.txt, counted from 0.",
    "probabilities": "Probability of each class in each pixel, in the order of labels.txt.",
}
NO_KEYPOINTS = {"keypoints": [], "skeleton": [], "flip_pairs": []}  # metadata of a file that has boxes alone
# An ImageSegmenter's own metadata, of image_segmenter_metadata_schema.fbs: its activation function of the scores.
SEGMENTER, SEGMENTER_IDENTIFIER = "SEGMENTER_METADATA", b"V001"
NONE = np.int8(0)
# None of its functions: it says so and opens no file with this one. What any other ImageSegmenter would read of a label
# map [1, H, W] are the scores of W classes in H pixels.
REFUSED = np.int8(127)
# A file by which an ImageClassifier would calibrate the scores, and which is not there: it names it and opens nothing.
# Without it the Task would squeeze the photo where `predict` cuts out the middle.
MISSING = "a Task needs a file by export.tflite --for=mediapipe"


def check(experiment: Experiment) -> None:
    """UserError if no Task reads a file of such a run."""
    if experiment.task == "detection" and experiment.detector.proposals == "record":
        raise UserError(
            f"--for={READER}: this detector reads proposals, and a Task gives a model pictures alone; export it without"
        )


def check_file(model: Any) -> None:
    """UserError if a `convert.parsed` file has loops, which are subgraphs of their own."""
    if len(model.subgraphs) > 1:
        raise UserError(f"--for={READER}: this network has loops, and a Task reads none; export it without")


def outputs(task, model, experiment: Experiment, image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Of a picture [1, H, W, 3] what a Task reads, all float32.

    Of a classifier `scores` [1, K], of a segmenter `probabilities` [1, H, W, K], which have to be of four dimensions,
    and of a detector its boxes as shares of the sides and its classes from 0.
    """
    batch = {"image": image}
    if experiment.task == "classification":
        return {"scores": tf.identity(task.predict(model, batch)["probabilities"])}
    if experiment.task == "segmentation":
        return {"probabilities": task.probabilities(model, batch)}
    height, width = image.shape.as_list()[1:3]
    found = model(image, tf.constant([[height, width]], tf.int32), None)
    count = tf.reduce_sum(tf.cast(found["labels"] > 0, tf.float32), axis=1)
    return {
        "detection_boxes": found["boxes"] / tf.constant([height, width, height, width], tf.float32),
        "detection_classes": tf.cast(tf.maximum(found["labels"] - 1, 0), tf.float32),
        "detection_scores": tf.identity(found["scores"]),
        "num_detections": count,
    }


def left_out(experiment: Experiment) -> str:
    """What of a detector's outputs a Task does not read, for people; empty if it reads all."""
    detector = experiment.detector
    parts = [part for part in ("masks", "keypoints") if experiment.task == "detection" and getattr(detector, part)]
    return f"An ObjectDetector reads boxes: the file has no {' and no '.join(parts)}" if parts else ""
