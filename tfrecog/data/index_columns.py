"""What the index of a split has of each record, counted where the record is written or read."""

import itertools
import re

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.data.example import Example
from tfrecog.data.records import PROPOSAL

COUNTS = ("height", "width", "instances", "crowd", "difficult", "keypoints", "label", "proposals")


def empty():
    """Columns of a shard without a record: lists by name, as JSON can hold them; `add` fills them."""
    return {name: [] for name in ("offset", "length", *COUNTS, "source_id", "filename")}


def add(columns, offset, record, shard):
    """Adds the serialized record at an offset of a shard to its columns."""
    features = Example.FromString(record).features.feature
    height, width = (next(iter(features[f"image/{side}"].int64_list.value), 0) for side in ("height", "width"))
    if not height or not width:
        raise UserError(f"{shard}: a record has no image/height or image/width; run `python -m pipelines.adopt`")
    boxes = len(features["image/object/bbox/ymin"].float_list.value)
    crowd, difficult = (
        np.array([*features[f"image/object/{mark}"].int64_list.value, *[0] * boxes][:boxes], bool)
        for mark in ("is_crowd", "difficult")
    )
    visibility = np.array(features["image/object/keypoint/visibility"].int64_list.value)
    joints = len(visibility) // max(boxes, 1)
    labelled = np.sum(visibility[: boxes * joints].reshape(boxes, joints) > 0, axis=1)
    row = {
        "offset": offset,
        "length": len(record),
        "height": height,
        "width": width,
        "instances": int(np.sum(~crowd)),
        "crowd": int(np.sum(crowd)),
        "difficult": int(np.sum(difficult & ~crowd)),
        "keypoints": int(np.sum(labelled[~crowd])),
        "label": next(iter(features["image/class/label"].int64_list.value), 0),
        "proposals": len(features[PROPOSAL[0]].float_list.value),
    }
    for name in ("source_id", "filename"):
        row[name] = b"".join(features[f"image/{name}"].bytes_list.value).decode(errors="replace")
    for name, value in row.items():
        columns[name].append(value)


def image_ids(source_ids):
    """Ids [n]: the source's where they are whole numbers, of each its first image; the others get unused numbers."""
    row_of = {}
    for row, text in enumerate(source_ids):
        if re.fullmatch("-?[0-9]{1,19}", text) and -(2**63) <= int(text) < 2**63:
            row_of.setdefault(int(text), row)
    known = {row: number for number, row in row_of.items()}
    unused = (number for number in itertools.count() if number not in row_of)
    return [known[row] if row in known else next(unused) for row in range(len(source_ids))]
