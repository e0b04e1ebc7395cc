"""Folders as export.saved_model writes them, with models of a few operations whose answers anyone can compute."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from export.artifact import metadata
from tests.shown import is_red

NAMES = ("red", "green", "blue")
RED = (220, 20, 20)
SLOTS, SIDE = 4, 28


class Colours(tf.Module):
    """A classifier: the score of a class is the share of its colour in the light of the picture."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def image_tensor(self, image):
        light = tf.reduce_sum(tf.cast(image, tf.float32), axis=[1, 2]) + 1e-6
        scores = light / tf.reduce_sum(light, axis=1, keepdims=True)
        best, index = tf.math.top_k(scores, 3)
        return {"scores": scores, "classes": tf.gather(tf.constant(NAMES), index), "class_scores": best}


class RedFinder(tf.Module):
    """A detector: the one red rectangle of a picture, as "green", with a full mask and a keypoint at each end."""

    where = staticmethod(is_red)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def image_tensor(self, image):
        red = self.where(image)
        boxes = tf.map_fn(_span, red, fn_output_signature=tf.float32)
        found = tf.reduce_any(red, axis=[1, 2])
        count = tf.shape(image)[0]
        first = tf.one_hot(0, SLOTS)[None] * tf.cast(found, tf.float32)[:, None]
        labels = tf.cast(2 * first, tf.int32)
        y1, x1, y2, x2 = tf.unstack(boxes, axis=-1)
        ends = tf.stack(
            [tf.stack([y1, x1, 3 * tf.ones_like(y1)], -1), tf.stack([y2, x2, -1 * tf.ones_like(y1)], -1)], 1
        )
        return {
            "detection_boxes": first[..., None] * boxes[:, None],
            "detection_classes": labels,
            "detection_class_names": tf.gather(tf.constant(["", *NAMES]), labels),
            "detection_scores": 0.75 * first,
            "num_detections": tf.cast(found, tf.int32),
            "image_size": tf.repeat(tf.shape(image)[None, 1:3], count, axis=0),
            "detection_masks": tf.ones([count, SLOTS, SIDE, SIDE]),
            "detection_keypoints": tf.repeat(ends[:, None], SLOTS, axis=1),
        }


def _span(red):
    rows, columns = tf.where(tf.reduce_any(red, 1))[:, 0], tf.where(tf.reduce_any(red, 0))[:, 0]

    def ends(at):
        return tf.cast(tf.reduce_min(at), tf.float32), tf.cast(tf.reduce_max(at) + 1, tf.float32)

    def box():
        (y1, y2), (x1, x2) = ends(rows), ends(columns)
        return tf.stack([y1, x1, y2, x2])

    return tf.cond(tf.size(rows) > 0, box, lambda: tf.zeros([4]))


def write(folder: Path, model: tf.Module, task: str, version: int = 1, **more) -> Path:
    """Writes a version of a model to a folder, with `more` metadata; returns the folder."""
    final = folder / str(version)
    tf.saved_model.save(model, str(final), signatures={"image_tensor": model.image_tensor})
    about = {
        "format": metadata.FORMAT, "task": task, "name": task, "version": "0", "flags": "", "step": 7, "metrics": None,
        "classes": [{"id": 10 * i, "name": name, "colour": None} for i, name in enumerate(NAMES, 1)],
        "keypoints": ["start", "end"], "skeleton": [[0, 1]], "flip_pairs": [], "checkpoint": "step-7",
        "min_score": 0.05, "mask_threshold": 0.5, "paste": "torchvision", "resize": "bilinear", "precision": "float32",
        "pixel_ranges": {"uint16": [0, 4095]},
    }  # fmt: skip
    metadata.write(final, about | more)
    return folder


def picture(height: int, width: int, box=None, ground=240) -> np.ndarray:
    """Image uint8 [H, W, 3] of one gray, or with a red rectangle y1, x1, y2, x2 on it."""
    pixels = np.full([height, width, 3], ground, np.uint8)
    if box:
        y1, x1, y2, x2 = box
        pixels[y1:y2, x1:x2] = RED
    return pixels


def encoded(pixels, kind="PNG", **options) -> bytes:
    """The bytes of a file with a picture."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    """Writes a picture; its suffix says as what."""
    Image.fromarray(pixels).save(path, **options)
    return path
