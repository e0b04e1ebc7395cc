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
    if strict:
        _refuse(source.problems)  # before any image is read
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
            for task in tasks:
                task.forget_other_draft()
            waiting = [task for task in tasks if not task.note()]
            _refuse_full_disk(out, source.bytes * len(waiting) // len(tasks))
            _run(waiting, tasks, source, jobs)
            found = source.problems + [Problem(**fields) for task in tasks for fields in task.note()["problems"]]
            if strict and found:
                _remove_drafts(tasks, out)
                _refuse(found)
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

    @property
    def draft_note(self) -> str:
        return self.draft + ".json"

    @property
    def place(self) -> str:
        return os.path.join(self.out, self.name)

    @property
    def place_note(self) -> str:
        """Stays when a later build of other things begins, and fails."""
        return self.draft + ".done.json"

    def note(self) -> dict | None:
        """What was noted of the finished shard; None if it is missing or was made from something else."""
        # A kill while a shard is published leaves it at its place with the draft's note.
        for path, places in ((self.draft_note, (self.draft, self.place)), (self.place_note, (self.place,))):
            note = _read_note(path)
            sizes = [os.path.getsize(place) for place in places if os.path.exists(place)]
            if note and note["fingerprint"] == self.fingerprint and sizes[:1] == [note["bytes"]]:
                return note
        return None

    def forget_other_draft(self) -> None:
        """Removes what an unfinished build of something else left under this name."""
        note = _read_note(self.draft_note)
        if not note or note["fingerprint"] != self.fingerprint:
            self.remove_draft()

    def remove_draft(self) -> None:
        for path in (self.draft_note, self.draft):  # A draft without its note is never believed.
            _remove(path)

    def publish(self) -> None:
        """Moves the shard to its place; a kill on the way leaves no note of another shard than the one there."""
        if os.path.exists(self.draft):
            _remove(self.place_note)
            os.replace(self.draft, self.place)
        if os.path.exists(self.draft_note):
            os.replace(self.draft_note, self.place_note)


def _read_note(path: str) -> dict | None:
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _count(source: Source) -> int:
    """By size, and for small sets at least enough for a few processes; never by the machine's cores."""
    return max(1, -(-source.bytes // SHARD_BYTES), min(8, len(source.items) // 64))


def _tasks(source: Source, out: str, split: str, count: int) -> list[Task]:
    count = min(count, len(source.items))
    bounds = [len(source.items) * k // count for k in range(count + 1)]
    common = repr((_VERSION, source.info.categories, source.info.keypoints, source.png_masks, source.options))
    tasks = []
    with tqdm(total=len(source.items), unit="image", desc="comparing with what is there", leave=False, delay=1) as bar:
        for k, (first, end) in enumerate(itertools.pairwise(bounds)):
            items = source.items[first:end]
            digest = hashlib.sha256(common.encode())
            for item in items:  # one by one: all fingerprints of COCO together take as much memory as its JSON
                digest.update(b"\n" + item.fingerprint().encode())
                bar.update()
            name = f"{split}-{k:05d}-of-{count:05d}.tfrecord"
            tasks.append(Task(name, out, os.path.join(out, f".{split}.build"), items, digest.hexdigest()))
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
        with atomic.write(task.draft_note) as file:
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
    if any(os.path.lexists(task.place) for task in drafts):
        # Between two renames the folder holds shards of two builds, which a kill must not leave as a split.
        info.forget(out, split)
        index.path_of(out, split).unlink(missing_ok=True)
    for task in tasks:
        task.publish()
    problems.save(os.path.join(out, f"{split}.report.jsonl"), found)
    columns = dict(zip(["shard", "offset", "length", "height", "width", "instances"], rows.T, strict=False))
    index.save(out, split, index.Index(shards=names, sizes=tuple(note["bytes"] for note in notes), **columns))
    made = info.Split(images=len(rows), instances=int(rows[:, 5].sum()), crowd=int(rows[:, 6].sum()), shards=names)
    info.save(out, dataclasses.replace(source.info, splits={split: made}))
    for name in stale:  # of an earlier build of this split into another number of shards
        earlier = dataclasses.replace(tasks[0], name=name)
        if os.path.islink(earlier.place) or os.path.exists(earlier.place_note):  # An adopted file is not ours.
            _remove(earlier.place)
            _remove(earlier.place_note)
    return made


def _refuse(found: list[Problem]) -> None:
    if found:
        listed = problems.table(found)
        raise Refused(f"--strict, and there are {len(found):,} problems:\n{listed}\nNothing is written.")


def _remove_drafts(tasks: list[Task], out: str) -> None:
    """Removes what this build made, and the folders if they were made for it; an earlier build stays as it was."""
    for task in tasks:
        task.remove_draft()
    folder = tasks[0].folder
    if os.listdir(folder) == ["lock"]:
        os.remove(os.path.join(folder, "lock"))
        os.rmdir(folder)
        with contextlib.suppress(OSError):
            os.rmdir(out)


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
            _remove(os.path.join(folder, name))


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
