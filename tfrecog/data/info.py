"""dataset.json: what the records of a folder hold, apart from the images."""

import dataclasses
import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tfrecog.cli import files, json_values, urls
from tfrecog.cli.errors import Status, UserError
from tfrecog.cli.facts import NonNegative, Positive, Range
from tfrecog.data import depth
from tfrecog.data.reading import Reading

FILE = "dataset.json"
Count = Annotated[int, NonNegative()]
_SAME = "The splits of a folder share them: give the same here, or use another folder."


class UnknownLabel(UserError):
    """A record has a label that no category has."""

    status = Status.FAILED


@dataclass(frozen=True)
class Category:
    """A class; its label is 1 + its position in `DatasetInfo.categories`."""

    name: str
    id: int  # in the source, such as COCO's 1..90
    record_label: int | None = None  # class/label in the records, where it is not the label (foreign records)
    colour: Annotated[tuple[int, int, int], Range(0, 255)] | None = None  # RGB of the source's label maps
    key: str = ""  # what the source calls it, where that is no name for people, such as n01440764 of ImageNet


@dataclass(frozen=True)
class SplitInfo:
    """Counts and TFRecord files (names in the folder) of a part of the data."""

    images: Count
    instances: Count  # without crowd
    crowd: Count
    shards: tuple[str, ...]
    pixels: tuple[Count, ...] = ()  # [K + 1] of label maps by label; the first are those that do not count


@dataclass(frozen=True)
class DatasetInfo:
    """Categories and splits of a dataset; joints by name, and by position in pairs."""

    categories: tuple[Category, ...]
    splits: dict[str, SplitInfo]
    keypoints: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[Count, Count], ...] = ()  # left and right joints, which change places in a mirror
    skeleton: tuple[tuple[Count, Count], ...] = ()
    # Of each joint, for OKS: deviation / sqrt(area); () in files before it.
    keypoint_sigmas: tuple[Annotated[float, Positive()], ...] = ()
    masks: bool = False
    image_labels: bool = False  # each image as a whole has a class
    label_maps: bool = False  # each pixel has a class
    difficult: bool = False  # objects that are too hard to ask for are marked, as Pascal VOC does
    pixel_ranges: dict[str, depth.Range] = dataclasses.field(default_factory=dict)  # see `depth`
    orientation: Literal["upright", "file"] = "upright"  # of pictures with EXIF data: turned by them, or not
    proposals: str = ""  # where the proposals come from, such as "selective_search fast"; "": there are none

    @property
    def num_classes(self):
        """K, without the background."""
        return len(self.categories)

    @property
    def names(self):
        """Class names [K]; that of label l is names[l - 1]."""
        return tuple(category.name for category in self.categories)

    @cached_property
    def label_of_name(self):
        """Label 1..K by class name."""
        return {name: label for label, name in enumerate(self.names, 1)}

    @cached_property
    def label_of_id(self):
        """Label 1..K by the source's category id."""
        return {category.id: label for label, category in enumerate(self.categories, 1)}

    @cached_property
    def label_of_record_label(self):
        """Label 1..K by the class/label of the records."""
        return {
            label if category.record_label is None else category.record_label: label
            for label, category in enumerate(self.categories, 1)
        }

    @property
    def reading(self):
        """How the files of pictures are read for a model of this data set."""
        return Reading(self.pixel_ranges, upright=self.orientation == "upright")

    def other_tasks(self, task):
        """A sentence that says what the records hold for tasks other than this one; empty if nothing."""
        held = {
            "classification": self.image_labels and "a class for each image",
            "detection": any(split.instances for split in self.splits.values()) and "boxes",
            "segmentation": self.label_maps and "label maps",
        }
        held = {f"--task={name}": what for name, what in held.items() if what and name != task}
        return f"The records have {' and '.join(held.values())}: {' or '.join(held)} is for them." if held else ""

    def known_labels(self, numbers, names):
        """Labels [n] int64 in 1..K of class/labels [n], and where these are 0 of class names [n]; 0 of unknown ones."""
        of_number, of_name = self.label_of_record_label, self.label_of_name
        found = [
            of_number.get(number) or (0 if number else of_name.get(name, 0))
            for number, name in zip(np.asarray(numbers).tolist(), names, strict=True)
        ]
        return np.array(found, np.int64)

    def relabel(self, record):
        """The Record with labels 1..K in place of its own; by class name where it has no labels (0)."""
        labels = self.known_labels(record.labels, record.names)
        for i in np.flatnonzero(labels == 0):
            raise UnknownLabel(
                f"record of {record.filename!r}: object {i} has label {record.labels[i]} ({record.names[i]!r}), "
                f"which no category of {FILE} has; add it there (record_label), or build the records again"
            )
        return dataclasses.replace(record, labels=labels)


def load(folder):
    """DatasetInfo of a folder of records; FileNotFoundError or ValueError say what to do."""
    path = os.path.join(folder, FILE)
    if not urls.is_file(path):
        raise FileNotFoundError(
            f"{path} is missing; commands that build records write it: `python -m pipelines.any` for images and "
            "annotations, `python -m pipelines.adopt` for TFRecords made elsewhere; `python -m pipelines` lists all. "
            "From Python, tfrecog.write_records does."
        )
    info = json_values.load(path, DatasetInfo, "correct it, or build the records again")
    if problem := _problem(info):
        raise UserError(f"{path} is not a valid {FILE}: {problem}; correct it, or build the records again")
    return info


def save(folder, info):
    """Writes dataset.json, whole or not at all; splits that it has already stay, unless `info` has them too.

    One process at a time does, so that of two that add a split both are there.
    """
    with files.alone(Path(folder) / f".{FILE}.lock"):
        merged = _merged(info, check_same(folder, info))
        with files.write(Path(folder) / FILE) as file:
            json.dump(_to_json(merged), file, indent=1)
            file.write("\n")


def _merged(info, old):
    """`info` with what it has not of the `old` one, which may be None."""
    if old is None:
        return info
    return dataclasses.replace(
        info,
        categories=tuple(map(_with_colour, info.categories, old.categories)),
        splits=old.splits | info.splits,
        difficult=old.difficult or info.difficult,
        proposals=info.proposals if info.proposals == old.proposals else "",
        keypoint_sigmas=info.keypoint_sigmas or old.keypoint_sigmas,
        pixel_ranges=old.pixel_ranges | info.pixel_ranges,
        **{name: getattr(old, name) and getattr(info, name) for name in ("masks", "image_labels", "label_maps")},
    )


def check_same(folder, info):
    """The DatasetInfo there of splits that `info` has not, None without; ValueError if their categories are others."""
    path = Path(folder) / FILE
    if problem := _problem(info):
        raise UserError(f"{path} cannot be written: {problem}")
    old = load(folder) if path.exists() else None
    if old is None or not set(old.splits) - set(info.splits):
        return None
    for what in ("categories", "keypoints"):
        before, now = getattr(old, what), getattr(info, what)
        if what == "categories":  # Classes are the same in whatever colours they are drawn.
            before, now = ([dataclasses.replace(one, colour=None) for one in those] for those in (before, now))
        if before != now:
            both = zip(((before, now), (now, before)), ("there", "here"), strict=True)
            only = [f"only {where} {_words([one for one in a if one not in b])}" for (a, b), where in both]
            raise UserError(
                f"{path} has splits {sorted(old.splits)} with other {what}: {' and '.join(only)} (or in another order)."
                f" The splits of a folder share their {what}; use another folder, or make the sources agree."
            )
    changed = dict(old.pixel_ranges.items() - (old.pixel_ranges | info.pixel_ranges).items())
    of_both = {
        "keypoint_sigmas": (list(old.keypoint_sigmas), list(info.keypoint_sigmas)),  # none in older files
        "pixel_ranges": (changed, {kind: info.pixel_ranges[kind] for kind in changed}),
        "orientation": (old.orientation, info.orientation),
    }
    for name, (before, now) in of_both.items():
        if before and now and before != now:
            raise UserError(f"{path} has splits {sorted(old.splits)} with the {name} {before}, not {now}. {_SAME}")
    return old


def _words(parts):
    """The first of some categories or keypoints, for people."""
    names = [one if isinstance(one, str) else f"{one.name} (id {one.id}{_of_record(one)})" for one in parts[:5]]
    return ", ".join(names) + ", ..." * (len(parts) > 5) if names else "none"


def _of_record(category):
    return "" if category.record_label is None else f", label {category.record_label} in the records"


def _with_colour(category, other):
    """The category; with the colour of another one if it has none."""
    return category if category.colour else dataclasses.replace(category, colour=other.colour)


def shards_of(folder, split):
    """Names of the shards of a split; none where the folder has no such split, or no dataset.json yet."""
    splits = load(folder).splits if (Path(folder) / FILE).exists() else {}
    return splits[split].shards if split in splits else ()


def _to_json(info):
    tree = dataclasses.asdict(info)
    for part in [*tree["categories"], *tree["splits"].values()]:
        for name in ("record_label", "key", "colour", "pixels"):
            if part.get(name) in (None, "", ()):
                part.pop(name, None)
    return tree


def _problem(info):
    """What of a DatasetInfo does not fit together, or names files elsewhere; empty if all does."""
    joints = len(info.keypoints)
    if info.keypoint_sigmas and len(info.keypoint_sigmas) != joints:
        return f"it has {joints} keypoints and {len(info.keypoint_sigmas)} keypoint_sigmas"
    if beyond := [pair for pair in (*info.flip_pairs, *info.skeleton) if max(pair) >= joints]:
        return f"flip_pairs or skeleton have {list(beyond[0])}, of {joints} keypoints counted from 0"
    if broken := [one.name for one in info.categories if "".join(one.name.splitlines()) != one.name]:
        return (
            f"the class {broken[0]!r} has a line break, and lists of classes have a line for each; rename it (--rename)"
        )
    if bad := [name for name in info.splits if not re.fullmatch(r"[^./\\\0][^/\\\0]*", name)]:
        return f"a split is named {bad[0]!r}, with which files would lie elsewhere; give it another name"
    return depth.problem(info.pixel_ranges)
