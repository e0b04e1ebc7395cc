"""TFLite and ONNX files whose outputs anyone can compute from the picture, with tensors and metadata of real ones."""

import json
import zipfile

import tensorflow as tf

from tests.shown import is_red
from tfrecog.cli import flags
from tfrecog.config import Experiment


def write(path, call, inputs, described):
    """Converts a function of named inputs to a TFLite file with metadata."""
    module = tf.Module()
    module.call = tf.function(call, input_signature=inputs)
    folder = path.with_suffix("")
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.call})
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())
    with zipfile.ZipFile(path, "a") as files:
        files.writestr("tfrecog.json", json.dumps(described))
    return path


def onnx(path):
    """The ONNX file of a TFLite file, beside it."""
    from export.litert.reader import LiteModel
    from export.onnx_files import convert

    described = LiteModel.read_metadata(path)
    described |= {"onnx": {"input": described.pop("tflite")["input"]}}
    path.with_suffix(".onnx").write_bytes(convert.convert(path.read_bytes(), described))
    return path.with_suffix(".onnx")


def metadata(task, size, fit="pad", dtype="uint8", short_side=None, classes=("cat", "dog"), **more):
    """Metadata of a file."""
    given = {"dtype": dtype, "size": list(size), "fit": fit, "short_side": short_side}
    return {
        "format": 1, "task": task, "name": f"a {task} stand-in", "version": "0",
        "classes": [{"id": 17 - i, "name": name, "colour": None} for i, name in enumerate(classes)],
        "keypoints": [], "skeleton": [], "flip_pairs": [], "flags": flags.dumps(Experiment(task=task)),
        "checkpoint": "step-00000001", "step": 1, "metrics": None, "min_score": 0.05, "mask_threshold": 0.5,
        "paste": "torchvision", "resize": "bilinear", "precision": "float32",
        "tflite": {"quantize": "none", "input": given},
    } | more  # fmt: skip


def red_finder(path, size, where=is_red, **more):
    """A detector of the one red rectangle of a picture: a dog (0.8), and a cat in it (0.3)."""
    height, width = size

    def call(image, size):
        image = tf.cast(image, tf.float32)
        red = tf.cast(where(image[0]), tf.int32)
        ends = []
        for axis, length in ((1, height), (0, width)):
            line = tf.reduce_max(red, axis)
            ends.append((tf.argmax(line, output_type=tf.int32), length - tf.argmax(line[::-1], output_type=tf.int32)))
        (y1, y2), (x1, x2) = ends
        box = tf.cast(tf.stack([y1, x1, y2, x2]), tf.float32)
        inside = tf.cast(tf.reduce_all(tf.stack([y2, x2]) <= size), tf.float32)
        centre = tf.concat([box[:2] + (box[2:] - box[:2]) / 4, box[2:] - (box[2:] - box[:2]) / 4], 0)
        boxes = tf.stack([box, centre, tf.zeros(4), tf.zeros(4)])[None] * inside
        corners = tf.stack([tf.stack([box[2], box[1], 5.0]), tf.stack([box[2], box[3], -5.0])])
        return {
            "detection_boxes": boxes,
            "detection_classes": tf.constant([[2, 1, 0, 0]]),
            "detection_scores": tf.constant([[0.8, 0.3, 0, 0]]) + 0 * boxes[..., 0],
            "num_detections": tf.constant([2]),
            "detection_masks": tf.concat([tf.ones([1, 2, 28, 28]), tf.zeros([1, 2, 28, 28])], 1)
            + 0 * boxes[..., :1, None],
            "detection_keypoints": tf.stack([corners, corners, 0 * corners, 0 * corners])[None],
        }

    inputs = [tf.TensorSpec([1, *size, 3], tf.uint8, "image"), tf.TensorSpec([2], tf.int32, "size")]
    joints = {"keypoints": ["left", "right"], "flip_pairs": [[0, 1]], "skeleton": [[0, 1]]}
    return write(path, call, inputs, metadata("detection", size, **joints) | more)


def colours(path, crop, short_side, resize="bilinear"):
    """A classifier: the share of red, green and blue in the picture."""

    def call(image):
        sums = tf.reduce_sum(image, axis=[1, 2])
        return {"scores": sums / tf.reduce_sum(sums, axis=1, keepdims=True)}

    inputs = [tf.TensorSpec([1, crop, crop, 3], tf.float32, "image")]
    classes = ("red", "green", "blue")
    given = metadata("classification", (crop, crop), "middle", "float32", short_side, classes, resize=resize)
    return write(path, call, inputs, given)


def grays(path, size):
    """A segmenter: a dark pixel is a cat (1) and a bright one a dog (2)."""

    def call(image):
        return {"labels": tf.cast(tf.where(tf.cast(image[..., 0], tf.float32) > 127, 2, 1), tf.uint8)}

    inputs = [tf.TensorSpec([1, *size, 3], tf.uint8, "image")]
    return write(path, call, inputs, metadata("segmentation", size, "stretch"))
