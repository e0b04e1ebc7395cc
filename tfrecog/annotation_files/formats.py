"""The formats by name, and what one of them could not hold."""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tfrecog.annotation_files.coco import Coco
from tfrecog.annotation_files.labelme import LabelMe
from tfrecog.annotation_files.yolo import Yolo
from tfrecog.cli.errors import UserError
from tfrecog.data.info import DatasetInfo

Writer = Coco | LabelMe | Yolo


def writer(kind: str, dataset: DatasetInfo, out: str | Path, images: str | Path, split: str = "train") -> Writer:
    """The writer of a format ("coco", "yolo" or "labelme").

    Args:
        kind: the format.
        dataset: classes and keypoints.
        out: folder of the annotations.
        images: folder of the images, which LabelMe's files name.
        split: of the data, which YOLO's data.yaml names.
    """
    if kind == "labelme":
        return LabelMe(dataset, out, images)
    return Yolo(dataset, out, split) if kind == "yolo" else Coco(dataset, out)


def check_names(kind: str, names: Iterable[str]) -> None:
    """Raises UserError where two of the images would have one annotation file."""
    if kind == "coco":
        return
    taken: dict[PurePosixPath, str] = {}
    for name in names:
        other = taken.setdefault(PurePosixPath(name).with_suffix(""), name)
        if other != name:
            raise UserError(f"--format={kind}: {other} and {name} would have one annotation file; rename one of them")


def report(kind: str, lost: Counter[str]) -> None:
    """Says in one line what the format could not hold, with how many of each."""
    if said := [f"{what} ({count:,})" for what, count in lost.items() if count]:
        print(f"--format={kind} cannot hold: {'; '.join(said)}", file=sys.stderr)
