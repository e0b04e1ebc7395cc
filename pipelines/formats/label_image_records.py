"""Label maps of records that others made, such as DeepLab's: read as they are, so they must be as ours."""

from collections import Counter

import numpy as np

from tfrecog.data import image_numpy, info, records

from ..build import label_map_records
from ..build.problems import Refused
from ..classes import pixel_classes


def facts(classes: str) -> info.DatasetInfo:
    """DatasetInfo of a class file, whose values count from 0 as those of records do."""
    categories = pixel_classes.of_file(classes, ()).categories
    if [one.id for one in categories] != list(range(len(categories))):
        raise Refused(f"{classes}: the values of the classes in records count from 0, without gaps")
    return label_map_records.facts(categories)


def pixels(record: records.Record, place: str) -> Counter:
    """Pixels of a label map by label; Refused where it would not be read as it is meant."""
    png = record.label_map or b""
    try:
        picture = image_numpy.header(png)
    except image_numpy.Unreadable as error:
        raise Refused(f"{place}: its label map cannot be decoded: {error}") from error
    mode, size, few_bits = picture.mode, (picture.height, picture.width), png[24] != 8  # of IHDR
    if mode not in ("L", "P") or (mode == "L" and few_bits):
        what = f"its label map has the mode {mode}" + (f" of {png[24]} bits" if mode == "L" else "")
        raise Refused(
            f"{place}: {what}; records hold 8-bit gray ones: build them from the files (pipelines.segmentation)"
        )
    if size != (record.height, record.width):
        stated = f"the record says {record.height} x {record.width}"
        raise Refused(f"{place}: its label map is {size[0]} x {size[1]} (height x width), and {stated}")
    return Counter(dict(enumerate(np.bincount(records.from_label_map(png).ravel()).tolist())))


def by_label(counts: Counter, num_classes: int) -> tuple[int, ...]:
    """Pixels [K + 1] by label; Refused where some are of other classes."""
    if max(counts) > num_classes:
        raise Refused(
            f"--classes names {num_classes} classes, and label maps have the value {max(counts) - 1}, counted from 0; "
            "give the list that the records were made with"
        )
    return tuple(counts[label] for label in range(num_classes + 1))
