"""Files of records that others made: what is in each, for pipelines.adopt. They stay as they are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import DecodeError

from tfrecog.cli import files
from tfrecog.data import frames, image_numpy, index, records
from tfrecog.data.example import Example
from tfrecog.data.fields import IMAGE_FIELDS, KEYPOINT_NAMES
from tfrecog.data.records import values, write

from ..build.problems import Refused


@dataclass
class Shard:
    """What a file of records holds."""

    columns: dict[str, list] = field(default_factory=index.no_rows)  # of its records, for the index
    labels: set[tuple[int, str]] = field(default_factory=set)  # class/label and class/text of objects, as they occur
    classes: set[tuple[int, str]] = field(default_factory=set)  # the same of images
    records: Counter = field(default_factory=Counter)  # those that have what `_holds` says, and all
    joints: dict[int, tuple[str, ...]] = field(default_factory=dict)  # names of keypoints by how many an object has
    pixels: Counter = field(default_factory=Counter)  # of their label maps, by label; 0 is ignored
    bytes: int = 0  # of the file, when it is converted
    to_convert: bool = False  # It is compressed, or its records do not say how large their images are.


def read(path: str, at) -> Shard:
    """Reads a file of records; runs in the worker processes."""
    at(path)
    shard = Shard()
    for place, stored, payload in _records(path):
        try:
            record = records.decode(payload)
            index.add_row(shard.columns, shard.bytes, payload, path)
        except Exception as error:  # Anything can be in a foreign record.
            raise Refused(
                f"{place} is no record of images with objects, classes or label maps: {error!r}. Records of the Object "
                "Detection API and Model Garden have image/encoded, image/height, image/width, and "
                "image/object/bbox/* or image/class/label"
            ) from error
        _add(shard, record, payload, place)
        shard.to_convert |= stored != payload
        shard.bytes += frames.HEADER + len(payload) + frames.FOOTER
    shard.to_convert |= frames.compressed(path)
    return shard


def convert(paths: tuple[str, str], at) -> None:
    """Writes the records of a file to another one, not compressed, and with the sizes of their images."""
    source, target = paths
    at(source)
    with files.write(target, "wb") as file:
        for _, _, payload in _records(source):
            file.write(frames.pack(payload))


def _records(path: str) -> Iterator[tuple[str, bytes, bytes]]:
    """Of each record of a file where it is, its bytes, and those with the size of its image, where it had none."""
    try:
        for number, (offset, stored) in enumerate(frames.read_compressed(path)):
            place = f"{path}, record {number} (byte {offset})"
            yield place, stored, _with_size(stored, place)
    except frames.CorruptRecord as error:
        raise Refused(f"{error} If it is not a TFRecord file at all, correct --records.") from error


def _with_size(stored: bytes, place: str) -> bytes:
    """A record with the height and width of its image; the same bytes if it has them, or is none."""
    try:
        example = Example.FromString(stored)
    except DecodeError:
        return stored
    features = example.features.feature
    lacking = [field for field in (IMAGE_FIELDS["height"], IMAGE_FIELDS["width"]) if not len(values(features, field))]
    encoded = values(features, IMAGE_FIELDS["encoded"])
    if not lacking or not encoded:
        return stored
    try:
        picture = image_numpy.header(encoded[0])
    except image_numpy.Unreadable as error:
        raise Refused(f"{place}: it does not say how large its image is, which cannot be decoded: {error}") from error
    write(features, IMAGE_FIELDS["height"], [picture.height])
    write(features, IMAGE_FIELDS["width"], [picture.width])
    return example.SerializeToString(deterministic=True)


def _add(shard: Shard, record: records.Record, payload: bytes, place: str) -> None:
    features = Example.FromString(payload).features.feature
    shard.records.update(_holds(record, features))
    shard.labels.update(zip(record.labels.tolist(), record.names, strict=True))
    if IMAGE_FIELDS["label"].key in features:
        shard.classes.add((record.label, record.class_name))
    if record.label_map is not None:
        shard.pixels.update(_pixels(record, place))
    if record.keypoints is not None and len(record.labels):
        joints = record.keypoints.shape[1]
        if not shard.joints.get(joints):
            shard.joints[joints] = tuple(values(features, KEYPOINT_NAMES)[:joints])


def _holds(record: records.Record, features) -> dict[str, bool]:
    """What of a record is counted."""
    return {
        "all": True,
        "objects": len(record.labels) > 0,
        "classes": len(values(features, IMAGE_FIELDS["label"])) > 0,
        "masks": record.masks is not None or not len(record.labels),
        "difficult": record.difficult is not None,
        "label maps": record.label_map is not None,
    }


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
