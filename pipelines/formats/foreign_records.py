"""Files of records that others made: what is in each, for pipelines.adopt. They stay as they are."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfrecog.data import image_numpy, index, info, records
from tfrecog.data.example import Example

from ..build import label_map_records
from ..build.problems import Refused
from ..classes import pixel_classes


@dataclass
class Shard:
    """What a file of records holds."""

    columns: dict[str, list] = field(default_factory=index.no_rows)  # of its records, for the index
    labels: set[tuple[int, str]] = field(default_factory=set)  # class/label and class/text that occur together
    images: int = 0
    with_masks: int = 0  # records
    joints: set[int] = field(default_factory=set)
    joint_names: tuple[str, ...] = ()
    with_difficult: int = 0  # records that say which objects are difficult
    with_maps: int = 0  # records
    pixels: Counter = field(default_factory=Counter)  # of their label maps, by label; 0 does not count


def read(path: str, at) -> Shard:
    """Reads a file of records; runs in the worker processes."""
    at(path)
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise Refused(f"{path} is compressed with gzip, and records are read by their place: run `gunzip` on it")
    shard = Shard()
    try:
        for number, (offset, payload) in enumerate(index.frames(Path(path))):
            try:
                record = records.decode(payload)
                index.add_row(shard.columns, offset, payload, path)
            except Exception as error:  # Anything can be in a foreign record.
                raise Refused(
                    f"{path}, record {number} (byte {offset}) is not a detection record: {error!r}. Records of the "
                    "Object Detection API and Model Garden have image/encoded, image/height, image/width and "
                    "image/object/bbox/*"
                ) from error
            shard.images += 1
            if record.label_map is not None:
                shard.with_maps += 1
                shard.pixels.update(_pixels(record, f"{path}, record {number} (byte {offset})"))
            shard.labels.update(zip(record.labels.tolist(), record.names, strict=True))
            shard.with_difficult += record.difficult is not None
            shard.with_masks += record.masks is not None or not len(record.labels)
            if record.keypoints is not None and len(record.labels):
                joints = record.keypoints.shape[1]
                shard.joints.add(joints)
                shard.joint_names = shard.joint_names or _joint_names(payload, joints)
    except index.CorruptRecord as error:
        raise Refused(f"{error} If it is not a TFRecord file at all, correct --records.") from error
    return shard


def _joint_names(payload: bytes, joints: int) -> tuple[str, ...]:
    text = Example.FromString(payload).features.feature["image/object/keypoint/text"].bytes_list.value
    return tuple(name.decode() for name in text[:joints])


def _pixels(record: records.Record, place: str) -> Counter:
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
    return Counter(dict(enumerate(np.bincount(records.from_label_map(png).ravel()).tolist())))


def pixels_by_label(shards: list[Shard], num_classes: int) -> tuple[int, ...]:
    """Pixels [K + 1] by label of all label maps; Refused where a record has none, or some are of other classes."""
    missing = sum(shard.images - shard.with_maps for shard in shards)
    if missing:
        raise Refused(f"{missing:,} records have no label map; --classes is for records that all have one")
    counts = sum((shard.pixels for shard in shards), Counter())
    if max(counts) > num_classes:
        raise Refused(
            f"--classes names {num_classes} classes, and label maps have the value {max(counts) - 1}, counted from 0; "
            "give the list that the records were made with"
        )
    return tuple(counts[label] for label in range(num_classes + 1))


def facts(classes: str) -> info.DatasetInfo:
    """DatasetInfo of a class file, whose values count from 0 as those of records do."""
    categories = pixel_classes.of_file(classes, ()).categories
    if [one.id for one in categories] != list(range(len(categories))):
        raise Refused(f"{classes}: the values of the classes in records count from 0, without gaps")
    return label_map_records.facts(categories)
