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

import io
import sys
from dataclasses import dataclass

import numpy as np
from absl import flags
from PIL import Image

from tfrecog.data import index, info, records
from tfrecog.ops.overlaps import pairwise_iou

from .build import command, image_records, shards
from .build.problems import Problem, Refused
from .formats.image_file import Encoded

BACKGROUND = "background"
_MOST_OVERLAP = 0.1  # IoU of a background crop with any object
_TRIES = 50


@dataclass(frozen=True)
class Crop:
    """An object of a record, or (object -1 - n) the n-th piece of its background."""

    name: str
    row: int  # in the index
    object: int
    digest: str  # of where the record lies

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Maker:
    """Makes records of crops; goes to the worker processes."""

    folder: str
    index: index.Index
    facts: info.DatasetInfo  # of the source
    context: float
    min_side: float
    seed: int

    def __call__(self, crop: Crop) -> tuple[records.Record | None, list[Problem]]:
        try:
            record = self.facts.relabel(records.decode(index.read(self.folder, self.index, crop.row)))
            picture = Image.open(io.BytesIO(record.encoded)).convert("RGB")
        except Exception as error:  # whatever is in it: Pillow and protobuf have many
            remedy = f"Build {self.folder} again; `python -m pipelines.check` names all that is damaged."
            return None, [Problem("record cannot be read", crop.name, str(error), remedy)]
        if crop.object >= 0:
            box, label = record.boxes[crop.object], int(record.labels[crop.object])
        else:
            box, label = self._background(record, crop), len(self.facts.categories) + 1
            if box is None:
                what = f"no part of it was free of objects in {_TRIES} tries"
                remedy = "It gives fewer crops of background; nothing needs to be done."
                return None, [Problem("no background", crop.name, what, remedy, record.source_id)]
        name = self.facts.names[label - 1] if label <= len(self.facts.names) else BACKGROUND
        cut = with_context(box, self.context, picture.size[::-1])
        if min(cut[2] - cut[0], cut[3] - cut[1]) < self.min_side:
            what = f"{name}: {cut[2] - cut[0]} x {cut[3] - cut[1]} pixels with its context"
            return None, [Problem("object too small", crop.name, what, "Left out (--min_side).", record.source_id)]
        y1, x1, y2, x2 = cut
        image = _encoded(picture.crop((x1, y1, x2, y2)), record.format)
        which = f"object{crop.object}" if crop.object >= 0 else f"background{-1 - crop.object}"
        return image_records.record(image, crop.name, f"{record.source_id}.{which}", label, name), []

    def _background(self, record: records.Record, crop: Crop) -> np.ndarray | None:
        """A random box [4] of a record, of the size of objects, that shows none; None where there is none."""
        random = np.random.default_rng([self.seed, crop.row, -crop.object])
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


def _encoded(picture: Image.Image, like: str) -> Encoded:
    """JPEG of what was a JPEG, for noise of its own would be learned; else PNG."""
    file = io.BytesIO()
    if like == "jpeg":
        picture.save(file, "JPEG", quality=95, subsampling=0)
    else:
        picture.save(file, "PNG")
    return Encoded(file.getvalue(), "jpeg" if like == "jpeg" else "png", picture.height, picture.width)


def build(
    data: str,
    out: str,
    split: str,
    *,
    context: float = 0.15,
    min_side: float = 8,
    background: int = 0,
    seed: int = 0,
    strict: bool = False,
    shard_count: int = 0,
    jobs: int = 0,
) -> tuple[shards.Built, int]:
    """Writes the crops of a split of `data` into `out`; also how many crowds and difficult objects were left out."""
    try:
        facts, where = info.load(data), index.load(data, split)
    except (OSError, ValueError) as error:
        raise Refused(str(error)) from error
    if not any(one.instances for one in facts.splits.values()):
        raise Refused(f"{data} has no objects with boxes, of which crops are made")
    if background and BACKGROUND in facts.names:
        raise Refused(f"{data} has a class {BACKGROUND!r} already: leave --background at 0")
    items, left = [], 0
    for row in range(len(where)):
        digest = f"{where.shards[where.shard[row]]}:{where.offset[row]}:{where.length[row]}:{where.sizes}"
        try:
            record = records.decode(index.read(data, where, row))
        except ValueError as error:
            raise Refused(f"{error}; `python -m pipelines.check --data={data}` names all that is damaged") from error
        stem = record.filename.rsplit(".", 1)[0]
        wanted = ~record.crowd if record.difficult is None else ~record.crowd & ~record.difficult
        left += int(np.sum(~wanted))
        items += [Crop(f"{stem}.object{one}", row, int(one), digest) for one in np.flatnonzero(wanted)]
        items += [Crop(f"{stem}.background{n}", row, -1 - n, digest) for n in range(background)]
    categories = [info.Category(name=one.name, id=one.id) for one in facts.categories]
    if background:
        categories.append(info.Category(BACKGROUND, max(one.id for one in categories) + 1))
    maker = Maker(data, where, facts, context, min_side, seed)
    source = shards.Source(
        items, maker, image_records.facts(categories), 0, options=repr((facts.names, context, min_side, seed))
    )
    return shards.build(source, out, split, shards=shard_count, jobs=jobs, strict=strict), left


def main() -> None:
    values = flags.FLAGS
    print(f"reading {values.data}", file=sys.stderr)
    built, left = build(
        values.data,
        values.out,
        values.split,
        context=values.context,
        min_side=values.min_side,
        background=values.background,
        seed=values.seed,
        strict=values.strict,
        shard_count=values.shards,
        jobs=values.jobs,
    )
    print(image_records.report(values.out, values.split, built, info.load(values.out).num_classes))
    if left:
        print(f"{left:,} crowds and difficult objects were left out")


def define_flags() -> None:
    """Defines the command line."""
    command.define_output_flags()
    flags.adopt_module_key_flags(command)
    flags.DEFINE_string("data", None, "Folder of the built dataset with the objects.", required=True)
    flags.DEFINE_float("context", 0.15, "Share of a box's sides that is cut out around it on each side.", 0.0)
    flags.DEFINE_float("min_side", 8.0, "Crops with a shorter side are left out, and reported (pixels).", 1.0)
    flags.DEFINE_integer("background", 0, "Crops of background an image, as a class of their own. 0: none.", 0)
    flags.DEFINE_integer("seed", 0, "Of the places of the background crops.")
    flags.DEFINE_boolean("strict", False, "Any problem is an error, and nothing is written.")


if __name__ == "__main__":
    define_flags()
    command.run(main)
