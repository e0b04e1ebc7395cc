"""Records of images with a label map each: what their pipelines share."""

from collections.abc import Sequence

import numpy as np

from tfrecog.data import info, records

from . import image_records, shards
from .image_records import Encoded
from .problems import Problem


def facts(categories: Sequence[info.Category]) -> info.DatasetInfo:
    """DatasetInfo of images with a label map each."""
    return info.DatasetInfo(tuple(categories), splits={}, label_maps=True)


def record(
    image: Encoded,
    labels: np.ndarray,
    outside: dict[str, int],
    name: str,
    source_id: str,
    file: str,
    correct: str = "add the class to --classes",
) -> tuple[records.Record | None, list[Problem]]:
    """The Record of an image and its labels [H, W], None if they are not of one size, and the problems [Problem].

    Args:
        outside: how many pixels have each value that is of no class; see `pixel_labels.read`.
        name, source_id: of the image.
        file: of the label map, for problems.
        correct: what to do about the values outside.
    """
    found = []

    def report(kind: str, what: str, remedy: str) -> None:
        found.append(Problem(kind, file, what, remedy, source_id))

    size = image.height, image.width
    if labels.shape != size:
        what = f"it is {labels.shape[0]} x {labels.shape[1]} (height x width), the image {size[0]} x {size[1]}"
        report("label map and image of different sizes", what, "The image is left out: use the map of this image.")
        return None, found
    if outside:
        most = sorted(outside.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{value} ({count:,} pixels)" for value, count in most[:5])
        what = f"no class has {shown}" + (f" and {len(most) - 5} more" if len(most) > 5 else "")
        correct += f", or say so with --ignore={most[0][0]}" if most[0][0].isdecimal() else ""
        report("value outside the class table", what, f"These pixels do not count: {correct}.")
    if not labels.any():
        remedy = "It is kept and teaches nothing: leave it out, or correct --classes and --ignore."
        report("no pixel counts", "all its pixels are ignored", remedy)
    label_map = records.to_label_map(labels)
    return records.Record(image.data, image.format, *size, name, source_id, label_map=label_map), found


def report(out: str, split: str, built: shards.Built) -> str:
    """What a build did, for people."""
    pixels = built.split.pixels
    counts = f"\n{sum(pixels[1:]):,} pixels count, {pixels[0]:,} do not" if pixels else ""
    return image_records.report(out, split, built, info.load(out).num_classes) + counts
