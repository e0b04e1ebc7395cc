"""Records → shards, index and dataset.json: the only writer.

A shard is written to `OUT/.SPLIT.build/`, whole or not at all, under a name with a digest of what it was made from, and
noted. When all are there they move to OUT, and index and dataset.json follow (`publish`). So a reader never meets half
a split, a killed build goes on where it was, and a deleted shard is the only one built again.
"""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tfrecog.cli import files, signals, urls
from tfrecog.cli.progress import Bar
from tfrecog.data import frames, index, info, records

from . import deep_images, engines, problems, publish
from .problems import MostlyLost, Problem, Refused, refuse_losses
from .publish import Task

SHARD_BYTES = 128 * 2**20
MAX_LEFT_OUT = 0.5
_VERSION = 8  # of what `make`, `encode` and `write` do: a new number builds old shards again


class Item(Protocol):
    """What one record is made from; small, and pickled on its way to a worker."""

    name: str

    def fingerprint(self) -> str:
        """Differs when the record would."""


@dataclass(frozen=True)
class Source:
    """What a pipeline hands to `build`."""

    items: Sequence[Item]  # in the order of the records
    make: Callable[[Any], tuple[records.Record | None, list[Problem]]]  # picklable; None: the image is left out
    info: info.DatasetInfo  # without splits
    bytes: int  # that the shards will take together, about and at least
    problems: list[Problem] = dataclasses.field(default_factory=list)  # found before the records
    png_masks: bool = False
    objects: int = 0  # of the source, crowds too, or images with a class or a label map each; 0: none, or not known
    # Where they are not known before: how many more than the images left out are lost by each kind of problem.
    lost: Mapping[str, int] | None = None
    options: str = ""  # part of every fingerprint: what else decides the records
    encode: Callable = records.encode  # picklable: the bytes of what `make` returns

    @property
    def counted(self) -> str:
        """What `objects` counts, as a word."""
        return "images" if self.info.image_labels or self.info.label_maps else "objects"


@dataclass(frozen=True)
class Built:
    """What `build` did."""

    split: info.SplitInfo
    problems: list[Problem]
    kept: int  # shards that were there already


def build(
    source: Source,
    out: str,
    split: str,
    *,
    shards: int = 0,
    engine: engines.Engine = engines.PROCESSES,
    strict: bool = False,
    max_left_out: float = MAX_LEFT_OUT,
) -> Built:
    """Writes the shards of a split and everything beside them.

    Args:
        source: what is written.
        out: folder of the dataset.
        split: its name.
        shards: how many; 0: by size.
        engine: does the work.
        strict: any problem is an error.
        max_left_out: of the objects of the source, the largest share that may not be used.

    Raises:
        Refused: with what is wrong and what to do; finished shards are kept for the next run.
        MostlyLost: too many of the objects cannot be used; nothing is written.
    """
    urls.check_local(out, "--out")
    folder = os.path.join(out, f".{split}.build")
    if not source.items:
        kind = MostlyLost if source.objects else Refused
        raise kind(problems.no_image(out, source.problems))
    if strict:
        _refuse(source.problems)  # before any image is read
    with _explained(out):
        try:  # Says before hours of work what `info.save` would say after them.
            others = info.check_same(out, dataclasses.replace(source.info, splits={split: info.SplitInfo(0, 0, 0, ())}))
        except ValueError as error:
            raise Refused(str(error)) from error
        os.makedirs(folder, exist_ok=True)
        known = {**(others.pixel_ranges if others else {}), **source.info.pixel_ranges}
        source = dataclasses.replace(source, info=dataclasses.replace(source.info, pixel_ranges={}))
        with publish.claim(out, split):
            tasks = _tasks(source, out, split, shards or default_count(source))
            kept, notes = _written(source, split, tasks, engine)
            ranges = {**deep_images.ranges_of(notes), **known}
            measuring, tasks = tasks, [task.of_ranges(ranges, note) for task, note in zip(tasks, notes, strict=True)]
            publish.remove_unfinished([*measuring, *tasks], split)
            source = dataclasses.replace(source, info=dataclasses.replace(source.info, pixel_ranges=ranges))
            if tasks != measuring:
                kept, notes = _written(source, split, tasks, engine)
            found = source.problems + [problem for note in notes for problem in note["problems"]]
            found += deep_images.report_beyond(split, notes, source.info.pixel_ranges)
            try:
                if strict:
                    _refuse(found)
                _refuse_losses(source, out, notes, found, max_left_out)
            except Refused:
                publish.give_up([*measuring, *tasks])
                raise
            made = publish.publish(tasks, notes, source.info, split, found)
    return Built(made, found, kept)


def _written(source: Source, split: str, tasks: list[Task], engine: engines.Engine) -> tuple[int, list[publish.Note]]:
    """How many of the shards were there already, and the notes of all.

    Images of more than 8 bits are measured, and not written, where the source has no range for their type.
    """
    out = tasks[0].out
    waiting = [task for task in tasks if not task.note()]
    _refuse_full_disk(out, source.bytes * len(waiting) // len(tasks))
    total, rest = (sum(len(task.items) for task in those) for those in (tasks, waiting))
    try:
        with Bar(total=total, initial=total - rest, desc="building", disable=not waiting) as bar:
            work = functools.partial(write, dataclasses.replace(source, items=(), problems=[]))
            engine.run(work, waiting, bar.update)
    except BaseException as error:
        publish.remove_unfinished(tasks, split)
        if isinstance(error, signals.Stopped):
            error.consequence = "the same command continues from the finished shards"
        raise
    notes = [note for task in tasks if (note := task.note())]
    if len(notes) < len(tasks):
        raise Refused(f"{len(tasks) - len(notes)} shards went missing in {tasks[0].folder}; run the same command again")
    return len(tasks) - len(waiting), notes


def default_count(source: Source) -> int:
    """Shards of a split where nobody says how many.

    By its size in bytes, and for small sets at least enough for a few processes; never by the machine's cores.
    """
    return max(1, -(-source.bytes // SHARD_BYTES), min(8, len(source.items) // 64))


def _tasks(source: Source, out: str, split: str, count: int) -> list[Task]:
    count = min(count, len(source.items))
    bounds = [len(source.items) * k // count for k in range(count + 1)]
    common = repr((_VERSION, source.info.categories, source.info.keypoints, source.png_masks, source.options))
    tasks = []
    with Bar(total=len(source.items), desc="comparing with what is there", leave=False, delay=1) as bar:
        for k, (first, end) in enumerate(itertools.pairwise(bounds)):
            items = source.items[first:end]
            digest = hashlib.sha256(common.encode())
            for item in items:  # one by one: all fingerprints of COCO together take as much memory as its JSON
                digest.update(b"\n" + item.fingerprint().encode())
                bar.update()
            name = f"{split}-{k:05d}-of-{count:05d}-{digest.hexdigest()[:12]}.tfrecord"
            tasks.append(Task(name, out, os.path.join(out, f".{split}.build"), items))
    return tasks


def write(source: Source, task: Task, at: Callable[[str], None]) -> None:
    """Writes a shard of a source (its items are those of the task) and its note; runs in the worker processes.

    It calls `at` with the name of each item before it is made.
    """
    columns, found, deep = index.no_rows(), [], deep_images.Shard(source.info.pixel_ranges)
    pixels = np.zeros(source.info.num_classes + 1, np.int64)  # by label; 0 does not count
    with files.write(task.draft, "wb") as file:
        for item in task.items:
            at(item.name)
            record, its_problems = source.make(item)
            found += its_problems
            record = record and deep.encoded(record, found)
            if record is None:
                continue
            payload = source.encode(record, png_masks=source.png_masks, keypoint_names=source.info.keypoints)
            index.add_row(columns, file.tell(), payload, task.name)
            if record.label_map is not None:
                labels = records.from_label_map(record.label_map)
                pixels += np.bincount(labels.ravel(), minlength=len(pixels))
            file.write(frames.pack(payload))
        size = file.tell()
    note = {"bytes": size, "columns": columns, "pixels": pixels.tolist() if pixels.any() else []}
    note |= {"measured": deep.measured, "beyond": deep.beyond}
    note["problems"] = [dataclasses.asdict(problem) for problem in found]
    with files.write(task.note_path) as file:
        json.dump(note, file)


def _refuse_losses(source: Source, out: str, notes: list[publish.Note], found: list[Problem], most: float) -> None:
    columns = [note["columns"] for note in notes]
    images = sum(len(one["offset"]) for one in columns)
    objects = sum(sum(one[name]) for one in columns for name in ("instances", "crowd"))
    kept, total = images if source.counted == "images" else objects, source.objects
    if source.lost is not None:  # An image that is left out had one at least.
        total = kept + len(source.items) - images + sum(source.lost.get(problem.kind, 0) for problem in found)
    refuse_losses(out, found, kept, total, most, source.counted)


def _refuse(found: list[Problem]) -> None:
    if found:
        listed = problems.table(found)
        count = "there is 1 problem" if len(found) == 1 else f"there are {len(found):,} problems"
        raise Refused(f"--strict, and {count}:\n{listed}\nNothing is written.")


def _refuse_full_disk(out: str, needed: int) -> None:
    free = shutil.disk_usage(out).free
    if needed > free:
        raise Refused(f"{out} has {free / 1e6:,.1f} MB free, and the shards need about {needed / 1e6:,.1f} MB. {_ROOM}")


_ROOM = "Free some space, or give another --out; the same command goes on from the finished shards."


@contextlib.contextmanager
def _explained(out: str):
    """Turns an OSError of the output folder into words."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        where = error.filename or out
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refused(f"cannot write to {out}: {reason}. {_ROOM}") from error
        raise Refused(f"cannot write {where}: {reason}. Check its permissions, or give another --out.") from error
