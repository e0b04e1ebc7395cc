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
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tfrecog.cli import command, spelling
from tfrecog.cli.facts import When
from tfrecog.cli.spelling import counted
from tfrecog.data import frames, index, info, records
from tfrecog.data.example import Example
from tfrecog.data.fields import PROPOSAL
from tfrecog.data.split import Split
from tfrecog.proposals import methods, selective_search
from tfrecog.proposals.selective_search import Options

from .build import engines, image_records, problems, shards
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

    source: Split
    method: str
    options: Options

    def __call__(self, item: Item) -> tuple[records.Record, list[Problem]]:
        try:
            made = Proposed(**vars(self.source.record(item.row)), serialized=self.source.serialized(item.row))
        except frames.CorruptRecord as error:
            raise Refused(str(error)) from error
        try:
            made.proposals = self._boxes(item, made)
        except ValueError as error:
            made.proposals = np.zeros([0, 4], np.float32)
            return made, [_without(made, str(error), "Replace the image and build again.")]
        if len(made.proposals):
            return made, []
        remedy = "It is kept. More may be found with --mode=quality, a smaller --min_side or a larger --short_side."
        if self.method == "file":
            remedy = "It is kept. Add it to --file, if it should have some."
        return made, [_without(made, "it has no proposal, so nothing can be found in it", remedy)]

    def _boxes(self, item: Item, record: records.Record) -> np.ndarray:
        if item.boxes is not None:
            return methods.clip(item.boxes, record.height, record.width)[: self.options.max]
        if self.method == "grid":
            return methods.grid(record.height, record.width, self.options)
        return selective_search.propose(image_records.picture(record), self.options)


def _without(record: records.Record, what: str, remedy: str) -> Problem:
    return Problem("image without proposals", record.filename, what, remedy, record.source_id)


@dataclass(frozen=True)
class Proposals(SplitFlags, Options):
    """The flags."""

    data: Annotated[str, "Folder of the records that get proposals."] = ""
    method: Annotated[Literal["selective_search", "grid", "file"], "Where the proposals come from."] = (
        "selective_search"
    )
    file: Annotated[str, "The NPZ with the proposals.", When("method", "file")] = ""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Flags that do not go with others, and why."""
        if self.method == "file" and not self.file:
            yield "method", "needs --file=PROPOSALS.npz"
        yield from super().conflicts()


def build(flags: Proposals) -> shards.Built:
    """Writes the records of a split with proposals to another folder."""
    data, split, out, method = flags.data, flags.split, flags.out, flags.method
    options = Options(**{field.name: getattr(flags, field.name) for field in dataclasses.fields(Options)})
    if os.path.realpath(data) == os.path.realpath(out):
        raise Refused(f"--out={out} is --data: the records there are read while the new ones are written; name another")
    opened = Split.open(data, split)
    words = methods.describe(method, options)
    boxes: dict[int, np.ndarray] = {}
    if method == "selective_search":
        selective_search.opencv()
    elif method == "file":
        boxes, origin = proposal_files.of_file(flags.file, opened)
        words = f"file {os.path.basename(flags.file)}" + (f": {origin}" if origin else "")
    _refuse_other_words(out, split, words)
    checksums = index.record_checksums(data, opened.index)
    empty = np.zeros([0, 4], np.float32) if method == "file" else None
    items = [Item(i, opened.index.locate(i), checksums[i], boxes.get(i, empty)) for i in range(len(opened))]
    source = shards.Source(
        items,
        Adder(opened, method, options),
        dataclasses.replace(opened.info, splits={}, proposals=words),
        bytes=sum(opened.index.sizes),
        options=repr((_VERSION, method, options)),
        encode=encode,
    )
    # Shards that take minutes, so that a killed search loses little and all processes have work.
    least = min(256, -(-len(items) // 16)) if method == "selective_search" else 0
    by_size = -(-source.bytes // shards.SHARD_BYTES)
    count = flags.shards or (least and max(least, by_size))
    return shards.build(source, out, split, shards=count, engine=engines.of_flags(flags))


def _refuse_other_words(out: str, split: str, words: str) -> None:
    there = info.load(out) if (Path(out) / info.FILE).is_file() else None
    others = sorted(set(there.splits) - {split}) if there else []
    if there and others and there.proposals != words:
        raise Refused(
            f"{out} has splits {others} with other proposals ({there.proposals or 'none'}, not {words}). The splits of "
            "a folder have theirs from one method: give the same flags, or another --out"
        )


def main(flags: Proposals) -> None:
    start = time.monotonic()
    built = build(flags)
    seconds = time.monotonic() - start
    made = built.split
    kept = f" ({counted(built.kept, 'shard')} of an earlier run)" if built.kept else ""
    print(f"{flags.out}: {flags.split} has {counted(made.images, 'image')} with proposals{kept}; {seconds:,.0f} s")
    check = spelling.here("python -m pipelines.check")
    print(f"  recall: {check} --data={flags.out} --split={flags.split} --recall=recall.png")
    if built.problems:
        print(f"{counted(len(built.problems), 'problem')}, all in {flags.out}/{flags.split}.report.jsonl:")
        print(problems.table(built.problems))


if __name__ == "__main__":
    command.run(main, Proposals(), required=("data", "out", "split"))
