"""What the index of a split has of each record, counted where the record is written or read."""

import itertools
import re

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.data.example import Example
from tfrecog.data.fields import BOX, IMAGE_FIELDS, OBJECT_FIELDS, PROPOSAL, VISIBILITY
from tfrecog.data.records import values

COUNTS = ("height", "width", "instances", "crowd", "difficult", "keypoints", "label", "proposals")


def empty():
    """Columns of a shard without a record: lists by name, as JSON can hold them; `add` fills them."""
    return {name: [] for name in ("offset", "length", *COUNTS, "source_id", "filename")}


def add(columns, offset, record, shard):
    """Adds the serialized record at an offset of a shard to its columns."""
    features = Example.FromString(record).features.feature
    height, width, label = (_number(features, name) for name in ("height", "width", "label"))
    if not height or not width:
        raise UserError(f"{shard}: a record has no image/height or image/width; run `python -m pipelines.adopt`")
    boxes = len(values(features, BOX[0]))
    marks = (values(features, OBJECT_FIELDS[name]) for name in ("crowd", "difficult"))
    crowd, difficult = (np.append(mark, np.zeros(boxes, bool))[:boxes] for mark in marks)
    visibility = values(features, VISIBILITY)
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
        "label": label,
        "proposals": len(values(features, PROPOSAL[0])),
    }
    for name in ("source_id", "filename"):
        row[name] = b"".join(features[IMAGE_FIELDS[name].key].bytes_list.value).decode(errors="replace")
    for name, value in row.items():
        columns[name].append(value)


def _number(features, name):
    there = values(features, IMAGE_FIELDS[name])
    return int(there[0]) if len(there) else 0


def image_ids(source_ids):
    """Ids [n]: the source's where they are whole numbers, of each its first image; the others get unused numbers."""
    row_of = {}
    for row, text in enumerate(source_ids):
        if re.fullmatch("-?[0-9]{1,19}", text) and -(2**63) <= int(text) < 2**63:
            row_of.setdefault(int(text), row)
    known = {row: number for number, row in row_of.items()}
    unused = (number for number in itertools.count() if number not in row_of)
    return [known[row] if row in known else next(unused) for row in range(len(source_ids))]
