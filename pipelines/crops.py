"""Cuts the objects out of a built split, one image each with its class: to learn a classifier before a detector.

  python -m pipelines.crops --data=data/scenes --split=train --out=data/scenes_crops --background=2
  python -m tfrecog.train --task=classification ... --data.records=data/scenes_crops

R-CNN, SPP-net and Fast R-CNN start from a network that has learned to name pictures (Girshick et al. 2014, section 2.3:
supervised pre-training). Theirs learned from ImageNet; where there is none, or nothing like the data, this makes the
pictures of the objects themselves, with some of what is around them. A detector takes the network over with
--train.start_from.

Crowds and what is marked as difficult are left out, and counted. With --background there is one class more, of random
parts of the images that overlap no object by more than 0.1 (IoU): a network that never saw background has no features
for it.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image

from tfrecog.cli import command
from tfrecog.cli.facts import NonNegative, Range
from tfrecog.data import image_numpy, index, info, records
from tfrecog.data.split import Split
from tfrecog.ops.overlaps import pairwise_iou

from .build import image_records, shards
from .build.command import BuildFlags, build_split, summary
from .build.problems import Problem, Refused

BACKGROUND = "background"
_MOST_OVERLAP = 0.1  # IoU of a background crop with any object
_TRIES = 50


@dataclass(frozen=True)
class Crop:
    """An object of a record, of those that are no crowd and not difficult, or a piece of its background."""

    row: int  # in the index
    kind: str  # "object" or "background"
    number: int  # of its kind in the record
    checksum: bytes  # of the record

    @property
    def name(self) -> str:
        return f"row {self.row} of the index, {self.kind} {self.number}"

    def fingerprint(self) -> str:
        return repr(self)


@dataclass
class Maker:
    """Makes records of crops; goes to the worker processes, which decode an image once for all its crops."""

    source: Split
    context: float
    min_side: float
    seed: int
    opened: tuple[int, records.Record, Image.Image] | None = None  # the row that the last crop was of

    def __call__(self, crop: Crop) -> tuple[records.Record | None, list[Problem]]:
        try:
            record, picture = self._open(crop.row)
        except Exception as error:  # whatever is in it: Pillow and protobuf have many
            remedy = f"Build {self.source.folder} again; `python -m pipelines.check` names all that is damaged."
            return None, [Problem("record cannot be read", crop.name, str(error), remedy)]
        if crop.kind == "object":
            wanted = ~record.crowd if record.difficult is None else ~record.crowd & ~record.difficult
            number = int(np.flatnonzero(wanted)[crop.number])
            box, label = record.boxes[number], int(record.labels[number])
        else:
            number, box, label = crop.number, self._background(record, crop), self.source.info.num_classes + 1
        file = f"{record.filename.rsplit('.', 1)[0]}.{crop.kind}{number}"
        if box is None:
            what = f"no part of it was free of objects in {_TRIES} tries"
            remedy = "It gives fewer crops of background; nothing needs to be done."
            return None, [Problem("no background", file, what, remedy, record.source_id)]
        name = (*self.source.info.names, BACKGROUND)[label - 1]
        y1, x1, y2, x2 = with_context(box, self.context, picture.size[::-1])
        if min(y2 - y1, x2 - x1) < self.min_side:
            what = f"{name}: {y2 - y1} x {x2 - x1} pixels with its context"
            return None, [Problem("object too small", file, what, "Left out (--min_side).", record.source_id)]
        # JPEG of what was a JPEG, for noise of its own would be learned.
        image = image_records.encode(picture.crop((x1, y1, x2, y2)), record.format, quality=95, subsampling=0)
        return image_records.record(image, file, f"{record.source_id}.{crop.kind}{number}", label, name), []

    def _open(self, row: int) -> tuple[records.Record, Image.Image]:
        if self.opened is None or self.opened[0] != row:
            record = self.source.truth(row)
            self.opened = row, record, Image.fromarray(image_numpy.decode(record.encoded))
        return self.opened[1:]

    def _background(self, record: records.Record, crop: Crop) -> np.ndarray | None:
        """A random box [4] of a record, of the size of objects, that shows none; None where there is none."""
        random = np.random.default_rng([self.seed, crop.row, 1 + crop.number])
        size = np.array([record.height, record.width], float)
        for _ in range(_TRIES):
            side = np.minimum(size.min() * np.exp(random.uniform(np.log(0.1), np.log(0.7))), size)
            start = random.uniform(0, size - side)
            box = np.concatenate([start, start + side])
            if pairwise_iou(box[None], record.boxes).max(initial=0) <= _MOST_OVERLAP:
                return box
        return None


def with_context(box: np.ndarray, context: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels y1, x1, y2, x2 of a box [4] grown by a share of its sides on each side, within an image."""
    margin = context * (box[2:] - box[:2])
    start = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    end = np.minimum(np.ceil(box[2:] + margin), size).astype(int)
    return int(start[0]), int(start[1]), int(end[0]), int(end[1])


@dataclass(frozen=True)
class Crops(BuildFlags):
    """The flags."""

    data: Annotated[str, "Folder of the built dataset with the objects."] = ""
    context: Annotated[
        float, "Margin around a box that is cut out too, on each side, as a fraction of its sides.", NonNegative()
    ] = 0.15
    min_side: Annotated[float, "Crops with a shorter side are left out, and reported.", Range(1, unit="pixels")] = 8.0
    background: Annotated[int, "Background crops per image, a class of their own. 0: none.", NonNegative()] = 0
    seed: Annotated[int, "Seed of the places of the background crops.", NonNegative()] = 0


def build(flags: Crops) -> tuple[shards.Built, int]:
    """Writes the crops of a split into another folder; also how many crowds and difficult objects were left out."""
    data, background = flags.data, flags.background
    if os.path.realpath(data) == os.path.realpath(flags.out):
        raise Refused(
            f"--out={flags.out} is --data: the records there are read while the new ones are written; name another"
        )
    source = Split.open(data, flags.split)
    facts, where = source.info, source.index
    if not any(one.instances for one in facts.splits.values()):
        raise Refused(f"{data} has no objects with boxes, of which crops are made")
    if background and BACKGROUND in facts.names:
        raise Refused(f"{data} has a class {BACKGROUND!r} already: leave --background at 0")
    items = []
    for row, checksum in enumerate(index.record_checksums(data, where)):
        counts = {"object": where.instances[row] - where.difficult[row], "background": background}
        items += [Crop(row, kind, number, checksum) for kind, count in counts.items() for number in range(count)]
    categories = [info.Category(name=one.name, id=one.id) for one in facts.categories]
    if background:
        categories.append(info.Category(BACKGROUND, max(one.id for one in categories) + 1))
    maker = Maker(source, flags.context, flags.min_side, flags.seed)
    same = {"pixel_ranges": facts.pixel_ranges, "orientation": facts.orientation}
    made = dataclasses.replace(image_records.facts(categories), **same)
    options = repr((facts.names, flags.context, flags.min_side, flags.seed))
    made_of = shards.Source(items, maker, made, 0, options=options)
    left = int(where.crowd.sum() + where.difficult.sum())
    return build_split(made_of, flags), left


def main(flags: Crops) -> None:
    built, left = build(flags)
    print(summary(flags, built))
    if left:
        print(f"{left:,} crowds and difficult objects were left out")


if __name__ == "__main__":
    command.run(main, Crops(), required=("data", "out", "split"))
