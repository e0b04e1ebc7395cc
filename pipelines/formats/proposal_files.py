"""Proposals of a file, matched to the records of a split."""

import os

import numpy as np

from tfrecog.cli.progress import Bar
from tfrecog.data.frames import CorruptRecord
from tfrecog.data.split import Split
from tfrecog.proposals import methods

from ..build.problems import Refused


def of_file(path: str, split: Split) -> tuple[dict[int, np.ndarray], str]:
    """Proposals [P, 4] of each row of a split that a file has some for, and where the file has them from.

    Raises:
        Refused: it fits no image, or has proposals for other sizes; the message names the images.
    """
    try:
        images, source = methods.load(path)
    except ValueError as error:
        raise Refused(f"--file: {error}") from error
    found, wrong, used = {}, [], set()
    for row in Bar(range(len(split)), desc="matching", leave=False, delay=1):
        try:
            record = split.record(row)
        except CorruptRecord as error:
            raise Refused(f"{split.folder}: {error}") from error
        keys = (record.source_id, record.filename, os.path.basename(record.filename))
        name = next((key for key in keys if key and key in images), None)
        if name is None:
            continue
        used.add(name)
        size, stated = images[name].size, (record.height, record.width)
        if size != stated:
            place = f"{split.index.locate(row)}, {record.filename}"
            both = "{} x {}, the proposals of {!r}: {} x {}".format(*stated, name, *size)
            wrong.append(f"{place}: {both}")
        found[row] = images[name].boxes
    if wrong:
        listed = "\n  ".join(wrong[:20] + [f"... and {len(wrong) - 20:,} more"] * (len(wrong) > 20))
        raise Refused(
            f"--file={path} has proposals for images of other sizes, of {len(wrong):,} images (height x width):\n"
            f"  {listed}\nMake proposals of these images, in their own pixels. Nothing is written."
        )
    if not found:
        some = ", ".join(repr(name) for name in list(images)[:3])
        raise Refused(f"--file={path} has no image of the split: its names are {some}, not source ids or file names")
    if len(used) < len(images):
        print(f"{len(images) - len(used):,} of {len(images):,} images of {path} are not in the split")
    return found, source
