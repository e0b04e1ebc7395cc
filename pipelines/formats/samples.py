"""Pictures and objects of a program, from any iterable: `tfrecog.write_records`."""

import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.data import info, records
from tfrecog.ops import rle

from ..build import engines, image_records, label_map_records, shards
from ..build.problems import Collect, Problem, Reporter
from ..classes import keypoint_sides, keypoint_sigmas
from . import drawn, exif, image_file
from .tar_files import File, on_disk

_OF_OBJECTS = ("boxes", "labels", "masks", "keypoints", "crowd")
_KEYS = ("picture", "name", "label", "label_map", *_OF_OBJECTS)
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")  # of Pillow, that a PNG for training can have
_MOST_CLASSES = 255  # of a label map
_SOURCE = "samples"  # what problems name as their file


@dataclass(frozen=True, slots=True)
class Item:
    """A sample whose picture, and label map, are files or parts of one."""

    picture: drawn.Picture
    content: str  # which bytes the picture is, and the label map
    label: int = 0  # of the whole picture, 1..K
    label_map: File | None = None

    @property
    def name(self) -> str:
        """That of the record."""
        return self.picture.name

    def fingerprint(self) -> str:
        """Without the place of the bytes, which is another one in each process."""
        return repr((self.name, self.content, self.picture.shapes, self.picture.first_id, self.label))


@dataclass(frozen=True)
class Maker:
    """Makes records of samples; goes to the worker processes."""

    names: tuple[str, ...]
    masks: bool
    keypoints: tuple[str, ...]
    orientation: exif.Rule

    def __call__(self, item: Item, found: list[Problem]) -> records.Record:
        picture, report = item.picture, Reporter(found, item.name, item.name)
        shown = {"rule": self.orientation, "reach": drawn.reach(picture), "annotations": "sample"}
        image = image_file.read(picture.file, report, picture.size, **shown)
        if item.label:
            return image_records.record(image, item.name, item.name, item.label, self.names[item.label - 1])
        if item.label_map:
            labels = records.from_label_map(item.label_map.read())
            return label_map_records.record(image, labels, {}, item.name, report)
        of = {name: label for label, name in enumerate(self.names, 1)}
        objects = drawn.instances(picture, of, image.size, report, masks=self.masks, keypoints=self.keypoints)
        has = {"masks": self.masks, "joints": len(self.keypoints)}
        return image_records.with_objects(image, item.name, item.name, self.names, objects, **has)


def write(
    samples: Iterable[Mapping[str, Any]],
    classes: Sequence[str],
    out: str | Path,
    split: str,
    *,
    keypoints: Sequence[str] = (),
    flip_pairs: Sequence[str] = (),
    skeleton: Sequence[tuple[int, int]] = (),
    orientation: exif.Rule = "auto",
    jobs: int = 1,
    strict: bool = False,
    max_left_out: float = shards.MAX_LEFT_OUT,
) -> shards.Built:
    """See `tfrecog.write_records`."""
    names = tuple(map(str, classes))
    if not names or len(set(names)) < len(names):
        raise UserError(f"classes: give the name of each class, each once; these are {', '.join(names) or 'none'}")
    if orientation not in get_args(exif.Rule) or jobs < 0:
        raise UserError(
            f"orientation={orientation!r}, jobs={jobs}: give auto, file or upright, and 0 (all cores) or more"
        )
    if not 0 <= max_left_out <= 1:
        raise UserError(f"max_left_out={max_left_out!r}: give a share from 0 to 1")
    files.check(out, f"out={out}")
    Path(out).mkdir(parents=True, exist_ok=True)
    with _spool(Path(out) / f".{split}.samples") as spool:
        items, kinds, masks = [], set(), False
        for number, sample in enumerate(samples):
            with _named(number):
                kind, item = _item(sample, number, names, keypoints, spool)
                kinds.add(kind)
                masks |= sample.get("masks") is not None
                if len(kinds) > 1:
                    raise UserError(f"it has {kind}, and others have {', '.join(kinds - {kind})}: give all the same")
            items.append(item)
        if not items:
            raise UserError("samples: there are none, so there is nothing to write")
        kind = next(iter(kinds))
        rule = "upright" if kind == "label" and orientation == "auto" else orientation
        categories = tuple(info.Category(name, label) for label, name in enumerate(names, 1))
        facts = _facts(kind, categories, masks, tuple(keypoints), flip_pairs, skeleton)
        facts = dataclasses.replace(facts, orientation="file" if rule == "file" else "upright")
        source = shards.Source(
            _numbered(items),
            Collect(Maker(names, masks, tuple(keypoints), rule)),
            facts,
            sum(item.picture.file.size for item in items),
            objects=sum(len(item.picture.shapes) for item in items),
            options=repr((names, masks, keypoints, orientation)),
        )
        how = {"strict": strict, "max_left_out": max_left_out}
        return shards.build(source, str(out), split, engine=engines.Processes(jobs), **how)


def _facts(kind, categories, masks, keypoints, flip_pairs, skeleton) -> info.DatasetInfo:
    if kind == "label":
        return image_records.facts(categories)
    if kind == "label_map":
        return label_map_records.facts(categories)
    return info.DatasetInfo(
        categories,
        splits={},
        masks=masks,
        keypoints=keypoints,
        flip_pairs=keypoint_sides.chosen(tuple(flip_pairs), keypoints, _SOURCE),
        skeleton=tuple((int(a), int(b)) for a, b in skeleton),
        keypoint_sigmas=keypoint_sigmas.chosen((), keypoints, _SOURCE),
    )


def _numbered(items: list[Item]) -> list[Item]:
    """Items whose objects have numbers of their own in the whole split."""
    made, first = [], 1
    for item in items:
        made.append(dataclasses.replace(item, picture=dataclasses.replace(item.picture, first_id=first)))
        first += len(item.picture.shapes)
    return made


@contextlib.contextmanager
def _spool(path: Path) -> Iterator[Any]:
    """A file for the pictures that are in memory; it goes when the records are written, and one writes at a time."""
    with files.alone(path), open(path, "r+b") as file:
        file.truncate()
        yield file


@contextlib.contextmanager
def _named(number: int) -> Iterator[None]:
    """Has errors say of which sample they are."""
    try:
        yield
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise UserError(f"sample {number}: {error}") from error


def _item(sample, number, names, keypoints, spool) -> tuple[str, Item]:
    """What a sample has, and the Item of it."""
    unknown = set(sample) - set(_KEYS)
    if unknown or "picture" not in sample:
        what = f"it has {', '.join(map(str, sorted(unknown)))}" if unknown else "it has no picture"
        raise UserError(f"{what}; the keys of a sample are {', '.join(_KEYS)}")
    picture = sample["picture"]
    default = os.path.basename(picture) if isinstance(picture, str | Path) else f"{number:08d}.png"
    name = str(sample.get("name") or default)
    if isinstance(picture, str | Path):
        file = on_disk(name, os.path.abspath(picture))
        content = repr(file)
    else:
        file, content = _kept(_bytes(picture), name, spool)
    kinds = [kind for kind in ("label", "label_map") if sample.get(kind) is not None]
    if (kinds and any(sample.get(key) is not None for key in _OF_OBJECTS)) or len(kinds) > 1:
        raise UserError("it has more than one of a label, a label_map and boxes: records are of one of them")
    shapes = tuple(_shapes(sample, names, keypoints))
    size = next((shape.run_lengths[1] for shape in shapes if shape.run_lengths), None)  # It tells how a photo lies.
    if kinds == ["label_map"]:
        size = np.shape(sample["label_map"])[:2]
    drawing = drawn.Picture(name, file, _SOURCE, shapes, size)
    if kinds == ["label"]:
        return "label", Item(drawing, content, _label(sample["label"], names))
    if kinds == ["label_map"]:
        kept, digest = _kept(records.to_label_map(_label_map(sample["label_map"], names)), name, spool)
        return "label_map", Item(drawing, content + digest, label_map=kept)
    return "objects", Item(drawing, content)


def _kept(content: bytes, name: str, spool) -> tuple[File, str]:
    """Bytes as a part of the file of all of them, and their digest."""
    start = spool.tell()
    spool.write(content)
    spool.flush()
    return File(name, spool.name, start, len(content)), hashlib.sha256(content).hexdigest()


def _bytes(picture: Any) -> bytes:
    """The bytes of a picture in memory, as a file: those of a file as they are, pixels as PNG."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if not isinstance(picture, Image.Image):
        pixels = np.asarray(picture)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
            raise UserError(
                f"its picture is {pixels.dtype} {list(pixels.shape)}: give uint8 [H, W, 3], the order red, green, blue"
            )
        picture = Image.fromarray(pixels)
    if picture.mode not in _MODES:
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", exif=b"")  # The boxes are of the pixels as they stand.
    return file.getvalue()


def _label(label: Any, names: Sequence[str]) -> int:
    """The label 1..K of a class by its name or its label."""
    if isinstance(label, str) and label in names:
        return names.index(label) + 1
    if isinstance(label, int | np.integer) and not isinstance(label, bool) and 1 <= label <= len(names):
        return int(label)
    shown = f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}"
    raise UserError(f"{label!r} is no class: give one of {shown}, or its number from 1 to {len(names)}")


def _label_map(labels: Any, names: Sequence[str]) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size:
        raise UserError(f"its label_map is {labels.dtype} {list(labels.shape)}: give whole numbers [H, W]")
    if len(names) > _MOST_CLASSES:
        raise UserError(f"there are {len(names)} classes, and label maps have {_MOST_CLASSES} at most: merge some")
    if labels.min() < 0 or labels.max() > len(names):
        raise UserError(
            f"its label_map has {labels.min()} to {labels.max()}: give 1 to {len(names)}, and 0 for what does not count"
        )
    return labels.astype(np.uint8)


def _shapes(sample, names, keypoints) -> Iterator[drawn.Shape]:
    boxes = _numbers("boxes", () if sample.get("boxes") is None else sample["boxes"], 4)
    count = len(boxes)
    given = {key: sample[key] for key in _OF_OBJECTS[1:] if sample.get(key) is not None}
    if wrong := [f"{len(values)} {key}" for key, values in given.items() if len(values) != count]:
        raise UserError(f"it has {count} boxes and {', '.join(wrong)}")
    if count and "labels" not in given:
        raise UserError("it has boxes and no labels")
    if "keypoints" in given and not keypoints:
        raise UserError("it has keypoints: give their names, as in write_records(..., keypoints=['head', 'tail'])")
    for i, (top, left, bottom, right) in enumerate(boxes):
        points = ()
        if "keypoints" in given:
            own = _numbers("keypoints of an object", given["keypoints"][i], 3)
            if len(own) != len(keypoints):
                raise UserError(f"it has {len(own)} keypoints, and {len(keypoints)} are named")
            points = tuple(  # Like COCO's, in indices of pixels.
                (name, x - 0.5, y - 0.5, seen) if seen else (name, 0.0, 0.0, 0.0)
                for name, (y, x, seen) in zip(keypoints, own.tolist(), strict=True)
            )
        yield drawn.Shape(
            place=f"object {i}",
            class_name=names[_label(given["labels"][i], names) - 1],
            box=(float(left), float(top), float(right), float(bottom)),
            run_lengths=_run_lengths(given["masks"][i]) if "masks" in given else None,
            points=points,
            crowd=bool(given["crowd"][i]) if "crowd" in given else False,
        )


def _numbers(what: str, values: Any, columns: int) -> np.ndarray:
    """Numbers [n, columns]."""
    values = np.asarray(values, float)
    if not values.size:
        return np.zeros((0, columns))
    if values.ndim != 2 or values.shape[1] != columns:
        raise UserError(f"its {what} are {list(values.shape)}: give [n, {columns}]")
    return values


def _run_lengths(mask: Any) -> tuple[tuple[int, ...] | str, tuple[int, int]] | None:
    """COCO's counts and the size of a mask, an array [H, W] or run lengths; None of an object without."""
    if mask is None:
        return None
    if isinstance(mask, Mapping):
        counts, (height, width) = mask["counts"], mask["size"]
        counts = counts.decode() if isinstance(counts, bytes) else counts
        return (counts if isinstance(counts, str) else tuple(map(int, counts))), (int(height), int(width))
    mask = np.asarray(mask)
    if mask.ndim != 2 or (mask.dtype != bool and np.setdiff1d(mask, (0, 1)).size):
        what = f"{mask.dtype} {list(mask.shape)}"
        raise UserError(
            f"a mask of it is {what}: give bool [H, W], or COCO's run lengths; no polygons, no probabilities"
        )
    return rle.to_text(rle.encode(mask)).decode(), (mask.shape[0], mask.shape[1])
