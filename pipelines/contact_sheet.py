"""A picture of records with their annotations drawn."""

import functools
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tfrecog import atomic, draw
from tfrecog.data import index, info, records


def write(folder: str, splits: list[str], path: str, count: int = 12) -> None:
    """Writes one picture of `count` records of each split, captioned with split and file."""
    samples = [sample for split in splits for sample in _samples(folder, split, count)]
    captions, pictures = zip(*samples, strict=True)
    with atomic.write(path, "wb") as file:
        Image.fromarray(draw.sheet(pictures, captions=captions)).save(file, "PNG")


def _samples(folder: str, split: str, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Caption and picture of records from all over the split, those with instances first."""
    facts_of, places = info.load(folder), index.load(folder, split)
    rows = np.flatnonzero(places.instances) if np.any(places.instances) else np.arange(len(places))
    for i in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        record = facts_of.relabel(records.decode(index.read(folder, places, rows[i])))
        image = np.asarray(Image.open(io.BytesIO(record.encoded)).convert("RGB"))
        body = {"skeleton": facts_of.skeleton, "flip_pairs": facts_of.flip_pairs}
        show = functools.partial(draw.instances, **body, min_side=300)
        picture = show(image, record.boxes, record.labels, None, record.masks, record.keypoints, facts_of.names)
        yield f"{split}/{record.filename}", picture
