"""Files of records that others made: what is in each, for pipelines.adopt. They stay as they are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfrecog.data import image_numpy, index, records
from tfrecog.data.example import Example

from ..build.problems import Refused


@dataclass
class Shard:
    """What a file of records holds."""

    columns: dict[str, list] = field(default_factory=index.no_rows)  # of its records, for the index
    labels: set[tuple[int, str]] = field(default_factory=set)  # class/label and class/text that occur together
    records: Counter = field(default_factory=Counter)  # those with "masks", "difficult" objects, "label maps", and all
    joints: dict[int, tuple[str, ...]] = field(default_factory=dict)  # names of keypoints by how many an object has
    pixels: Counter = field(default_factory=Counter)  # of their label maps, by label; 0 is ignored


def read(path: str, at) -> Shard:
    """Reads a file of records; runs in the worker processes."""
    at(path)
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise Refused(f"{path} is compressed with gzip, and records are read by their place: run `gunzip` on it")
    shard = Shard()
    try:
        for number, (offset, payload) in enumerate(index.frames(Path(path))):
            place = f"{path}, record {number} (byte {offset})"
            try:
                record = records.decode(payload)
                index.add_row(shard.columns, offset, payload, path)
            except Exception as error:  # Anything can be in a foreign record.
                raise Refused(
                    f"{place} is not a detection record: {error!r}. Records of the Object Detection API and Model "
                    "Garden have image/encoded, image/height, image/width and image/object/bbox/*"
                ) from error
            _add(shard, record, payload, place)
    except index.CorruptRecord as error:
        raise Refused(f"{error} If it is not a TFRecord file at all, correct --records.") from error
    return shard


def _add(shard: Shard, record: records.Record, payload: bytes, place: str) -> None:
    has = {"label maps": record.label_map is not None, "difficult": record.difficult is not None}
    has |= {"masks": record.masks is not None or not len(record.labels), "all": True}
    shard.records.update(has)
    shard.labels.update(zip(record.labels.tolist(), record.names, strict=True))
    if record.label_map is not None:
        shard.pixels.update(_pixels(record, place))
    if record.keypoints is not None and len(record.labels):
        joints = record.keypoints.shape[1]
        if not shard.joints.get(joints):
            text = Example.FromString(payload).features.feature["image/object/keypoint/text"].bytes_list.value
            shard.joints[joints] = tuple(name.decode() for name in text[:joints])


def _pixels(record: records.Record, place: str) -> dict[int, int]:
    """Pixels of a label map, such as DeepLab's, by label; Refused where it would not be read as it is meant."""
    png = record.label_map or b""
    try:
        picture = image_numpy.header(png)
    except image_numpy.Unreadable as error:
        raise Refused(f"{place}: its label map cannot be decoded: {error}") from error
    mode, size, few_bits = picture.mode, (picture.height, picture.width), png[24] != 8  # of IHDR
    if mode not in ("L", "P") or (mode == "L" and few_bits):
        what = f"its label map has the mode {mode}" + (f" of {png[24]} bits" if mode == "L" else "")
        raise Refused(
            f"{place}: {what}; records hold 8-bit gray ones: build them from the files (pipelines.segmentation)"
        )
    if size != (record.height, record.width):
        stated = f"the record says {record.height} x {record.width}"
        raise Refused(f"{place}: its label map is {size[0]} x {size[1]} (height x width), and {stated}")
    return dict(enumerate(np.bincount(records.from_label_map(png).ravel()).tolist()))


def pixels_by_label(shards: Sequence[Shard], num_classes: int) -> tuple[int, ...]:
    """Pixels [K + 1] by label of all label maps; Refused where a record has none, or some are of other classes."""
    missing = sum(shard.records["all"] - shard.records["label maps"] for shard in shards)
    if missing:
        raise Refused(f"{missing:,} records have no label map; --classes is for records that all have one")
    counts = sum((shard.pixels for shard in shards), Counter())
    if max(counts) > num_classes:
        raise Refused(
            f"--classes names {num_classes} classes, and label maps have the value {max(counts) - 1}, counted from 0; "
            "give the list that the records were made with"
        )
    return tuple(counts[label] for label in range(num_classes + 1))
