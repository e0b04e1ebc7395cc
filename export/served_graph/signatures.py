"""The signatures of a SavedModel: from encoded pictures, or their pixels, to results in pixels of the pictures sent."""

import functools

import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data import image
from tfrecog.data.fields import PROPOSAL
from tfrecog.data.parse import to_boxes
from tfrecog.ops import target as lowering

from ..litert.graph import Graph
from . import batched_decoding, upright
from .detection import Detection

BYTES, PIXELS, EXAMPLES = "serving_default", "image_tensor", "tf_example"
BEST = 5  # classes of a picture that a classifier names


def signatures(task, model, experiment: Experiment, masks: str, target: lowering.Target) -> dict[str, Graph]:
    """The signatures of a task's model by name, for B pictures of any size.

    serving_default takes image_bytes [B], encoded, and turns them upright, unless the data set has them as files store
    them; image_tensor image uint8 [B, H, W, 3]; tf_example examples [B], serialized tf.train.Examples with
    image/encoded, which it takes as a record stores them. A detector that reads proposals (--detector.proposals=record)
    is given them with the pictures, in their pixels, [B, P, 4], slots without an area empty; an example has its own.
    """
    on_record = experiment.task == "detection" and experiment.detector.proposals == "record"
    # Of the same inputs in every signature, so that there is one graph of it.
    predict = tf.function(lambda batch: task.predict(model, batch), autograph=False)
    if experiment.task == "detection":
        served = Detection(predict, task.info, experiment, masks, together=target != "machine")
    elif experiment.task == "classification":
        served = Classification(predict, task.info, experiment)
    else:
        served = Segmentation(predict, task.info)

    def built(function):
        def call(*inputs):
            with lowering.to(target):
                return function(*inputs)

        return call

    more = [tf.TensorSpec([None, None, 4], tf.float32, "proposals")] if on_record else []
    as_stored = functools.partial(image.decode, ranges=task.info.pixel_ranges)
    of_files = functools.partial(served.of_bytes, functools.partial(upright.decode, reading=task.info.reading))
    return {
        BYTES: Graph(built(of_files), [tf.TensorSpec([None], tf.string, "image_bytes"), *more]),
        PIXELS: Graph(built(served.of_pixels), [tf.TensorSpec([None, None, None, 3], tf.uint8, "image"), *more]),
        EXAMPLES: Graph(
            built(lambda examples: served.of_bytes(as_stored, *_parse(examples, on_record))),
            [tf.TensorSpec([None], tf.string, "examples")],
        ),
    }


def _parse(examples, on_record):
    """The encoded pictures [B] in serialized tf.train.Examples [B], and their proposals if a detector reads them."""
    features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    if not on_record:
        return [tf.io.parse_example(examples, features)["image/encoded"]]
    features |= {f"image/{side}": tf.io.FixedLenFeature([], tf.int64) for side in ("height", "width")}
    sequence = tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True)
    example = tf.io.parse_example(examples, features | {side.key: sequence for side in PROPOSAL})
    size = tf.stack([example["image/height"], example["image/width"]], axis=-1)
    return [example["image/encoded"], to_boxes(example, PROPOSAL, size)]


class Classification:
    """scores [B, K] in the order of the labels; classes [B, 5] and class_scores [B, 5], the best first."""

    def __init__(self, predict, info, experiment: Experiment):
        self.predict, self.info, self.data, self.crop = predict, info, experiment.data, experiment.classifier.crop

    def of_bytes(self, decode, encoded):
        """Results for encoded pictures [B] of any sizes."""
        seen = tf.map_fn(
            lambda one: self._middle(decode(one)),
            encoded,
            fn_output_signature=tf.TensorSpec([self.crop, self.crop, 3], tf.float32),
            parallel_iterations=batched_decoding.AT_ONCE,
        )
        return self._results(seen)

    def of_pixels(self, images):
        """Results for pictures [B, H, W, 3] uint8."""
        return self._results(self._middle(images))

    def _middle(self, images):
        return image.middle(images, self.data.eval_short_side, self.crop, self.data.resize)

    def _results(self, seen):
        seen = tf.ensure_shape(seen, [None, self.crop, self.crop, 3])
        scores = self.predict({"image": seen})["probabilities"]
        best, index = tf.math.top_k(scores, min(BEST, self.info.num_classes))
        return {"scores": scores, "classes": tf.gather(tf.constant(self.info.names), index), "class_scores": best}


class Segmentation:
    """labels [B, H, W] uint8 in 0..K, 0 beyond a picture that is smaller than another, and image_size [B, 2]."""

    def __init__(self, predict, info):
        self.predict, self.info = predict, info

    def of_bytes(self, decode, encoded):
        """Results for encoded pictures [B]; those of one size go through the network together."""
        pictures, sizes = batched_decoding.decoded(encoded, decode, tf.identity, tf.uint8)
        largest = tf.reduce_max(sizes, axis=0)

        def of_group(index, size):
            labels = self._labels(batched_decoding.stacked(pictures, index, size))
            below, right = tf.unstack(largest - size)
            return {"labels": tf.pad(labels, [[0, 0], [0, below], [0, right]])}

        results = {"labels": tf.TensorSpec([None, None], tf.uint8)}
        return batched_decoding.in_groups(sizes, of_group, results) | {"image_size": sizes}

    def of_pixels(self, images):
        """Results for pictures [B, H, W, 3] uint8."""
        shape = tf.shape(images)
        size = tf.broadcast_to(shape[1:3], [shape[0], 2])
        return {"labels": self._labels(tf.cast(images, tf.float32)), "image_size": size}

    def _labels(self, images):
        return self.predict({"image": tf.ensure_shape(images, [None, None, None, 3])})["label_map"]
