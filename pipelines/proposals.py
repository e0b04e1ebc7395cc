"""Adds proposals, boxes where an object may be, to the records of a split.

  python -m pipelines.proposals --data=data/voc --split=train --out=data/voc_proposals
  python -m pipelines.proposals --data=data/voc --split=test --out=data/voc_proposals --mode=quality
  python -m pipelines.proposals --data=data/voc --split=test --out=data/voc_rpn --method=file --file=proposals.npz

R-CNN, SPP-net and Fast R-CNN read them (--detector.proposals=record). Selective search (Uijlings et al. 2013) is what
the papers have; a grid takes no time; a file comes from `python -m tfrecog.propose`, or from elsewhere
(tfrecog/proposals/methods.py describes it). Everything else in the records stays as it is. The splits of a folder
have their proposals from one method.
"""

import dataclasses
import functools
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tfrecog.cli import command
from tfrecog.data import image_numpy, index, info, records
from tfrecog.data.example import Example
from tfrecog.data.fields import PROPOSAL
from tfrecog.data.split import Split
from tfrecog.proposals import methods, selective_search
from tfrecog.proposals.selective_search import Options

from .build import problems, shards
from .build.command import SplitFlags
from .build.problems import Problem, Refused
from .formats import proposal_files

_VERSION = 1  # of the methods: a new number builds old shards again


@dataclass(frozen=True)
class Item:
    """A record of the split that gets proposals."""

    row: int  # in its index
    name: str  # place
    checksum: bytes
    boxes: np.ndarray | None = None  # from a file

    def fingerprint(self) -> str:
        """Differs when the record would."""
        digest = hashlib.sha256(self.checksum + (b"" if self.boxes is None else self.boxes.tobytes()))
        return digest.hexdigest()


@dataclass
class Proposed(records.Record):
    """A record, and the bytes that it was read from."""

    serialized: bytes = b""


def encode(record: Proposed, **_) -> bytes:
    """The bytes that a record was read from, with its proposals: nothing else changes, whatever it may hold."""
    example = Example.FromString(record.serialized)
    records.write_boxes(example.features.feature, PROPOSAL, record.proposals, (record.height, record.width))
    return example.SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Adder:
    """Makes the record of an item with proposals; runs in the worker processes."""

    folder: str
    split: str
    method: str
    options: Options

    def __call__(self, item: Item) -> tuple[records.Record, list[Problem]]:
        try:
            serialized = _split(self.folder, self.split).serialized(item.row)
        except index.CorruptRecord as error:
            raise Refused(f"{self.folder}: {error}") from error
        record = records.decode(serialized)
        fields = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
        made = Proposed(**fields, serialized=serialized)
        found = []
        try:
            boxes = self._boxes(item, record)
        except ValueError as error:
            boxes = np.zeros([0, 4], np.float32)
            found.append(_problem("image without proposals", made, str(error), "Replace the image and build again."))
        made.proposals = boxes
        if not len(boxes) and not found:
            what = "it has no proposal, so nothing can be found in it"
            remedy = "It is kept. More may be found with --mode=quality, a smaller --min_side or a larger --short_side."
            if self.method == "file":
                remedy = "It is kept. Add it to --file, if it should have some."
            found.append(_problem("image without proposals", made, what, remedy))
        return made, found

    def _boxes(self, item: Item, record: records.Record) -> np.ndarray:
        if item.boxes is not None:
            return methods.clip(item.boxes, record.height, record.width)[: self.options.max]
        if self.method == "grid":
            return methods.grid(record.height, record.width, self.options)
        return selective_search.propose(_picture(record), self.options)


def _picture(record: records.Record) -> np.ndarray:
    """Pixels uint8 [H, W, 3]; ValueError if there are none, or others than the record says."""
    try:
        picture = image_numpy.decode(record.encoded)
    except image_numpy.Unreadable as error:
        raise ValueError(f"it cannot be decoded: {error}") from error
    size, stated = picture.shape[:2], (record.height, record.width)
    if size != stated:
        raise ValueError(
            f"it is {proposal_files.by(size)} (height x width), and its record says {proposal_files.by(stated)}"
        )
    return picture


def _problem(kind: str, record: records.Record, what: str, remedy: str) -> Problem:
    return Problem(kind, record.filename, what, remedy, record.source_id)


@functools.lru_cache(maxsize=1)
def _split(folder: str, name: str) -> Split:
    return Split.open(folder, name)


@dataclass(frozen=True)
class Proposals(SplitFlags, Options):
    """The flags."""

    data: Annotated[str, "Folder of the records that get proposals."] = ""
    method: Annotated[Literal["selective_search", "grid", "file"], "Where the proposals come from."] = (
        "selective_search"
    )
    file: Annotated[str, "method=file: the NPZ with the proposals."] = ""


def build(flags: Proposals) -> shards.Built:
    """Writes the records of a split with proposals to another folder."""
    data, split, out, method = flags.data, flags.split, flags.out, flags.method
    options = Options(**{field.name: getattr(flags, field.name) for field in dataclasses.fields(Options)})
    if os.path.realpath(data) == os.path.realpath(out):
        raise Refused(f"--out={out} is --data: the records there are read while the new ones are written; name another")
    try:
        opened = Split.open(data, split)
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error
    words = methods.describe(method, options)
    boxes: dict[int, np.ndarray] = {}
    if method == "selective_search":
        try:
            selective_search.opencv()
        except ModuleNotFoundError as error:
            raise Refused(str(error)) from error
    elif method == "file":
        boxes, said = proposal_files.of_file(flags.file, opened)
        words = f"file {os.path.basename(flags.file)}" + (f": {said}" if said else "")
    _refuse_other_words(out, split, words)
    checksums = index.checksums(data, opened.index)
    empty = np.zeros([0, 4], np.float32) if method == "file" else None
    items = [Item(i, opened.index.locate(i), checksums[i], boxes.get(i, empty)) for i in range(len(opened))]
    source = shards.Source(
        items,
        Adder(data, split, method, options),
        dataclasses.replace(opened.info, splits={}, proposals=words),
        bytes=sum(opened.index.sizes),
        options=repr((_VERSION, method, options)),
        encode=encode,
    )
    # Shards that take minutes, so that a killed search loses little and all processes have work.
    least = min(256, -(-len(items) // 16)) if method == "selective_search" else 0
    by_size = -(-source.bytes // shards.SHARD_BYTES)
    return shards.build(source, out, split, shards=flags.shards or (least and max(least, by_size)), jobs=flags.jobs)


def _refuse_other_words(out: str, split: str, words: str) -> None:
    there = info.load(out) if (Path(out) / info.FILE).is_file() else None
    others = sorted(set(there.splits) - {split}) if there else []
    if there and others and there.proposals != words:
        raise Refused(
            f"{out} has splits {others} with other proposals ({there.proposals or 'none'}, not {words}). The splits of "
            "a folder have theirs from one method: give the same flags, or another --out"
        )


def main(flags: Proposals) -> None:
    _refuse_idle(flags)
    start = time.monotonic()
    built = build(flags)
    seconds = time.monotonic() - start
    made = built.split
    kept = f" ({built.kept} shards were there already)" if built.kept else ""
    print(f"{flags.out}: {flags.split} has {made.images:,} images with proposals{kept}; {seconds:,.0f} s")
    print(f"  recall: python -m pipelines.check --data={flags.out} --split={flags.split} --recall=recall.png")
    if built.problems:
        print(f"{len(built.problems):,} problems, all in {flags.out}/{flags.split}.report.jsonl:")
        print(problems.table(built.problems))


def _refuse_idle(flags: Proposals) -> None:
    """A flag that the method does not read is a mistake."""
    if (flags.method == "file") != bool(flags.file):
        raise Refused("--method=file and --file=PROPOSALS.npz go together")
    read = {"selective_search": {"mode", "max", "short_side", "min_side", "seed"}, "grid": {"max", "min_side"}}
    read["file"] = {"max"}
    for field in dataclasses.fields(Options):
        changed = getattr(flags, field.name) != field.default
        if changed and field.name not in read[flags.method]:
            raise Refused(f"--{field.name} is not read by --method={flags.method}; leave it out")


if __name__ == "__main__":
    command.run(main, Proposals(), required=("data", "out", "split"))
