"""Annotations of a record that are allowed but are probably mistakes."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tfrecog.data.records import Record
from tfrecog.ops import overlaps, rle

from ..build.problems import Problem, Reporter

TINY = 1.0  # pixels, the shorter side of a box
DUPLICATE_IOU = 0.95
FAR = 0.5  # of the longer side of the box; people's hands are often outside of boxes drawn around what is visible
_CORRECT = "Correct the annotation and build again."


def of_record(record: Record, joints: int, max_instances: int) -> list[Problem]:
    """Everything suspicious about the annotations of one image."""
    whole = Reporter([], record.filename, record.source_id)
    count = int(np.sum(~record.crowd))
    if count > max_instances:
        remedy = f"Training leaves the rest out: raise --data.max_instances above {max_instances}."
        whole("many instances", f"{count} instances", remedy)
    if record.keypoints is not None and len(record.labels) and record.keypoints.shape[1] != joints:
        whole("keypoints", f"{record.keypoints.shape[1]} keypoints an object, dataset.json has {joints}", _CORRECT)
    earlier = defaultdict(list)
    for i, j in _duplicates(record):
        earlier[j].append(i)
    for i, number in enumerate(record.ids.tolist()):
        known = {"annotation_id": number} if number >= 0 else {"prefix": f"object {i}: "}
        report = dataclasses.replace(whole, **known)
        for kind, what in [*_of_box(record, i), *_of_mask(record, i), *_of_keypoints(record, i)]:
            report(kind, what, _CORRECT)
        for other in earlier[i]:
            what = f"the same class and nearly the same box as annotation {record.ids[other]}"
            report("object twice", what, "Remove one of the two and build again.")
    return whole.found


def same_pictures(
    pictures: Iterable[tuple[bytes, str, int]],
    split: str,
    names: Sequence[str],
    seen: dict[bytes, tuple[str, str, int]],
) -> list[Problem]:
    """Images of a split, with their digests and labels, whose very bytes another image has; adds them to `seen`.

    Args:
        seen: split, file and label by digest, of other splits too.
    """
    found = []
    for digest, file, label in pictures:
        if digest not in seen:
            seen[digest] = (split, file, label)
            continue
        other_split, other, other_label = seen[digest]
        what = f"{other if other_split == split else f'{other_split}/{other}'} has the same bytes"
        kind = "same picture twice" if other_split == split else "same picture in two splits"
        if label and other_label and label != other_label:
            kind = "same picture in two classes"
            what += f" and is of {names[other_label - 1]!r}, not {names[label - 1]!r}"
        found.append(Problem(kind, file, what, "Remove one of the two and build again."))
    return found


def _of_box(record: Record, i: int) -> Iterator[tuple[str, str]]:
    y1, x1, y2, x2 = record.boxes[i].tolist()
    text = f"box (y1, x1, y2, x2) {y1:g}, {x1:g}, {y2:g}, {x2:g}"
    if not np.all(np.isfinite(record.boxes[i])):
        yield "box is not finite", text
    elif y2 <= y1 or x2 <= x1:
        yield "box without area", text
    elif y1 < -0.01 or x1 < -0.01 or y2 > record.height + 0.01 or x2 > record.width + 0.01:
        yield "box outside the image", f"{text} in an image {record.height} high and {record.width} wide"
    elif min(y2 - y1, x2 - x1) < TINY:
        yield "tiny box", text


def _of_mask(record: Record, i: int) -> Iterator[tuple[str, str]]:
    """Compares with the box and the area; a polygon's corners may be off the pixels by one or two."""
    if record.masks is None:
        return
    pixels = rle.area(record.masks[i])
    if not pixels:
        yield "empty mask", "its mask has no pixel"
        return
    tight, box = np.array(rle.box(record.masks[i], record.height), float), record.boxes[i].astype(float)
    sides = np.tile(box[2:] - box[:2], 2)
    if np.any(abs(tight - box) > np.maximum(3, 0.1 * sides)):
        inside, given = (", ".join(f"{value:g}" for value in values) for values in (tight, box))
        yield "mask does not fit the box", f"its mask spans {inside}, its box {given} (y1, x1, y2, x2)"
    area = float(record.areas[i])
    # The rasterised outline adds or takes up to half a pixel all along the edge.
    if abs(area - pixels) > 0.25 * max(area, pixels) + 0.5 * sides.sum():
        yield "area disagrees with the mask", f"area {area:g}, the mask has {pixels:,} pixels"


def _of_keypoints(record: Record, i: int) -> Iterator[tuple[str, str]]:
    if record.keypoints is None:
        return
    points, box, size = record.keypoints[i][:, :2], record.boxes[i], (record.height, record.width)
    visible = record.keypoints[i][:, 2] > 0
    outside = visible & ~np.all((points >= 0) & (points <= size), axis=1)
    if outside.any():
        yield "keypoint outside the image", f"{outside.sum()} of them"
    beyond = np.maximum(box[:2] - points, points - box[2:]).max(axis=1)
    far = visible & ~outside & (beyond > FAR * (box[2:] - box[:2]).max())
    if far.any():
        yield "keypoint far from the box", f"{far.sum()} of them, such as number {far.argmax() + 1}"


def _duplicates(record: Record) -> Iterator[tuple[int, int]]:
    """Pairs i < j of objects, not crowds, of a class with nearly the same box."""
    finite = np.isfinite(record.boxes).all(axis=1, keepdims=True)
    boxes = np.where(finite, record.boxes, 0).astype(np.float64)
    same = (record.labels[:, None] == record.labels) & ~record.crowd[:, None] & ~record.crowd
    twice = same & (overlaps.pairwise_iou(boxes, boxes) > DUPLICATE_IOU)
    for i, j in zip(*np.nonzero(np.triu(twice, 1)), strict=True):
        yield int(i), int(j)
