"""What a server computes: from the bytes of pictures, or their pixels, to results in pixels of the pictures sent."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from export import detections, received
from tfrecog.config import Experiment
from tfrecog.data import image
from tfrecog.ops import lowering

BYTES, PIXELS, EXAMPLES = "serving_default", "image_tensor", "tf_example"
BEST = 5  # classes of a picture that a classifier names


class Signature(NamedTuple):
    """A function of named inputs to named outputs."""

    call: Callable[..., dict]
    inputs: list[tf.TensorSpec]


def signatures(task, model, experiment: Experiment, masks: str, target: lowering.Target) -> dict[str, Signature]:
    """The signatures of a task's model by name.

    serving_default takes image_bytes [B], encoded; image_tensor image uint8 [B, H, W, 3]; tf_example examples [B],
    serialized tf.train.Examples with image/encoded.
    """
    make = {"detection": detections.Detection, "classification": Classification, "segmentation": Segmentation}
    served = make[experiment.task](task, model, experiment, **({"masks": masks} if experiment.task == "detection" else {}))
    more = served.more_inputs

    def of_examples(examples):
        return served.of_bytes(*served.parse(examples))

    def built(function):
        def call(*inputs):
            with lowering.to(target):
                return function(*inputs)

        return call

    return {
        BYTES: Signature(built(served.of_bytes), [tf.TensorSpec([None], tf.string, "image_bytes"), *more]),
        PIXELS: Signature(built(served.of_pixels), [tf.TensorSpec([None, None, None, 3], tf.uint8, "image"), *more]),
        EXAMPLES: Signature(built(of_examples), [tf.TensorSpec([None], tf.string, "examples")]),
    }


def encoded_in(examples) -> tuple[tf.Tensor]:
    """The encoded pictures [B] in serialized tf.train.Examples [B]."""
    key = "image/encoded"
    return (tf.io.parse_example(examples, {key: tf.io.FixedLenFeature([], tf.string)})[key],)


class Classification:
    """scores [B, K] in the order of the labels; classes [B, 5] and class_scores [B, 5], the best first."""

    more_inputs = ()
    parse = staticmethod(encoded_in)

    def __init__(self, task, model, experiment: Experiment):
        self.task, self.model, self.data, self.crop = task, model, experiment.data, experiment.classifier.crop

    def of_bytes(self, encoded):
        seen = tf.map_fn(
            lambda one: self._middle(image.decode(one)),
            encoded,
            fn_output_signature=tf.TensorSpec([self.crop, self.crop, 3], tf.float32),
            parallel_iterations=received.AT_ONCE,
        )
        return self._results(seen)

    def of_pixels(self, images):
        return self._results(self._middle(images))

    def _middle(self, images):
        return image.middle(images, self.data.eval_short_side, self.crop, self.data.resize)

    def _results(self, seen):
        scores = self.task.predict(self.model, {"image": seen})["probabilities"]
        best, index = tf.math.top_k(scores, min(BEST, self.task.info.num_classes))
        return {"scores": scores, "classes": tf.gather(tf.constant(self.task.info.names), index), "class_scores": best}


class Segmentation:
    """labels [B, H, W] uint8 in 0..K, and image_size [B, 2] of the pictures, where they differ in size."""

    more_inputs = ()
    parse = staticmethod(encoded_in)

    def __init__(self, task, model, experiment: Experiment):
        self.task, self.model = task, model

    def of_bytes(self, encoded):
        pictures, sizes = received.decoded(encoded, tf.identity, tf.uint8)
        largest = tf.reduce_max(sizes, axis=0)

        def of_group(index, size):
            labels = self._labels(received.stacked(pictures, index, size))
            below, right = tf.unstack(largest - size)
            return {"labels": tf.pad(labels, [[0, 0], [0, below], [0, right]])}

        results = {"labels": tf.TensorSpec([None, None], tf.uint8)}
        return received.in_groups(sizes, of_group, results) | {"image_size": sizes}

    def of_pixels(self, images):
        shape = tf.shape(images)
        return {
            "labels": self._labels(tf.cast(images, tf.float32)),
            "image_size": tf.broadcast_to(shape[1:3], [shape[0], 2]),
        }

    def _labels(self, images):
        return self.task.predict(self.model, {"image": images})["label_map"]
