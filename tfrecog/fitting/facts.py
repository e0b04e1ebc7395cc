"""What a split holds, as far as the choice of a training rests on it.

Facts are of at most 1,000 records, drawn with a fixed seed, so that two commands choose alike.
"""

import dataclasses
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data import classification, frames, records
from tfrecog.data.split import Split
from tfrecog.fitting.names import words
from tfrecog.ops import rle

LOOKED = 1000  # records
PICTURES = 60  # of which the pixels are looked at
NO_BOX = 0.97  # a mask that fills less than this of its box is no rectangle
WHOLE = 0.6  # an object that fills more than this of a picture is the picture
_GREY = 8.0  # mean distance of the colours from their grey, of 255, up to which a picture has few colours
_MAKE, _MODEL = 0x010F, 0x0110  # of the camera, in EXIF data
_SIDES = {"left", "right", "l", "r"}

Three = tuple[float, float, float]  # the 10th, 50th and 90th percentile


@dataclass(frozen=True)
class ClassFacts:
    """Of one class: what was seen of it among the records looked at."""

    name: str
    pictures: int
    objects: int = 0
    side: Three = (0.0, 0.0, 0.0)  # root of the area of an object's box, as a share of the picture's short side
    ratio: Three = (1.0, 1.0, 1.0)  # height / width of an object's box
    pixels: float = 0.0  # share of a label map's pixels that count


@dataclass(frozen=True)
class Facts:
    """Of the split that is trained on."""

    folder: str
    split: str
    task: str
    images: int  # that are trained on
    looked: int  # of which this much is known
    short: Three  # pixels of the short side
    ratio: Three  # long side / short side
    classes: tuple[ClassFacts, ...]
    objects: int = 0  # that are no crowds, of all images
    most_objects: int = 0  # in an image
    usual_objects: Three = (0.0, 0.0, 0.0)  # in an image
    empty: int = 0  # images without objects
    masks: float = 0.0  # share of the objects that have a mask which is no rectangle
    posed: float = 0.0  # share of the objects that have a keypoint
    visible: float = 0.0  # keypoints of such an object, the mean
    whole: float = 0.0  # share of the images that one object fills
    keypoints: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()  # keypoints that have a side in their names, and no partner to change places with
    pairs: int = 0  # keypoints that change places
    sigmas: bool = False  # for OKS are known
    wide: float = 1.0  # share of the pictures that are not higher than wide
    grey: float = 0.0  # share of the pictures with few colours
    camera: float = 0.0  # share of the pictures that say what camera took them
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)), repr=False, compare=False)
    # [m, 3]: label, height, width of boxes as shares of the short side; not in the plan

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes."""
        return tuple(one.name for one in self.classes)

    def plain(self) -> dict[str, Any]:
        """For JSON: all but the single boxes."""
        kept = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "boxes"}
        return kept | {"classes": [dataclasses.asdict(one) for one in self.classes]}


def of_records(folder: str, split: str, task: str = "") -> Facts:
    """The facts of a split; UserError where it holds nothing to learn, or what for several tasks and none is given."""
    part = Split.open(folder, split)
    part.check_not_empty()
    task = task or _task(part)
    index = part.index
    used = index.instances > 0 if task == "detection" else np.ones(len(index), bool)
    rows = np.flatnonzero(used)
    if not len(rows):
        raise UserError(f"{folder}: no image of the split {split!r} has an object to learn; annotate some")
    drawn = np.sort(np.random.default_rng(0).permutation(rows)[:LOOKED])
    seen = _Seen(len(part.info.names))
    for place, row in enumerate(drawn):
        try:
            seen.add(part.truth(row), task, place % max(1, len(drawn) // PICTURES) == 0)
        except (UserError, frames.CorruptRecord):
            continue  # pipelines.check names it
    counts = index.instances[rows]
    labels = classification.labels_of(part).tolist() if task == "classification" else []
    sides = np.sort(part.sizes[rows], axis=1)
    alone, pairs = _alone(part.info)
    return Facts(
        folder=str(folder),
        split=split,
        task=task,
        images=len(rows),
        looked=len(drawn),
        short=three(sides[:, 0]),
        ratio=three(sides[:, 1] / sides[:, 0]),
        wide=float(np.mean(part.sizes[rows, 1] >= part.sizes[rows, 0])) if len(rows) else 1.0,
        classes=seen.classes(part.info.names, part.info.splits[split].pixels, labels),
        objects=int(counts.sum()),
        most_objects=int(counts.max(initial=0)),
        usual_objects=three(counts),
        empty=int(len(index) - len(rows)),
        keypoints=part.info.keypoints,
        alone=alone,
        pairs=pairs,
        sigmas=bool(part.info.keypoint_sigmas),
        **seen.shares(),
    )


def three(values: Sequence[float] | np.ndarray) -> Three:
    """The 10th, 50th and 90th percentile; zeros of nothing."""
    if not len(values):
        return 0.0, 0.0, 0.0
    low, middle, high = np.percentile(np.asarray(values, np.float64), [10, 50, 90])
    return round(float(low), 4), round(float(middle), 4), round(float(high), 4)


def _task(part: Split) -> str:
    """What the records are for; UserError if that is more than one thing."""
    held = {
        "detection": part.index.instances.any(),
        "classification": part.info.image_labels,
        "segmentation": part.info.label_maps,
    }
    tasks = [name for name, there in held.items() if there]
    if len(tasks) > 1:
        flags = " or ".join(f"--task={name}" for name in tasks)
        raise UserError(f"{part.folder} holds annotations for several tasks: say which is meant with {flags}")
    if not tasks:
        raise UserError(f"{part.folder}: the split {part.name!r} has no annotations to learn from; annotate some")
    return tasks[0]


def _alone(info: Any) -> tuple[tuple[str, ...], int]:
    """Keypoints whose names have a side and that have no partner in a mirror, and how many have one."""
    paired = {position for pair in info.flip_pairs for position in pair}
    names = [name for place, name in enumerate(info.keypoints) if place not in paired and words(name) & _SIDES]
    return tuple(names), len(paired)


def _is_shaped(runs: np.ndarray, height: int) -> bool:
    """Whether a mask is no rectangle, as some tools write boxes."""
    top, left, bottom, right = rle.box(runs, height)
    return 0 < rle.area(runs) < NO_BOX * (bottom - top) * (right - left)


class _Seen:
    """What the records that were looked at hold."""

    def __init__(self, classes: int):
        self.boxes: list[np.ndarray] = []  # [n, 3] of an image: label, height, width
        self.pictures, self.pixels = Counter(), np.zeros(classes + 1)
        self.objects = self.shaped = self.posed = self.visible = self.whole = self.images = 0
        self.grey: list[bool] = []
        self.camera: list[bool] = []

    def add(self, record: records.Record, task: str, decoded: bool) -> None:
        self.images += 1
        if task == "detection":
            self._add_objects(record)
        elif task == "segmentation" and record.label_map is not None and decoded:
            counts = np.bincount(records.from_label_map(record.label_map).ravel(), minlength=len(self.pixels))
            self.pixels += counts[: len(self.pixels)]
            self.pictures.update(np.flatnonzero(counts).tolist())
        if decoded:
            self._look(record.encoded)

    def _add_objects(self, record):
        height, width = record.height, record.width
        sides = record.boxes[:, 2:] - record.boxes[:, :2]
        good = ~record.crowd & (sides > 0).all(axis=1)
        sides, labels = sides[good].astype(np.float64), record.labels[good]
        self.boxes.append(np.column_stack([labels, sides / min(height, width)]))
        self.pictures.update(set(labels.tolist()))
        self.objects += len(labels)
        areas = sides.prod(axis=1)
        self.whole += int(len(labels) == 1 and areas[0] > WHOLE * height * width)
        if record.masks:
            self.shaped += sum(_is_shaped(runs, height) for runs, one in zip(record.masks, good, strict=True) if one)
        if record.keypoints is not None and len(labels):
            shown = (record.keypoints[good, :, 2] > 0).sum(axis=1)
            self.posed, self.visible = self.posed + int((shown > 0).sum()), self.visible + int(shown.sum())

    def _look(self, encoded):
        try:
            with Image.open(io.BytesIO(encoded)) as picture:
                exif = picture.getexif()
                self.camera.append(bool(exif.get(_MAKE) or exif.get(_MODEL)))
                picture.draft("RGB", (64, 64))
                small = np.asarray(picture.convert("RGB").resize((32, 32)), np.float64)
        except Exception:  # Files of strangers make Pillow raise many kinds; the training skips them and says so.
            return
        self.grey.append(float(np.abs(small - small.mean(axis=-1, keepdims=True)).mean()) < _GREY)

    def classes(self, names, pixels, labels) -> tuple[ClassFacts, ...]:
        boxes = np.concatenate(self.boxes) if self.boxes else np.zeros((0, 3))
        counts = np.array(pixels[1:] if len(pixels) == len(names) + 1 else self.pixels[1:], np.float64)
        shares = counts / max(counts.sum(), 1)
        images = Counter(labels) if labels else self.pictures
        found = []
        for label, name in enumerate(names, 1):
            height, width = boxes[boxes[:, 0] == label, 1:].T
            of_class = {"objects": len(height), "side": three(np.sqrt(height * width))}
            of_class["ratio"] = three(height / width) if len(height) else (1.0, 1.0, 1.0)
            found.append(ClassFacts(name, images[label], pixels=float(shares[label - 1]), **of_class))
        return tuple(found)

    def shares(self) -> dict[str, Any]:
        objects = max(self.objects, 1)
        return {
            "masks": self.shaped / objects,
            "posed": self.posed / objects,
            "visible": self.visible / max(self.posed, 1),
            "whole": self.whole / max(self.images, 1),
            "grey": float(np.mean(self.grey)) if self.grey else 0.0,
            "camera": float(np.mean(self.camera)) if self.camera else 0.0,
            "boxes": np.concatenate(self.boxes) if self.boxes else np.zeros((0, 3)),
        }
