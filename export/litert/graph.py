"""What a TFLite file computes: the graph of a task for one picture of one size, with the names of its tensors."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.ops import target

from ..artifact.metadata import DETECTIONS
from . import mediapipe


class Graph(NamedTuple):
    """A function of named inputs to named outputs; of a TFLite file all shapes are static."""

    call: Callable[..., dict]
    inputs: list[tf.TensorSpec]


def module(functions: dict[str, tf.types.experimental.ConcreteFunction]) -> tf.Module:
    """A module of functions by name and the weights they read, in the order in which they do: it needs no layers.

    TensorFlow has the variables of a function in an order that differs from process to process.
    """
    made, weights = tf.Module(), {}
    for name, function in functions.items():
        setattr(made, name, function)
        places = {id(tensor): place for place, tensor in enumerate(function.captured_inputs)}
        read = sorted(function.graph.variables, key=lambda variable: places[id(variable.handle)])
        weights |= {id(variable): variable for variable in read}
    made.weights = [*weights.values()]
    return made


def build(task, model, experiment: Experiment, given: dict, reader: str = "", integers: bool = False) -> Graph:
    """The graph of a task for a picture `image` [1, H, W, 3] in 0..255.

    Args:
        given: `input` of the file's metadata: `size`, `dtype` (uint8 or float32) and `fit`. With `pad` a detector is
            told how many rows and columns of the canvas are picture, `size` [2] int32; else all are.
        reader: "mediapipe" if its Tasks are to read the file.
        integers: it is for `quantize.full`, which makes uint8 of a float32 picture.
    """
    inputs = [tf.TensorSpec([1, *given["size"], 3], tf.float32 if integers else given["dtype"], "image")]
    detects = experiment.task == "detection"
    if detects and given["fit"] == "pad":
        inputs.append(tf.TensorSpec([2], tf.int32, "size"))
    if detects and experiment.detector.proposals == "record":
        inputs.append(tf.TensorSpec([experiment.data.max_proposals, 4], tf.float32, "proposals"))

    def call(*values):
        tensors = dict(zip([spec.name for spec in inputs], values, strict=True))
        tensors["image"] = tf.cast(tensors["image"], tf.float32)
        with target.to("tflite", integers=integers):
            if reader == mediapipe.READER:
                return mediapipe.outputs(task, model, experiment, tensors["image"])
            if detects:
                return _detections(model, **tensors)
            outputs = task.predict(model, tensors)
            if experiment.task == "segmentation":
                return {"labels": outputs["label_map"]}
            return {"scores": tf.identity(outputs["probabilities"])}

    return Graph(call, inputs)


def _detections(model, image, size=None, proposals=None):
    size = tf.constant(image.shape.as_list()[1:3], tf.int32) if size is None else size
    found = model(image, size[None], None if proposals is None else proposals[None])
    outputs = {name: found[own] for name, own in DETECTIONS.items() if own in found}
    return outputs | {"num_detections": tf.reduce_sum(tf.cast(found["labels"] > 0, tf.int32), axis=1)}


def still(experiment: Experiment) -> Experiment:
    """The experiment that a file computes: in float32, on one device; a segmenter sees the canvas as it is."""
    train = dataclasses.replace(experiment.train, precision="float32", replicas=1)
    data = experiment.data
    if experiment.task == "segmentation":
        data = dataclasses.replace(data, eval_short_side=0, resize="bilinear")
    return dataclasses.replace(experiment, train=train, data=data)
