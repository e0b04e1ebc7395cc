"""Records → shards, index and dataset.json: the only writer.

A shard is written to `OUT/.SPLIT.build/`, whole or not at all, and noted with a fingerprint of
what it was made from. When all are there they move to OUT, and index and dataset.json follow. So a reader never meets
half a split, a killed build goes on where it was, and a deleted shard is the only one built again.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from pipelines import pool, problems
from pipelines.problems import Problem, Refused
from tfrecog import atomic
from tfrecog.data import index, info, records

SHARD_BYTES = 128 * 2**20
_VERSION = 1  # of what `make` and `encode` do: a new number builds old shards again


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
    options: str = ""  # part of every fingerprint: what else decides the records


@dataclass(frozen=True)
class Built:
    """What `build` did."""

    split: info.Split
    problems: list[Problem]
    kept: int  # shards that were there already


def build(source: Source, out: str, split: str, *, shards: int = 0, jobs: int = 0, strict: bool = False) -> Built:
    """Writes the shards of a split and everything beside them.

    Raises:
        Refused: with what is wrong and what to do; finished shards are kept for the next run.
    """
    folder = os.path.join(out, f".{split}.build")
    if not source.items:
        raise Refused("there is nothing to write: no images")
    with _explained(out):
        os.makedirs(folder, exist_ok=True)
        try:  # Says before hours of work what `info.save` would say after them.
            info.check_same(out, dataclasses.replace(source.info, splits={split: info.Split(0, 0, 0, ())}))
        except ValueError as error:
            raise Refused(f"{error} Or make the sources agree.") from error
        with open(os.path.join(folder, "lock"), "w") as lock:
            _lock(lock, out, split)
            _remove_temporaries(folder)
            _remove_temporaries(out, f".{split}.index.npz.", f".{split}.report.jsonl.")
            tasks = _tasks(source, out, split, shards or _count(source))
            waiting = [task for task in tasks if not task.note()]
            _refuse_full_disk(out, source.bytes * len(waiting) // len(tasks))
            _run(waiting, tasks, source, jobs)
            found = source.problems + [Problem(**fields) for task in tasks for fields in task.note()["problems"]]
            if strict and found:
                shutil.rmtree(folder)
                with contextlib.suppress(OSError):
                    os.rmdir(out)  # if it was made for this
                listed = problems.table(found)
                raise Refused(f"--strict, and there are {len(found):,} problems:\n{listed}\nNothing is written.")
            made = _publish(tasks, source, out, split, found)
    return Built(made, found, len(tasks) - len(waiting))


@dataclass(frozen=True)
class Task:
    """One shard: where it goes and what it is made from."""

    name: str
    out: str
    folder: str
    items: list[Item]
    fingerprint: str

    @property
    def draft(self) -> str:
        return os.path.join(self.folder, self.name)

    def note(self) -> dict | None:
        """What was noted of the finished shard; None if it is missing or was made from something else."""
        try:
            with open(self.draft + ".json") as file:
                note = json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        places = self.draft, os.path.join(self.out, self.name)
        sizes = [os.path.getsize(path) for path in places if os.path.exists(path)]
        return note if note["fingerprint"] == self.fingerprint and sizes[:1] == [note["bytes"]] else None


def _count(source: Source) -> int:
    """By size, and for small sets at least enough for a few processes; never by the machine's cores."""
    return max(1, -(-source.bytes // SHARD_BYTES), min(8, len(source.items) // 64))


def _tasks(source: Source, out: str, split: str, count: int) -> list[Task]:
    count = min(count, len(source.items))
    bounds = [len(source.items) * k // count for k in range(count + 1)]
    common = repr((_VERSION, source.info.categories, source.info.keypoints, source.png_masks, source.options))
    tasks = []
    for k, (first, end) in enumerate(itertools.pairwise(bounds)):
        items = source.items[first:end]
        digest = hashlib.sha256("\n".join([common, *(item.fingerprint() for item in items)]).encode()).hexdigest()
        name = f"{split}-{k:05d}-of-{count:05d}.tfrecord"
        tasks.append(Task(name, out, os.path.join(out, f".{split}.build"), items, digest))
    return tasks


def _run(waiting: list[Task], tasks: list[Task], source: Source, jobs: int) -> None:
    total, rest = (sum(len(task.items) for task in those) for those in (tasks, waiting))
    with tqdm(total=total, initial=total - rest, unit="image", desc="building", disable=not waiting) as bar:
        write = Writer(source.make, source.info.keypoints, source.png_masks)
        try:
            pool.run(write, waiting, jobs=jobs, progress=bar.update)
        except BaseException:
            _remove_temporaries(waiting[0].folder)
            raise


@dataclass(frozen=True)
class Writer:
    """Writes a shard; the part that runs in the worker processes."""

    make: Callable
    keypoints: tuple[str, ...]
    png_masks: bool

    def __call__(self, task: Task, at: Callable[[str], None]) -> None:
        """Writes the shard and its note; calls `at` with the name of each item before it is made."""
        rows, found = [], []
        with atomic.write(task.draft, "wb") as file:
            for item in task.items:
                at(item.name)
                record, its_problems = self.make(item)
                found += its_problems
                if record is None:
                    continue
                payload = records.encode(record, png_masks=self.png_masks, keypoint_names=self.keypoints)
                instances = int(np.sum(~record.crowd))
                crowd = len(record.crowd) - instances
                rows.append([file.tell(), len(payload), record.height, record.width, instances, crowd])
                header = struct.pack("<Q", len(payload))
                file.write(header + struct.pack("<I", index.masked_crc(header)))
                file.write(payload)
                file.write(struct.pack("<I", index.masked_crc(payload)))
            size = file.tell()
        note = {"fingerprint": task.fingerprint, "bytes": size, "rows": rows}
        note["problems"] = [dataclasses.asdict(problem) for problem in found]
        with atomic.write(task.draft + ".json") as file:
            json.dump(note, file)


def _publish(tasks: list[Task], source: Source, out: str, split: str, found: list[Problem]) -> info.Split:
    """Moves the shards to `out`; then report, index and, last, dataset.json."""
    notes = [task.note() for task in tasks]
    rows = np.array([[k, *row] for k, note in enumerate(notes) for row in note["rows"]], np.int64).reshape(-1, 7)
    if not len(rows):
        raise Refused(f"no image could be used:\n{problems.table(found)}")
    names = tuple(task.name for task in tasks)
    drafts = [task for task in tasks if os.path.exists(task.draft)]
    stale = set(_shards_of(out, split)) - set(names)
    if any(os.path.lexists(os.path.join(out, task.name)) for task in drafts):
        # Between two renames the folder holds shards of two builds, which a kill must not leave as a split.
        info.forget(out, split)
        index.path_of(out, split).unlink(missing_ok=True)
    for task in drafts:
        os.replace(task.draft, os.path.join(out, task.name))
    problems.save(os.path.join(out, f"{split}.report.jsonl"), found)
    columns = dict(zip(["shard", "offset", "length", "height", "width", "instances"], rows.T, strict=False))
    index.save(out, split, index.Index(shards=names, sizes=tuple(note["bytes"] for note in notes), **columns))
    made = info.Split(images=len(rows), instances=int(rows[:, 5].sum()), crowd=int(rows[:, 6].sum()), shards=names)
    info.save(out, dataclasses.replace(source.info, splits={split: made}))
    for name in stale:  # of an earlier build of this split into another number of shards
        path, note = os.path.join(out, name), os.path.join(tasks[0].folder, name + ".json")
        if os.path.islink(path) or os.path.exists(note):  # An adopted file is not ours to remove.
            for one in (path, note):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(one)
    return made


def _shards_of(out: str, split: str) -> tuple[str, ...]:
    """Names of the shards of an earlier build."""
    splits = info.load(out).splits if os.path.exists(os.path.join(out, info.FILE)) else {}
    return splits[split].shards if split in splits else ()


def _lock(file, out: str, split: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Refused(f"another process is building {split!r} in {out}; wait for it, or end it") from error


def _remove_temporaries(folder: str, *prefixes: str) -> None:
    """Removes the unfinished files that a kill left."""
    for name in os.listdir(folder):
        if name.startswith(prefixes or "."):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, name))


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
