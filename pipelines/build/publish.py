"""The last step of a build: finished shards move to the dataset, report and index follow, and dataset.json takes them.

A shard's name says what it was made from, so no shard ever takes the place of another: whenever a build is killed,
dataset.json names a whole split, the earlier one or the new one.
"""

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np

from tfrecog.cli import files, json_values
from tfrecog.data import depth, index, info

from . import problems
from .problems import Problem, Refused


class Note(TypedDict):
    """What is noted of a finished shard."""

    bytes: int
    columns: dict[str, Any]  # of `index.no_rows`
    pixels: list[int]
    problems: list[Problem]
    measured: dict[str, depth.Range]  # see `deep_images.Shard`
    beyond: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Task:
    """One shard, and what it is made from."""

    name: str  # with a digest of what it is made from
    out: str
    folder: str  # of drafts and notes
    items: list[Any]

    @property
    def draft(self) -> str:
        return os.path.join(self.folder, self.name)

    @property
    def place(self) -> str:
        return os.path.join(self.out, self.name)

    @property
    def note_path(self) -> str:
        return self.draft + ".json"

    def of_ranges(self, ranges: depth.Ranges, note: Note) -> "Task":
        """The shard of the same items with these ranges of images of more than 8 bits; itself without such images.

        Args:
            ranges: by type of pixels.
            note: of this one, in which the images are measured.
        """
        if not note["measured"]:
            return self
        used = {kind: ranges[kind] for kind in sorted(note["measured"])}
        start, digest = self.name.removesuffix(".tfrecord").rsplit("-", 1)
        digest = hashlib.sha256(repr((digest, used)).encode()).hexdigest()[:12]
        return dataclasses.replace(self, name=f"{start}-{digest}.tfrecord")

    def note(self) -> Note | None:
        """What was noted of the finished shard; None if it is not there, or not whole."""
        try:
            with open(self.note_path, "rb") as file:
                note = json_values.parse(file.read(), Note)
        except (FileNotFoundError, json_values.NotValid):
            return None
        sizes = [os.path.getsize(path) for path in (self.draft, self.place) if os.path.exists(path)]
        return note if sizes[:1] == [note["bytes"]] else None


def claim(out: str, split: str) -> IO:
    """The claim of a split on a folder: until it is closed no other process builds or adopts it there.

    The folders that builds on Beam left there when they were killed are removed.

    Raises:
        UserError: another one does.
    """
    folder = os.path.join(out, f".{split}.build")
    os.makedirs(folder, exist_ok=True)
    claimed = files.claim(
        os.path.join(folder, "lock"), f"another process is building {split!r} in {out}; wait for it, or end it"
    )
    for path in Path(folder).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    return claimed


def publish(
    tasks: list[Task], notes: list[Note], facts: info.DatasetInfo, split: str, found: list[Problem]
) -> info.SplitInfo:
    """Moves the shards to their places; then report, index and dataset.json; then the shards of earlier builds go."""
    out, names = tasks[0].out, tuple(task.name for task in tasks)
    rows = index.join(names, [note["bytes"] for note in notes], [note["columns"] for note in notes])
    if not len(rows):
        raise Refused(problems.no_image(out, found))
    pixels = np.array([note["pixels"] for note in notes if note["pixels"]], np.int64)
    made = info.SplitInfo(
        images=len(rows),
        instances=int(rows.instances.sum()),
        crowd=int(rows.crowd.sum()),
        shards=names,
        pixels=tuple(pixels.sum(axis=0).tolist()) if len(pixels) else (),
    )
    earlier = info.shards_of(out, split)
    for task in tasks:
        if os.path.exists(task.draft):
            os.replace(task.draft, task.place)
    files.sync(Path(out))
    problems.save(os.path.join(out, f"{split}.report.jsonl"), found)
    index.save(out, split, rows)
    info.save(out, dataclasses.replace(facts, splits={split: made}))
    remove_adopted(out, set(earlier) - set(names))
    # The shards of earlier builds are those with a note; so nobody else's file is taken for one.
    for file in os.listdir(tasks[0].folder):
        name = file.removesuffix(".json")
        if name not in (file, *names):
            folder = tasks[0].folder
            _remove(os.path.join(out, name), os.path.join(folder, name), os.path.join(folder, file))
    return made


def remove_adopted(out: str, names: set[str]) -> None:
    """Removes those of the files that pipelines.adopt made: links, of which what they lead to stays, and copies."""
    for name in names:
        made = re.fullmatch(r"[^/]*-of-[0-9]{5}-[0-9a-f]{12}(\.converted)?\.tfrecord", name)
        if made and (made[1] or os.path.islink(os.path.join(out, name))):
            _remove(os.path.join(out, name))


def remove_unfinished(tasks: list[Task], split: str) -> None:
    """Removes the unfinished files that a kill left, and finished drafts that are not of these tasks."""
    folder, out, names = tasks[0].folder, tasks[0].out, {task.name for task in tasks}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("."):
            os.remove(path)
        elif name.endswith(".tfrecord") and name not in names:
            _discard(Task(name, out, folder, []))
    for name in os.listdir(out):
        if name.startswith((f".{split}.index.npz.", f".{split}.report.jsonl.")):
            os.remove(os.path.join(out, name))


def give_up(tasks: list[Task]) -> None:
    """Removes what this build made, and the folders if they were made for it; an earlier build stays as it was."""
    for task in tasks:
        _discard(task)
    folder = tasks[0].folder
    if os.listdir(folder) == ["lock"]:
        os.remove(os.path.join(folder, "lock"))
        os.rmdir(folder)
        with contextlib.suppress(OSError):
            os.rmdir(tasks[0].out)


def _discard(task: Task) -> None:
    """Removes the draft, and the note but of a shard that is published already."""
    _remove(task.draft, *([] if os.path.exists(task.place) else [task.note_path]))


def _remove(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
