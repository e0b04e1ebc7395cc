"""What pycocotools, TensorFlow and Pillow read of the objects of a damaged input: ours have to be the same.

Each reading gives whether there was something to compare.
"""

import hashlib
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image
from pycocotools.coco import COCO

from pipelines import check
from tests.fuzz.counted import boxes, examples, names_of, values
from tfrecog.data import info

SIDES = ("ymin", "xmin", "ymax", "xmax")
_FAR = 0.02  # pixels


class Seen(NamedTuple):
    """An object in a record."""

    number: int  # its id
    name: str  # of its class
    box: list[float]  # y1, x1, y2, x2 in pixels
    crowd: int
    mask: np.ndarray | None  # [H, W]; None where the records have no masks
    points: np.ndarray | None  # [J, 3]: x, y, visibility; None where they have no keypoints


def _seen(record: tf.train.Example) -> Iterator[Seen]:
    height, width = (values(record, f"image/{side}")[0] for side in ("height", "width"))
    columns = [values(record, f"image/object/bbox/{side}") for side in SIDES]
    runs, counts = values(record, "image/object/mask/runs"), iter(values(record, "image/object/mask/counts"))
    ids, names, crowd = (values(record, f"image/object/{key}") for key in ("id", "class/text", "is_crowd"))
    points = [values(record, f"image/object/keypoint/{key}") for key in ("x", "y", "visibility")]
    joints = len(points[0]) // max(len(ids), 1)
    points = np.array(points, float).T.reshape(len(ids), joints, 3) * (width, height, 1)
    for place, sides in enumerate(zip(*columns, strict=True)):
        own = [next(counts) for _ in range(runs[place])] if runs else []
        mask = np.repeat(np.arange(len(own)) % 2, own).reshape(width, height).T if runs else None
        box = [side * size for side, size in zip(sides, (height, width) * 2, strict=True)]
        yield Seen(ids[place], names[place].decode(), box, crowd[place], mask, points[place] if joints else None)


def masks_of_pycocotools(path: Path, out: Path) -> None:
    """Masks of COCO JSON, pixel by pixel, of the images whose size the file states."""
    theirs = COCO(str(path))
    for record in examples(out):
        for one in _seen(record):
            if one.mask is not None and one.number in theirs.anns:
                assert _is_mask(theirs, theirs.anns[one.number], one.mask), f"another mask of annotation {one.number}"


def _is_mask(theirs: COCO, annotation: dict, ours: np.ndarray) -> bool:
    """Whether pycocotools has the mask too, or none that is to be compared."""
    segmentation = annotation.get("segmentation")
    if not (segmentation["counts"] if isinstance(segmentation, dict) else segmentation):  # It has no mask.
        return True
    if isinstance(segmentation, list) and any(len(one) % 2 for one in segmentation if isinstance(one, list)):
        return True  # pycocotools leaves out the last number, we the polygon, and report it.
    image = theirs.imgs[annotation["image_id"]]
    if (image["height"], image["width"]) != ours.shape:  # With a width of 0 pycocotools does not end.
        return True
    mask = theirs.annToMask(annotation)
    return mask.shape != ours.shape or np.array_equal(mask, ours)


def of_both_files(folder: Path, out: Path) -> bool:
    """Objects of two COCO JSONs: one of a record is in one of them, with its class, box and mask.

    Those of an image of which the report says nothing are all there, each with what its file says of it.
    """
    stated: dict[str, list[tuple[COCO, dict, str]]] = defaultdict(list)
    for name in ("coco.json", "whole.json"):
        theirs = COCO(str(folder / name))
        for one in theirs.dataset.get("annotations") or ():
            image, category = theirs.imgs[one["image_id"]], theirs.cats[one["category_id"]]
            stated[image["file_name"]].append((theirs, one, category["name"]))
    path = out / "train.report.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    named = {name for line in lines for name in names_of(line["file"], line["image_id"])}
    for record in examples(out):
        name, seen = values(record, "image/filename")[0].decode(), list(_seen(record))
        size = [values(record, f"image/{side}")[0] for side in ("height", "width")]
        alike = [[one for one in stated[name] if _is_alike(one, ours, size)] for ours in seen]
        for ours, those in zip(seen, alike, strict=True):
            assert those, f"{name} has a {ours.name} at {ours.box}, which no file has"
            if ours.mask is not None:
                same = any(_is_mask(theirs, one, ours.mask) for theirs, one, _ in those)
                assert same, f"{name}: another mask of the {ours.name} at {ours.box}"
        ids = {str(one["image_id"]) for _, one, _ in stated[name]}
        if not names_of(name, *ids) & named:
            lost = [one for _, one, _ in stated[name]]
            for theirs, one, kind in stated[name]:
                those = [ours for ours in seen if _is_alike((theirs, one, kind), ours, size)]
                those = [
                    ours for ours in those if ours.crowd == int(one.get("iscrowd") or 0) and _has_points(one, ours)
                ]
                if any(ours.mask is None or _is_mask(theirs, one, ours.mask) for ours in those):
                    lost.remove(one)
            assert not lost, f"{name} lacks {lost[0]}"
    return bool(stated)


def _is_alike(stated: tuple[COCO, dict, str], ours: Seen, size: list[int]) -> bool:
    """Whether an annotation has the class and the box of an object, within an image of a size (height, width)."""
    _, annotation, name = stated
    x, y, width, height = map(float, annotation["bbox"])
    sides = (y, x, y + height, x + width)
    inside = [min(max(side, 0), most) for side, most in zip(sides, (*size, *size), strict=True)]
    return name == ours.name and all(abs(a - b) < _FAR for a, b in zip(inside, ours.box, strict=True))


def _has_points(annotation: dict, ours: Seen) -> bool:
    """Whether an object has the keypoints of an annotation, if that has some."""
    stated = np.array(annotation.get("keypoints") or (), float).reshape(-1, 3)
    if ours.points is None or not len(stated):
        return True
    stated[stated[:, 2] == 0] = 0
    return stated.shape == ours.points.shape and bool(np.all(abs(stated - ours.points) < _FAR))


def checked(folder: Path, out: Path) -> bool:
    """What `check` counts in records is there, and it names each record in which the others find something wrong."""
    facts, stated = check.check(str(folder), "train", jobs=1), info.load(folder)
    paths = [str(folder / name) for name in stated.splits["train"].shards]
    try:
        records = [one.numpy() for one in tf.data.TFRecordDataset(paths)]
        read = [tf.train.Example.FromString(record) for record in records]
    except (tf.errors.OpError, DecodeError) as error:
        assert facts.damage, f"it finds no damage, and TensorFlow does: {error}"
        return True
    for number, record in enumerate(read):
        kind, wrong = _wrong(record, stated.names)
        name = "".join(text.decode(errors="backslashreplace") for text in values(record, "image/filename"))
        told = any(f"record {number} (byte" in line for line in facts.damage)
        told |= any(one.file == name and one.kind.startswith(kind) for one in facts.suspicious)
        assert told or not wrong, f"it says nothing of record {number}: {wrong}"
    if facts.damage:
        return True
    crowd = [_crowd(record) for record in read]
    labels = [_labels(record, stated.names) for record in read]
    assert facts.images == stated.splits["train"].images == len(read)
    assert facts.instances + facts.crowd == boxes(read) and facts.crowd == sum(map(sum, crowd))
    classes = Counter(
        one for those in zip(labels, crowd, strict=True) for one, many in zip(*those, strict=True) if not many
    )
    assert facts.classes == classes, (facts.classes, classes)
    for side, counted in (("height", facts.heights), ("width", facts.widths)):
        assert counted == Counter(values(record, f"image/{side}")[0] for record in read)
    assert facts.masks == sum(len(values(record, "image/object/mask/runs")) for record in read)
    digests = [hashlib.sha256(values(record, "image/encoded")[0]).digest()[:16] for record in read]
    assert [digest for digest, *_ in facts.pictures] == digests
    return True


def _crowd(record: tf.train.Example) -> list[int]:
    """Whether each object is a crowd; without the column none is."""
    return values(record, "image/object/is_crowd") or [0] * boxes([record])


def _labels(record: tf.train.Example, names: tuple[str, ...]) -> list[int]:
    """The label of each object; of a record without labels by the names of the classes, where 0 is of no class."""
    texts = [text.decode() for text in values(record, "image/object/class/text")]
    named = [1 + names.index(text) if text in names else 0 for text in texts]
    return values(record, "image/object/class/label") or named


def _wrong(record: tf.train.Example, names: tuple[str, ...]) -> tuple[str, str]:
    """What is wrong with a record for whoever reads it without ours, and of what it is; "", "" if nothing is."""
    try:
        with Image.open(io.BytesIO(values(record, "image/encoded")[0]), formats=("JPEG", "PNG")) as picture:
            picture.load()
            sides = picture.height, picture.width
    except Exception as error:  # Pillow has many for what is no image.
        return "image", f"its image cannot be decoded: {error}"
    size = tuple(one for side in ("height", "width") for one in values(record, f"image/{side}"))
    if size != sides:
        return "image", f"its image has {sides}, and it says {size}"
    columns = [values(record, f"image/object/bbox/{side}") for side in SIDES]
    labels = _labels(record, names)
    if len({*map(len, (*columns, labels))}) > 1:
        return "columns", "they are of different lengths"
    if any(not 0 < label <= len(names) for label in labels):
        return "label", f"its labels are {labels}"
    for y1, x1, y2, x2 in zip(*columns, strict=True):
        inside = min(y1, x1) > -0.01 and max(y2, x2) < 1.01
        if not all(map(math.isfinite, (y1, x1, y2, x2))) or y2 <= y1 or x2 <= x1 or not inside:
            return "box", f"it has the box {(y1, x1, y2, x2)}"
    return "", ""


def adopted(folder: Path, out: Path) -> bool:
    """TensorFlow finds as many boxes in the records as dataset.json says."""
    made, count = info.load(out).splits["train"], boxes(examples(folder))
    assert made.instances + made.crowd == count, f"{made} of {count} boxes"
    return True


def extracted(folder: Path, out: Path) -> bool:
    """TensorFlow finds as many boxes in the records as COCO's JSON has."""
    written, count = json.loads((out / "instances.json").read_text()), boxes(examples(folder))
    assert len(written["annotations"]) == count, f"{len(written['annotations'])} of {count} boxes"
    return True
