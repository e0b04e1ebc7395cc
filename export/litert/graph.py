"""What a TFLite file computes: the graph of each task for one picture of one size, with the names of its tensors."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.ops import target

IMAGE = "image"


class Graph(NamedTuple):
    """A function of named inputs to named outputs, all of static shapes."""

    call: Callable[..., dict]
    inputs: list[tf.TensorSpec]


def build(task, model, experiment: Experiment, size: tuple[int, int], dtype: str, pad: bool) -> Graph:
    """The graph of a task for a picture `image` [1, H, W, 3] in 0..255 of a size (H, W), of a dtype uint8 or float32.

    Args:
        pad: a detector is told how many rows and columns of the canvas are picture, `size` [2] int32; else all are.
    """
    image = tf.TensorSpec([1, *size, 3], dtype, IMAGE)
    make = {"detection": _detection, "classification": _classification, "segmentation": _segmentation}
    graph = make[experiment.task](task, model, experiment, image, pad)

    def call(*inputs):
        with target.to("tflite"):
            return graph.call(*inputs)

    return Graph(call, graph.inputs)


def _classification(task, model, experiment, image, pad):
    def call(image):
        probabilities = task.predict(model, {"image": tf.cast(image, tf.float32)})["probabilities"]
        return {"scores": tf.identity(probabilities)}

    return Graph(call, [image])


def _segmentation(task, model, experiment, image, pad):
    def call(image):
        return {"labels": task.predict(model, {"image": tf.cast(image, tf.float32)})["label_map"]}

    return Graph(call, [image])


def _detection(task, model, experiment, image, pad):
    inputs, config = [image], experiment.detector
    if pad:
        inputs.append(tf.TensorSpec([2], tf.int32, "size"))
    if config.proposals == "record":
        inputs.append(tf.TensorSpec([experiment.data.max_proposals, 4], tf.float32, "proposals"))

    def call(image, *others):
        given = dict(zip([spec.name for spec in inputs[1:]], others, strict=True))
        size = given.get("size", tf.constant(image.shape.as_list()[1:3], tf.int32))
        proposals = given["proposals"][None] if "proposals" in given else None
        found = model(tf.cast(image, tf.float32), size[None], proposals)
        outputs = {
            "detection_boxes": found["boxes"],
            "detection_classes": found["labels"],
            "detection_scores": found["scores"],
            "num_detections": tf.reduce_sum(tf.cast(found["labels"] > 0, tf.int32), axis=1),
        }
        branches = {"masks": "detection_masks", "keypoints": "detection_keypoints"}
        return outputs | {name: found[branch] for branch, name in branches.items() if branch in found}

    return Graph(call, inputs)


def still(experiment: Experiment) -> Experiment:
    """The experiment that a file computes: in float32, on one device; a segmenter sees the canvas as it is."""
    train = dataclasses.replace(experiment.train, precision="float32", replicas=1)
    data = experiment.data
    if experiment.task == "segmentation":
        data = dataclasses.replace(data, eval_short_side=0, resize="bilinear")
    return dataclasses.replace(experiment, train=train, data=data)
