"""A picture of records with their annotations drawn."""

import numpy as np
from PIL import Image

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.data import info, records
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet, label_map

from ..build import image_records
from ..build.problems import Refused


def write(folder: str, splits: list[str], path: str, count: int = 12) -> list[str]:
    """Writes one picture of `count` records of each split, captioned with split and file; label maps have a legend.

    The records are from all over a split and its classes, and have instances if any has.

    Returns:
        The records that could not be drawn, as their image cannot be decoded, with the reason; they are left out. There
        is no picture if there is nothing to draw.
    """
    captions: list[str] = []
    pictures: list[np.ndarray] = []
    undrawn: list[str] = []
    for split in (Split.open(folder, name) for name in splits):
        dataset, places = split.info, split.index
        rows = np.flatnonzero(places.instances) if np.any(places.instances) else np.argsort(places.label, kind="stable")
        for i in np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)):
            record = split.truth(rows[i])
            label = dataset.label_of_record_label.get(record.label)
            caption = (f"{dataset.names[label - 1]}: " if label else "") + f"{split.name}/{record.filename}"
            try:
                pictures.append(_draw(record, dataset))
                captions.append(caption)
            except UserError as error:
                undrawn.append(f"{caption}: {error}")
    if not pictures:
        raise Refused(f"{path}: nothing could be drawn; without {'; '.join(undrawn) or 'a record'}")
    with files.write(path, "wb") as file:
        Image.fromarray(contact_sheet.draw(pictures, captions=captions)).save(file, "PNG")
    return undrawn


def _draw(record: records.Record, dataset: info.DatasetInfo) -> np.ndarray:
    """Picture [H, W, 3] of a record, or UserError; difficult objects have labels, and so colours, of their own."""
    image, names, labels = image_records.picture(record), dataset.names, record.labels
    if record.label_map is not None:
        colours = [category.colour for category in dataset.categories]
        try:
            return label_map.draw(image, records.from_label_map(record.label_map), names, colours, min_side=300)
        except (OSError, ValueError) as error:  # Pillow's, and that of another size
            raise UserError(f"its label map cannot be drawn ({error})") from error
    if record.difficult is not None:
        labels = labels + len(names) * record.difficult
        names = (*names, *(f"{name}, difficult" for name in names))
    body = {"skeleton": dataset.skeleton, "flip_pairs": dataset.flip_pairs}
    return annotations.instances(
        image, record.boxes, labels, None, record.masks, record.keypoints, names, **body, min_side=300
    )
