"""Reads a dataset back, counts what is in it, and names every damaged file and suspicious annotation.

  python -m pipelines.check --data=data/coco
  python -m pipelines.check --data=data/coco --split=val --out=sheet.png

Each record is read with its checksum and its image is decoded. The exit status is 1 where something is damaged or the
counts disagree with dataset.json; suspicious annotations are warnings.
"""

import dataclasses
import functools
import glob
import io
import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from absl import flags
from PIL import Image
from tqdm import tqdm

from pipelines import command, pool, problems, suspicions
from pipelines.problems import Problem, Refused
from tfrecog import atomic, draw
from tfrecog.data import index, info, records

# COCO's bounds of small and medium objects, square pixels.
SMALL, MEDIUM = 32**2, 96**2


@dataclass
class Facts:
    """What a shard holds, or several together."""

    images: int = 0
    empty: int = 0  # images without an instance
    instances: int = 0
    crowd: int = 0
    masks: int = 0
    keypoints: int = 0  # visible or hidden ones of instances
    classes: Counter = field(default_factory=Counter)  # instances by label
    sizes: Counter = field(default_factory=Counter)
    most: int = 0  # instances in an image
    heights: list[int] = field(default_factory=list)  # least, most
    widths: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    suspicious: list[Problem] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def add(self, record: records.Record) -> None:
        instances = ~record.crowd
        count = int(instances.sum())
        self.images += 1
        self.empty += count == 0
        self.instances += count
        self.crowd += len(record.crowd) - count
        self.masks += len(record.masks or [])
        if record.keypoints is not None:
            self.keypoints += int((record.keypoints[instances, :, 2] > 0).sum())
        self.classes.update(record.labels[instances].tolist())
        areas = record.areas[instances]
        small, medium = int((areas < SMALL).sum()), int(((areas >= SMALL) & (areas < MEDIUM)).sum())
        self.sizes.update(small=small, medium=medium, large=count - small - medium)
        self.most = max(self.most, count)
        self.heights = [min([*self.heights, record.height]), max([*self.heights, record.height])]
        self.widths = [min([*self.widths, record.width]), max([*self.widths, record.width])]
        self.source_ids.append(record.source_id)

    def merge(self, other: "Facts") -> None:
        for one in dataclasses.fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if one.name in ("heights", "widths"):
                both = mine + theirs
                setattr(self, one.name, [min(both), max(both)] if both else [])
            elif one.name == "most":
                self.most = max(mine, theirs)
            else:
                setattr(self, one.name, mine + theirs)


@dataclass(frozen=True)
class ShardReader:
    """Reads one shard; runs in the worker processes."""

    folder: str
    info: info.DatasetInfo
    max_instances: int
    decode: bool

    def __call__(self, name: str, at) -> Facts:
        facts = Facts()
        at(name)
        path = index.Path(self.folder) / name
        try:
            for offset, payload in index.frames(path):
                facts.offsets.append(offset)
                place = f"{name}, record {len(facts.offsets) - 1} (byte {offset})"
                self._read(payload, place, facts)
        except index.CorruptRecord as error:
            facts.damage.append(str(error))
        except OSError as error:
            facts.damage.append(f"{path}: {os.strerror(error.errno or 0)}; build the split again")
        return facts

    def _read(self, payload: bytes, place: str, facts: Facts) -> None:
        try:
            record = records.decode(payload)
        except Exception as error:  # Whatever is in it, the check goes on to the next.
            facts.damage.append(f"{place}: its content is no record: {error}; build {place.split(',')[0]} again")
            return
        try:
            record = self.info.relabel(record)
        except ValueError as error:
            facts.damage.append(f"{place}: {error}")
            return
        facts.add(record)
        if self.decode:
            damage = _image_damage(record)
            if damage:
                facts.damage.append(f"{place}, {record.filename}: {damage}; replace the image and build again")
        facts.suspicious += suspicions.of_record(record, len(self.info.keypoints), self.max_instances)


def _image_damage(record: records.Record) -> str:
    try:
        image = Image.open(io.BytesIO(record.encoded))
        image.load()
    except Exception as error:
        return f"its image cannot be decoded: {error}"
    if image.size != (record.width, record.height):
        return f"its image is {image.height} x {image.width}, the record says {record.height} x {record.width}"
    return ""


def check(folder: str, split: str, *, max_instances: int = 100, decode: bool = True, jobs: int = 0) -> Facts:
    """Facts of a split; `damage` and `suspicious` hold what is wrong with it."""
    facts_of = info.load(folder)
    shards = facts_of.splits[split].shards
    reader = ShardReader(folder, facts_of, max_instances, decode)
    with tqdm(total=len(shards), unit="shard", desc=f"checking {split}", leave=False) as bar:
        parts = pool.run(reader, shards, jobs=jobs, progress=bar.update)
    facts = Facts()
    for part in parts:
        facts.merge(part)
    twice = [source_id for source_id, count in Counter(facts.source_ids).items() if count > 1 and source_id]
    for source_id in twice:
        what = "more than one record has this image id"
        facts.suspicious.append(Problem("image twice", split, what, "Build from images that differ.", source_id))
    facts.damage += _disagreements(facts, facts_of.splits[split])
    facts.damage += _index_damage(folder, split, shards, parts)
    return facts


def _disagreements(facts: Facts, expected: info.Split) -> list[str]:
    """Counts of dataset.json that the records do not have; not told where records could not be read."""
    if facts.damage:
        return []
    return [
        f"{info.FILE} says {getattr(expected, what):,} {what}, the records have {getattr(facts, what):,}; build again"
        for what in ("images", "instances", "crowd")
        if getattr(expected, what) != getattr(facts, what)
    ]


def _index_damage(folder: str, split: str, shards: tuple[str, ...], parts: list[Facts]) -> list[str]:
    path = index.path_of(folder, split)
    if any(part.damage for part in parts) or not path.exists():
        return []  # A missing index is made again by whoever needs it.
    saved = index.load(folder, split)
    same = saved.offset.tolist() == [offset for part in parts for offset in part.offsets]
    return [] if same else [f"{path} does not fit the shards {shards[0]} ...; delete it, it is made again"]


def stray_files(folder: str, facts_of: info.DatasetInfo) -> list[str]:
    """Shards that no split has, and what a killed build left."""
    known = {name for split in facts_of.splits.values() for name in split.shards}
    found = [name for name in sorted(os.listdir(folder)) if ".tfrecord" in name and name not in known]
    found += [
        os.path.relpath(path, folder)
        for pattern in ("*.tfrecord", ".*.tfrecord.*")
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), ".*.build", pattern)))
    ]
    return found


def table(facts: Facts, names: tuple[str, ...]) -> str:
    """What is in a split, for people."""
    per_image = facts.instances / max(facts.images, 1)
    lines = [
        f"  {facts.images:,} images, {facts.empty:,} of them without an instance"
        + (f"; {_range(facts.heights)} high, {_range(facts.widths)} wide" if facts.images else ""),
        f"  {facts.instances:,} instances ({per_image:.1f} an image, at most {facts.most}) and {facts.crowd:,} crowds; "
        f"{facts.masks:,} masks, {facts.keypoints:,} keypoints",
        "  instances by size (COCO's bounds): "
        + ", ".join(f"{facts.sizes[s]:,} {s}" for s in ("small", "medium", "large")),
    ]
    cells = [f"{name} {facts.classes[label]:,}" for label, name in enumerate(names, 1)]
    width = max(map(len, cells)) + 3
    columns = max(1, 116 // width)
    lines += [
        "  " + "".join(cell.ljust(width) for cell in cells[i : i + columns]).rstrip()
        for i in range(0, len(cells), columns)
    ]
    return "\n".join(lines)


def _range(bounds: list[int]) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]} to {bounds[1]}"


def contact_sheet(folder: str, split: str, path: str, count: int = 12) -> None:
    """Writes a picture of records from all over the split, those with instances first."""
    facts_of, places = info.load(folder), index.load(folder, split)
    rows = np.flatnonzero(places.instances) if np.any(places.instances) else np.arange(len(places))
    pictures, captions = [], []
    for i in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        record = facts_of.relabel(records.decode(index.read(folder, places, rows[i])))
        image = np.asarray(Image.open(io.BytesIO(record.encoded)).convert("RGB"))
        show = functools.partial(draw.instances, skeleton=facts_of.skeleton, min_side=300)
        pictures.append(show(image, record.boxes, record.labels, None, record.masks, record.keypoints, facts_of.names))
        captions.append(record.filename)
    with atomic.write(path, "wb") as file:
        Image.fromarray(draw.sheet(pictures, captions=captions)).save(file, "PNG")


def main() -> int:
    values = flags.FLAGS
    try:
        facts_of = info.load(values.data)
    except (FileNotFoundError, ValueError) as error:
        raise Refused(str(error)) from error
    if values.split and values.split not in facts_of.splits:
        raise Refused(f"{values.data} has no split {values.split!r}; it has {', '.join(facts_of.splits)}")
    damage = 0
    for split in [values.split] if values.split else facts_of.splits:
        facts = check(values.data, split, max_instances=values.max_instances, decode=values.decode, jobs=values.jobs)
        print(f"{split}:\n{table(facts, facts_of.names)}")
        if facts.suspicious:
            print(f"  {len(facts.suspicious):,} suspicious:\n{problems.table(facts.suspicious, values.show)}")
        for line in facts.damage:
            print(f"  DAMAGED: {line}")
        damage += len(facts.damage)
        if values.out and not facts.damage:
            root, extension = os.path.splitext(values.out)
            path = values.out if values.split or len(facts_of.splits) == 1 else f"{root}-{split}{extension}"
            contact_sheet(values.data, split, path)
            print(f"  pictures: {path}")
    for name in stray_files(values.data, facts_of):
        print(f"stray file, no part of the dataset: {os.path.join(values.data, name)}; delete it, or finish its build")
    print(f"{damage:,} damaged; see above for what to do" if damage else "nothing is damaged")
    return 1 if damage else 0


def define_flags() -> None:
    """Defines the command line."""
    flags.DEFINE_string("data", None, "Folder with dataset.json.", required=True)
    flags.DEFINE_string("split", "", "Only this split. Empty: all.")
    flags.DEFINE_string("out", "", "Write a picture (PNG) of some records here, with their annotations drawn.")
    flags.DEFINE_integer("max_instances", 100, "Report images with more; training leaves the rest out.", lower_bound=1)
    flags.DEFINE_boolean("decode", True, "Decode every image; without, a check is faster.")
    flags.DEFINE_integer("show", 10, "How many suspicious annotations of a kind are listed.", lower_bound=0)
    flags.DEFINE_integer("jobs", 0, "Processes. 0: as many as there are cores.", lower_bound=0)


if __name__ == "__main__":
    define_flags()
    command.run(main)
