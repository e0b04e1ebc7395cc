"""A picture of records with their annotations drawn."""

import functools
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tfrecog.cli import files
from tfrecog.data import image_numpy, records
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet, label_map

from ..build.problems import Refused


def write(folder: str, splits: list[str], path: str, count: int = 12) -> list[str]:
    """Writes one picture of `count` records of each split, captioned with split and file; label maps have a legend.

    Returns:
        The records that could not be drawn, as their image cannot be decoded, with the reason; they are left out. There
        is no picture if there is nothing to draw.
    """
    drawn: list[tuple[str, np.ndarray]] = []
    undrawn: list[str] = []
    for name in splits:
        for caption, picture, reason in _samples(Split.open(folder, name), count):
            if picture is None:
                undrawn.append(f"{caption}: {reason}")
            else:
                drawn.append((caption, picture))
    if not drawn:
        raise Refused(f"{path}: nothing could be drawn; without {'; '.join(undrawn) or 'a record'}")
    captions, pictures = zip(*drawn, strict=True)
    with files.write(path, "wb") as file:
        Image.fromarray(contact_sheet.draw(pictures, captions=captions)).save(file, "PNG")
    return undrawn


def _samples(split: Split, count: int) -> Iterator[tuple[str, np.ndarray | None, str]]:
    """Caption, picture (or None and why) of records from all over the split and its classes, with instances first."""
    facts_of, places = split.info, split.index
    rows = np.flatnonzero(places.instances) if np.any(places.instances) else np.argsort(places.label, kind="stable")
    body = {"skeleton": facts_of.skeleton, "flip_pairs": facts_of.flip_pairs}
    show = functools.partial(annotations.instances, **body, min_side=300)
    for i in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        record = split.truth(rows[i])
        label = facts_of.label_of_record_label.get(record.label)
        caption = f"{facts_of.names[label - 1]}: " if label else ""
        caption += f"{split.name}/{record.filename}"
        try:
            image = image_numpy.decode(record.encoded)
        except image_numpy.Unreadable as error:
            yield caption, None, f"its image cannot be decoded ({error})"
            continue
        size, stated = image.shape[:2], (record.height, record.width)
        if size != stated:
            yield caption, None, f"its image is {size}, not {stated} (height, width) as its record says"
            continue
        if record.label_map is not None:
            try:
                labels = records.from_label_map(record.label_map)
                colours = [category.colour for category in facts_of.categories]
                picture = label_map.draw(image, labels, facts_of.names, colours, min_side=300)
            except (OSError, ValueError) as error:  # Pillow's, and that of another size
                yield caption, None, f"its label map cannot be drawn ({error})"
                continue
            yield caption, picture, ""
            continue
        labels, names = _told_apart(record, facts_of.names)
        picture = show(image, record.boxes, labels, None, record.masks, record.keypoints, names)
        yield caption, picture, ""


def _told_apart(record: records.Record, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of the objects and the names of those; difficult ones have labels, and so colours, of their own."""
    if record.difficult is None:
        return record.labels, names
    return record.labels + len(names) * record.difficult, (*names, *(f"{name}, difficult" for name in names))
