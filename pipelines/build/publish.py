"""The last step of a build: finished shards move to the dataset; report, index and dataset.json follow.

Whenever it is killed, the folder holds the earlier split, the new one, or none of them, and never a mixture.
"""

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrecog.data import index, info

from . import problems
from .problems import Problem, Refused


@dataclass(frozen=True)
class Task:
    """One shard: where it goes and what it is made from."""

    name: str
    out: str
    folder: str
    items: list[Any]
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


def publish(
    tasks: list[Task], notes: list[dict], facts: info.DatasetInfo, out: str, split: str, found: list[Problem]
) -> info.SplitInfo:
    """Moves the shards to `out`; then report, index and, last, dataset.json."""
    names = tuple(task.name for task in tasks)
    rows = index.join(names, [note["bytes"] for note in notes], [note["columns"] for note in notes])
    if not len(rows):
        raise Refused(f"no image could be used:\n{problems.table(found)}")
    drafts = [task for task in tasks if os.path.exists(task.draft)]
    stale = set(_shards_of(out, split)) - set(names)
    if any(os.path.lexists(task.place) for task in drafts):
        # Between two renames the folder holds shards of two builds, which a kill must not leave as a split.
        info.forget(out, split)
        index.path_of(out, split).unlink(missing_ok=True)
    for task in tasks:
        task.publish()
    problems.save(os.path.join(out, f"{split}.report.jsonl"), found)
    index.save(out, split, rows)
    pixels = np.array([note["pixels"] for note in notes if note["pixels"]], np.int64)
    made = info.SplitInfo(
        images=len(rows),
        instances=int(rows.instances.sum()),
        crowd=int(rows.crowd.sum()),
        shards=names,
        pixels=tuple(pixels.sum(axis=0).tolist()) if len(pixels) else (),
    )
    info.save(out, dataclasses.replace(facts, splits={split: made}))
    for name in stale:  # of an earlier build of this split into another number of shards
        earlier = dataclasses.replace(tasks[0], name=name)
        if os.path.islink(earlier.place) or os.path.exists(earlier.place_note):  # An adopted file is not ours.
            _remove(earlier.place)
            _remove(earlier.place_note)
    return made


def _shards_of(out: str, split: str) -> tuple[str, ...]:
    """Names of the shards of an earlier build."""
    splits = info.load(out).splits if os.path.exists(os.path.join(out, info.FILE)) else {}
    return splits[split].shards if split in splits else ()


def remove_drafts(tasks: list[Task], out: str) -> None:
    """Removes what this build made, and the folders if they were made for it; an earlier build stays as it was."""
    for task in tasks:
        task.remove_draft()
    folder = tasks[0].folder
    if os.listdir(folder) == ["lock"]:
        os.remove(os.path.join(folder, "lock"))
        os.rmdir(folder)
        with contextlib.suppress(OSError):
            os.rmdir(out)


def remove_temporaries(folder: str, *prefixes: str) -> None:
    """Removes the unfinished files that a kill left."""
    for name in os.listdir(folder):
        if name.startswith(prefixes or "."):
            _remove(os.path.join(folder, name))
