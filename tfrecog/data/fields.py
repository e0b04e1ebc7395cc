"""The features of a record: keys, types and what stands in for a missing one, and fractions of an image as pixels.

The encoder and the decoder in NumPy (records.py) and the one in TensorFlow's graph (parse.py) are made of these tables.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.ops import coco_format

_LISTS = {bytes: "bytes_list", str: "bytes_list", float: "float_list"}
REQUIRED = object()  # in place of a value for what every record has


@dataclass(frozen=True)
class Field:
    """A feature that a record holds as it stands: its key, the type of a value, and what stands in for one that lacks.

    Of objects, None leaves the whole column out where the key is missing, and a function makes it of the boxes.
    """

    key: str
    type: type  # bytes, str, int, bool or float
    missing: Any = REQUIRED

    @property
    def list_name(self):
        """The list of a tf.train.Feature that its values are in."""
        return _LISTS.get(self.type, "int64_list")


def _box_areas(boxes):
    """Areas [n] of boxes [n, 4], in NumPy or TensorFlow."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


# By the attributes of `Record`: a value of the image, and a value of each object.
IMAGE_FIELDS = {
    "encoded": Field("image/encoded", bytes),
    "format": Field("image/format", str, ""),
    "height": Field("image/height", int),
    "width": Field("image/width", int),
    "filename": Field("image/filename", str, ""),
    "source_id": Field("image/source_id", str, ""),
    "label": Field("image/class/label", int, 0),
    "class_name": Field("image/class/text", str, ""),
    "label_map": Field("image/segmentation/class/encoded", bytes, None),
}
OBJECT_FIELDS = {
    "labels": Field("image/object/class/label", int, 0),
    "names": Field("image/object/class/text", str, ""),
    "crowd": Field("image/object/is_crowd", bool, False),
    "areas": Field("image/object/area", float, _box_areas),
    "ids": Field("image/object/id", int, -1),
    "difficult": Field("image/object/difficult", bool, None),
    "truncated": Field("image/object/truncated", bool, None),
    "poses": Field("image/object/view", str, None),
}
# What is made of features of several keys. Boxes and points are fractions of the image.
_SIDES = ("ymin", "xmin", "ymax", "xmax")
BOX = tuple(Field(f"image/object/bbox/{side}", float) for side in _SIDES)
PROPOSAL = tuple(Field(f"image/proposal/bbox/{side}", float) for side in _SIDES)
POINT = tuple(Field(f"image/object/keypoint/{axis}", float) for axis in "yx")  # of keypoints, joint by joint
VISIBILITY = Field("image/object/keypoint/visibility", int)
COUNTS = Field("image/object/mask/counts", int)  # the run lengths of all masks
RUNS = Field("image/object/mask/runs", int)  # how many of them are of each mask
PNGS = Field("image/object/mask", bytes)  # masks of other writers
# For other readers alone.
SHA256 = Field("image/key/sha256", str)
LABEL_MAP_FORMAT = Field("image/segmentation/class/format", str)
KEYPOINT_COUNT, KEYPOINT_NAMES = Field("image/object/keypoint/num", int), Field("image/object/keypoint/text", str)


def to_pixels(fractions, size, *, round=np.round):
    """Pixels of fractions [..., d] of a size [d], both float64, to the thousandth; in TensorFlow with `tf.round`.

    Fractions in float32 come back exactly for annotations with up to three decimals (COCO has two) in images up to
    8,000 pixels; no coordinate is moved by more than half a thousandth.
    """
    return round(fractions * size * 1000.0) / 1000.0


def to_points(fractions, size, *, round=np.round):
    """Continuous points of fractions [..., 2] that are COCO's pixel indices; else as `to_pixels`."""
    return round(coco_format.from_index(fractions * size) * 1000.0) / 1000.0
