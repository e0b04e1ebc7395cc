"""A picture of records with their annotations drawn."""

import functools
import io

import numpy as np
from PIL import Image

from tfrecog import atomic, draw
from tfrecog.data import index, info, records


def write(folder: str, split: str, path: str, count: int = 12) -> None:
    """Writes a picture of records from all over the split, those with instances first."""
    facts_of, places = info.load(folder), index.load(folder, split)
    rows = np.flatnonzero(places.instances) if np.any(places.instances) else np.arange(len(places))
    pictures, captions = [], []
    for i in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
        record = facts_of.relabel(records.decode(index.read(folder, places, rows[i])))
        image = np.asarray(Image.open(io.BytesIO(record.encoded)).convert("RGB"))
        show = functools.partial(draw.instances, skeleton=facts_of.skeleton, min_side=300)
        pictures.append(show(image, record.boxes, record.labels, None, record.masks, record.keypoints, facts_of.names))
        captions.append(record.filename)
    with atomic.write(path, "wb") as file:
        Image.fromarray(draw.sheet(pictures, captions=captions)).save(file, "PNG")
