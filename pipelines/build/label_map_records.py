"""Records of images with a label map each: what their pipelines share."""

from collections.abc import Sequence

import numpy as np

from tfrecog.data import info, records

from .image_records import Encoded
from .problems import Reporter


def facts(categories: Sequence[info.Category]) -> info.DatasetInfo:
    """DatasetInfo of images with a label map each."""
    return info.DatasetInfo(tuple(categories), splits={}, label_maps=True)


def weights(labels: np.ndarray) -> dict[int, int]:
    """How many pixels of a label map [H, W] each label has, for `shares`."""
    return {label: count for label, count in enumerate(np.bincount(labels.ravel()).tolist()) if label and count}


def record(
    image: Encoded,
    labels: np.ndarray,
    outside: dict[str, int],
    name: str,
    report: Reporter,
    correct: str = "add the class to --classes",
) -> records.Record:
    """The Record of an image and its labels [H, W]; LeftOut if they are not of one size.

    Args:
        outside: how many pixels have each value that is of no class; see `label_image.read`.
        name: of the image.
        report: takes the problems with the label map.
        correct: what to do about the values outside.
    """
    if labels.shape != image.size:
        sizes = (
            f"it is {labels.shape[0]} x {labels.shape[1]} (height x width), the image {image.height} x {image.width}"
        )
        remedy = "The image is left out: use the map of this image."
        report.leave_out("label map and image of different sizes", sizes, remedy)
    if outside:
        most = sorted(outside.items(), key=lambda pair: -pair[1])
        shown = ", ".join(f"{value} ({count:,} pixels)" for value, count in most[:5])
        what = f"no class has {shown}" + (f" and {len(most) - 5} more" if len(most) > 5 else "")
        correct += f", or ignore it with --ignore={most[0][0]}" if most[0][0].isdecimal() else ""
        report("value outside the class table", what, f"These pixels are ignored: {correct}.")
    if not labels.any():
        remedy = "It is kept, and nothing is learned from it: leave it out, or correct --classes and --ignore."
        report("no pixel counts", "all its pixels are ignored", remedy)
    label_map = records.to_label_map(labels)
    return records.Record(**vars(image), filename=name, source_id=report.image_id, label_map=label_map)
