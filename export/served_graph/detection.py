"""A detector's results for pictures of any size: resized and padded as `tfrecog.predict` does, and the way back."""

import tensorflow as tf

from tfrecog.config import Experiment
from tfrecog.data import image
from tfrecog.ops import boxes, keypoints

from ..artifact.metadata import DETECTIONS
from . import batched_decoding, mask_encoding


class Detection:
    """Detections by the names of the Object Detection API, in pixels of the pictures sent.

    Args:
        predict: a function of a batch to the outputs of a model, of a dataset `info`.
        masks: their form, see `mask_encoding.encode`.
        together: pictures go through the network in batches, and not one by one.
    """

    def __init__(self, predict, info, experiment: Experiment, masks: str, together: bool):
        self.predict, self.info, self.masks, self.together = predict, info, masks, together
        self.config, self.data = experiment.detector, experiment.data

    def of_bytes(self, decode, encoded, proposals=None):
        """Results for encoded pictures [B] of any sizes; those of one canvas go through the network together."""

        def prepare(picture):
            return image.resize(picture, self._target(tf.shape(picture)[:2]), self.data.resize)

        pictures, originals = batched_decoding.decoded(encoded, decode, prepare, tf.float32)
        targets = self._target(originals)

        def of_group(index, canvas):
            own = None if proposals is None else tf.gather(proposals, index)
            images = batched_decoding.stacked(pictures, index, canvas)
            return self._found(images, tf.gather(targets, index), tf.gather(originals, index), own)

        found = batched_decoding.in_groups(self._canvas(targets), of_group, self._of_one())
        return self._results(found, originals)

    def of_pixels(self, images, proposals=None):
        """Results for pictures [B, H, W, 3] uint8."""
        shape = tf.shape(images)
        size = self._target(shape[1:3])
        resized = image.resize(images, size, self.data.resize)
        below, right = tf.unstack(self._canvas(size) - size)
        padded = tf.pad(resized, [[0, 0], [0, below], [0, right], [0, 0]])
        targets, originals = (tf.broadcast_to(one, [shape[0], 2]) for one in (size, shape[1:3]))
        return self._results(self._found(padded, targets, originals, proposals), originals)

    def _target(self, size):
        data = self.data
        return image.target_size(size, data.eval_short_side, data.long_side, data.size_rounding)

    def _canvas(self, size):
        data = self.data
        if data.pad_to_batch_max:
            return image.tight_canvas(size)
        shapes = image.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
        return tf.gather(shapes, image.canvas_of(size, shapes))

    def _of_one(self):
        """The network's outputs for one picture, name → TensorSpec."""
        slots, side = self.config.output.max_detections, 2 * self.config.mask.size
        specs = {
            "boxes": tf.TensorSpec([slots, 4], tf.float32),
            "labels": tf.TensorSpec([slots], tf.int32),
            "scores": tf.TensorSpec([slots], tf.float32),
        }
        if self.config.masks:
            specs["masks"] = tf.TensorSpec([slots, side, side], tf.float32)
        if self.config.keypoints:
            specs["keypoints"] = tf.TensorSpec([slots, len(self.info.keypoints), 3], tf.float32)
        return specs

    def _found(self, images, targets, originals, proposals=None):
        """Detections in canvases [n, H, W, 3], moved to the pictures as they were sent."""
        scale = tf.cast(targets, tf.float32) / tf.cast(originals, tf.float32)
        batch = {
            "image": tf.ensure_shape(images, [None, None, None, 3]),
            "size": tf.ensure_shape(targets, [None, 2]),
            "scale": tf.ensure_shape(scale, [None, 2]),
        }
        if proposals is not None:
            batch["proposals"] = proposals[:, : self.data.max_proposals] * tf.tile(scale, [1, 2])[:, None]
        found = self.predict(batch) if self.together else self._one_by_one(batch)
        found["boxes"] = boxes.to_original(found["boxes"], scale, originals)
        if "keypoints" in found:
            found["keypoints"] = keypoints.to_original(found["keypoints"], scale)
        return found

    def _one_by_one(self, batch):
        def of_picture(one):
            found = self.predict({name: value[None] for name, value in one.items()})
            return {name: found[name][0] for name in results}

        results = self._of_one()
        return tf.map_fn(of_picture, batch, fn_output_signature=results, parallel_iterations=1)

    def _results(self, found, originals):
        labels = found["labels"]
        if "masks" in found:
            squares, output = found["masks"], self.config.output
            found["masks"] = mask_encoding.encode(self.masks, squares, found["boxes"], labels, originals, output)
        return {name: found[own] for name, own in DETECTIONS.items() if own in found} | {
            "detection_class_names": tf.gather(tf.constant(["", *self.info.names]), labels),
            "num_detections": tf.reduce_sum(tf.cast(labels > 0, tf.int32), axis=1),
            "image_size": originals,
        }
