"""Where each record of a split lies, so that any image is one read away and the order is ours to choose."""

import io
import itertools
import os
import re
from dataclasses import dataclass

import numpy as np
from absl import logging
from google.protobuf.message import DecodeError

from tfrecog.cli import checksums, files, urls
from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.data import frames, info
from tfrecog.data.example import Example
from tfrecog.data.fields import BOX, IMAGE_FIELDS, OBJECT_FIELDS, PROPOSAL, VISIBILITY
from tfrecog.data.frames import FOOTER, HEADER, CorruptRecord

COUNTS = ("height", "width", "instances", "crowd", "difficult", "keypoints", "label", "proposals")
COLUMNS = {"shard": np.int32, "offset": np.int64, "length": np.int64} | dict.fromkeys(COUNTS, np.int32)
COLUMNS |= {"image_id": np.int64, "filename": np.bytes_}


@dataclass(frozen=True)
class Index:
    """One row a record, in the order of the shards."""

    shards: tuple[str, ...]  # file names in the folder
    sizes: tuple[int, ...]  # bytes of each shard
    shard: np.ndarray  # [n] position in `shards`
    offset: np.ndarray  # [n] where the frame starts, bytes
    length: np.ndarray  # [n] of the record alone, bytes
    height: np.ndarray  # [n] pixels
    width: np.ndarray  # [n] pixels
    instances: np.ndarray  # [n] boxes that are not crowd
    crowd: np.ndarray  # [n] boxes that are
    difficult: np.ndarray  # [n] those of `instances` that are marked so
    keypoints: np.ndarray  # [n] labelled ones of `instances`
    label: np.ndarray  # [n] class/label of the whole image, 0 without
    proposals: np.ndarray  # [n] how many there are
    image_id: np.ndarray  # [n] what COCO's JSON calls the image: no two have one
    filename: np.ndarray  # [n] of the image, UTF-8; empty where the record has none

    def __len__(self):
        return len(self.offset)

    def locate(self, i):
        """Words for record i: its shard, its number in it and its byte offset."""
        number = int(np.sum(self.shard[:i] == self.shard[i]))
        return f"{self.shards[self.shard[i]]}, record {number} (byte {self.offset[i]})"

    def image(self, i):
        """Words for record i that name its image too, where it has a name."""
        name = self.filename[i].decode()
        return f"{name} in {self.locate(i)}" if name else self.locate(i)


def path_of(folder, split):
    """Path of the index file of a split."""
    return os.path.join(folder, f"{split}.index.npz")


def save(folder, split, index):
    """Writes the index beside its shards, whole or not at all; OSError if it cannot be written there."""
    columns = {name: getattr(index, name).astype(dtype) for name, dtype in COLUMNS.items()}
    lists = {"shards": np.array(index.shards, np.str_), "sizes": np.array(index.sizes, np.int64)}
    content = io.BytesIO()
    np.savez_compressed(content, **lists, **columns)
    path, sealed = path_of(folder, split), checksums.seal(content.getvalue())
    if urls.is_url(path):
        urls.write(path, sealed)
    else:
        with files.write(path, "wb") as file:
            file.write(sealed)


def load(folder, split):
    """Index of a split; made by a scan of the shards, and saved if the folder permits, where it is missing or stale."""
    splits = info.load(folder).splits
    if split not in splits:
        raise UserError(f"{folder} has no split {split!r}; it has {sorted(splits)}")
    shards = splits[split].shards
    sizes = urls.sizes(folder, shards)
    missing = [name for name, size in zip(shards, sizes, strict=True) if size is None]
    if missing:
        raise FileNotFoundError(f"{folder}: {len(missing)} shards are missing, such as {missing[0]}; build them again")
    index = _saved(path_of(folder, split))
    same = index and index.shards == shards and index.sizes == tuple(sizes)
    if same and _covers(index):
        return index
    index = scan(folder, shards)
    try:
        save(folder, split, index)
    except OSError as error:
        logging.warning("The index of %s/%s is not kept, and made again next time: %s", folder, split, error)
    return index


def scan(folder, shards):
    """Index of the shards (file names in the folder), by reading all of them."""
    columns, sizes = [], urls.sizes(folder, shards)
    for name in Bar(shards, desc=f"index {folder}", unit="shard", leave=False):
        columns.append(no_rows())
        for offset, record in frames.read(os.path.join(folder, name)):
            add_row(columns[-1], offset, record, name)
    return join(shards, sizes, columns)


def no_rows():
    """Columns of a shard without a record: lists by name, as JSON can hold them; `add_row` fills them."""
    return {name: [] for name in ("offset", "length", *COUNTS, "source_id", "filename")}


def add_row(columns, offset, record, shard):
    """Adds what the index has of a serialized record at an offset of a shard to the columns of the shard."""
    try:
        features = Example.FromString(record).features.feature
    except DecodeError as error:
        raise CorruptRecord(f"{shard}: the record at byte {offset} is no tf.train.Example; build it again") from error
    first = (_listed(features, IMAGE_FIELDS[name])[:1] for name in ("height", "width", "label"))
    height, width, label = (int(sum(one)) for one in first)
    if not (0 < height < 2**31 and 0 < width < 2**31 and abs(label) < 2**31):
        raise UserError(
            f"{shard}: the record at byte {offset} has the image/height {height}, image/width {width} and "
            f"image/class/label {label}; run `python -m pipelines.adopt`"
        )
    boxes = len(_listed(features, BOX[0]))
    marks = (_listed(features, OBJECT_FIELDS[name]) for name in ("crowd", "difficult"))
    crowd, difficult = ([*map(bool, mark), *[False] * boxes][:boxes] for mark in marks)
    visibility = _listed(features, VISIBILITY)
    joints = len(visibility) // max(boxes, 1)
    shown = [value > 0 for value in visibility[: boxes * joints]]
    labelled = [sum(shown[joints * place : joints * (place + 1)]) for place in range(boxes if joints else 0)]
    row = {
        "offset": offset,
        "length": len(record),
        "height": height,
        "width": width,
        "instances": crowd.count(False),
        "crowd": crowd.count(True),
        "difficult": sum(mark and not many for mark, many in zip(difficult, crowd, strict=True)),
        "keypoints": sum(count for count, many in zip(labelled, crowd, strict=False) if not many),
        "label": label,
        "proposals": len(_listed(features, PROPOSAL[0])),
    }
    for name, value in row.items():
        columns[name].append(int(value))
    for name in ("source_id", "filename"):
        text = b"".join(features[IMAGE_FIELDS[name].key].bytes_list.value)
        columns[name].append(text.decode(errors="replace"))


def _listed(features, field):
    """What the features of an Example hold of a field, as protobuf has it: arrays of so few values take longer."""
    return getattr(features[field.key], field.list_name).value if field.key in features else ()


def join(shards, sizes, columns):
    """Index of shards of these names, sizes and columns."""
    joined = {name: [value for one in columns for value in one[name]] for name in no_rows()}
    joined["shard"] = np.repeat(np.arange(len(columns)), [len(one["offset"]) for one in columns])
    joined["image_id"] = _image_ids(joined.pop("source_id"))
    joined["filename"] = [name.encode() for name in joined["filename"]]
    return Index(tuple(shards), tuple(sizes), **{name: np.array(joined[name], COLUMNS[name]) for name in COLUMNS})


def _image_ids(source_ids):
    """Ids [n]: the source's where they are whole numbers, of each its first image; the others get unused numbers."""
    row_of = {}
    for row, text in enumerate(source_ids):
        if re.fullmatch("-?[0-9]{1,19}", text) and -(2**63) <= int(text) < 2**63:
            row_of.setdefault(int(text), row)
    known = {row: number for number, row in row_of.items()}
    unused = (number for number in itertools.count() if number not in row_of)
    return [known[row] if row in known else next(unused) for row in range(len(source_ids))]


def read(folder, index, i):
    """Bytes of record i, checked against their checksum; CorruptRecord names where and what to do."""
    name, length = index.shards[index.shard[i]], int(index.length[i])
    path = os.path.join(folder, name)
    record = frames.unpack(urls.read_part(path, int(index.offset[i]), HEADER + length + FOOTER))
    if record is None:
        remedy = f"Delete {path} and run its pipeline again, which builds missing shards only."
        if urls.is_url(path):
            remedy = f"Copy {path} there again, from where `python -m pipelines.check` finds it whole."
        raise CorruptRecord(f"{index.locate(i)} is damaged: its checksum does not fit. {remedy}")
    return record


def record_checksums(folder, index):
    """Checksum [n] of each record, 4 bytes as its file states it, which differs where a record does."""
    found = []
    for position, name in enumerate(index.shards):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            for row in np.flatnonzero(index.shard == position):
                found.append(os.pread(file.fileno(), 4, int(index.offset[row] + HEADER + index.length[row])))
    return found


def _saved(path):
    """The Index in a file; None where there is none, or it is damaged or of another version."""
    if not urls.is_file(path):
        return None
    content = urls.read(path)
    if not checksums.intact_content(io.BytesIO(content), len(content)):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as columns:
            lists = {"shards": tuple(map(str, columns["shards"])), "sizes": tuple(map(int, columns["sizes"]))}
            made = {name: columns[name] for name in COLUMNS}
            arrays = all(isinstance(one, np.ndarray) for one in made.values())  # NumPy returns other bytes as they are.
            return Index(**lists, **made) if arrays else None
    except Exception:  # Whatever is in it, the shards say the same.
        return None


def _covers(index):
    """Whether the columns of an index fit together, and its records lie one after the other and fill the shards."""
    for name, dtype in COLUMNS.items():
        column = getattr(index, name)
        if column.shape != index.offset.shape or not np.issubdtype(column.dtype, dtype) or column.ndim != 1:
            return False
    ends, sizes = index.offset + HEADER + index.length + FOOTER, np.array(index.sizes, np.int64)
    first = np.diff(index.shard, prepend=-1) != 0  # of its shard
    last = np.diff(index.shard, append=-1) != 0
    filled = np.flatnonzero(sizes)
    return (
        bool((index.length >= 0).all())
        and np.array_equal(index.shard[first], filled)
        and np.array_equal(ends[last], sizes[filled])
        and np.array_equal(index.offset, np.where(first, 0, np.roll(ends, 1)))
    )
