"""What a served detector computes: resizing and canvases as `tfrecog.predict` has them, and the way back."""

import tensorflow as tf

from export import received
from tfrecog.config import Experiment
from tfrecog.data import image


class Detection:
    """Detections by the names of the Object Detection API, in pixels of the pictures sent."""

    def __init__(self, task, model, experiment: Experiment, masks: str = "squares"):
        self.task, self.model, self.experiment, self.data = task, model, experiment, experiment.data
        self.masks = masks
        self.more_inputs = ()

    def parse(self, examples):
        from export.serving import encoded_in

        return encoded_in(examples)

    def of_bytes(self, encoded):
        def prepare(picture):
            return image.resize(picture, self._target(tf.shape(picture)[:2]), self.data.resize)

        pictures, originals = received.decoded(encoded, prepare, tf.float32)
        targets = self._target(originals)

        def of_group(index, canvas):
            images = received.stacked(pictures, index, canvas)
            return self._found(images, tf.gather(targets, index), tf.gather(originals, index))

        found = received.in_groups(self._canvas(targets), of_group, self._specs())
        return self._results(found, originals)

    def of_pixels(self, images):
        shape = tf.shape(images)
        size = self._target(shape[1:3])
        resized = image.resize(images, size, self.data.resize)
        below, right = tf.unstack(self._canvas(size) - size)
        padded = tf.pad(resized, [[0, 0], [0, below], [0, right], [0, 0]])
        targets, originals = (tf.broadcast_to(one, [shape[0], 2]) for one in (size, shape[1:3]))
        return self._results(self._found(padded, targets, originals), originals)

    def _target(self, size):
        data = self.data
        return image.target_size(size, data.eval_short_side, data.long_side, data.size_rounding)

    def _canvas(self, size):
        data = self.data
        if data.tight:
            return image.tight_canvas(size)
        shapes = image.canvases(data.eval_short_side, data.long_side, data.aspect_ratios)
        return tf.gather(shapes, image.canvas_of(size, shapes))

    def _specs(self):
        config, slots = self.experiment.detector, self.experiment.detector.output.max_detections
        specs = {
            "boxes": tf.TensorSpec([slots, 4], tf.float32),
            "labels": tf.TensorSpec([slots], tf.int32),
            "scores": tf.TensorSpec([slots], tf.float32),
        }
        if config.masks:
            specs["masks"] = tf.TensorSpec([slots, 2 * config.mask.size, 2 * config.mask.size], tf.float32)
        if config.keypoints:
            specs["keypoints"] = tf.TensorSpec([slots, len(self.task.info.keypoints), 3], tf.float32)
        return specs

    def _found(self, images, targets, originals):
        """What the detector finds in images [n, H, W, 3] float32, moved to the pictures as they were sent."""
        scale = tf.cast(targets, tf.float32) / tf.cast(originals, tf.float32)
        found = self.task.predict(self.model, {"image": images, "size": targets, "scale": scale})
        found["boxes"] = tf.clip_by_value(
            found["boxes"] / tf.tile(scale, [1, 2])[:, None], 0.0, tf.cast(tf.tile(originals, [1, 2]), tf.float32)[:, None]
        )
        if "keypoints" in found:
            points, score = found["keypoints"][..., :2], found["keypoints"][..., 2:]
            found["keypoints"] = tf.concat([points / scale[:, None, None], score], axis=-1)
        return found

    def _results(self, found, originals):
        names = tf.constant(["", *self.task.info.names])
        results = {
            "detection_boxes": found["boxes"],
            "detection_classes": found["labels"],
            "detection_class_names": tf.gather(names, found["labels"]),
            "detection_scores": found["scores"],
            "num_detections": tf.reduce_sum(tf.cast(found["labels"] > 0, tf.int32), axis=1),
            "image_size": originals,
        }
        if "masks" in found:
            results["detection_masks"] = found["masks"]
        if "keypoints" in found:
            results["detection_keypoints"] = found["keypoints"]
        return results
