"""Records of images with one class each: what their pipelines share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy, info, records

from . import problems, shards
from .problems import Problem


@dataclass(frozen=True)
class Encoded:
    """An image that tf.io can decode."""

    data: bytes
    format: str  # "jpeg" or "png"
    height: int
    width: int


def record(image: Encoded, name: str, source_id: str, label: int, class_name: str) -> records.Record:
    """The Record of an image with a label 1..K and no objects."""
    whole = {"label": label, "class_name": class_name}
    return records.Record(image.data, image.format, image.height, image.width, name, source_id, **whole)


def picture(record: records.Record) -> Image.Image:
    """The decoded picture of a record; UserError if there is none, or one of another size than the record says."""
    try:
        image = image_numpy.opened(record.encoded)
    except image_numpy.Unreadable as error:
        raise UserError(f"its image cannot be decoded: {error}") from error
    if image.size != (record.width, record.height):
        size = f"{image.height} x {image.width}"
        raise UserError(f"its image is {size}, the record says {record.height} x {record.width} (height x width)")
    return image


def facts(categories: Sequence[info.Category]) -> info.DatasetInfo:
    """DatasetInfo of images with one class each."""
    return info.DatasetInfo(tuple(categories), splits={}, image_labels=True)


def report(out: str, split: str, built: shards.Built, num_classes: int) -> str:
    """What a build did, for people."""
    lines = []
    if built.problems:
        path = os.path.join(out, f"{split}.report.jsonl")
        count = f"{len(built.problems):,} problem{'s' if len(built.problems) > 1 else ''}"
        lines.append(f"{count}; all of them are in {path}:\n{problems.table(built.problems)}")
    kept = f", {built.kept} of them there before" if built.kept else ""
    counts = f"{built.split.images:,} images of {num_classes:,} classes"
    lines.append(f"{out}: {split} has {counts} in {len(built.split.shards)} shards{kept}")
    return "\n".join(lines)


def unknown_label(name: str, label: object, known: str, source_id: str) -> Problem:
    """A label that is not on the list."""
    remedy = "The image is left out: correct its label, or give the class a name with --classes."
    return Problem("label outside the list", name, f"its label is {label}; there are {known}", remedy, source_id)
