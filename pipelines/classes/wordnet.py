"""The classes of ILSVRC 2012 by their WordNet ids, and those of its validation images."""

import functools
import importlib.util
import re
from pathlib import Path

from tfrecog.data.classes.imagenet import NAMES

ID = re.compile(r"n\d{8}")
VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")


@functools.cache
def names() -> dict[str, str]:
    """Names by WordNet id, in the order of the ids, which is that of torchvision's outputs."""
    return dict(zip(_lines("labels.txt"), NAMES, strict=True))


@functools.cache
def validation() -> tuple[str, ...]:
    """WordNet ids of the 50,000 validation images, in the order of their file names."""
    return _lines("validation_labels.txt")


def _lines(name: str) -> tuple[str, ...]:
    """Of a list that TensorFlow Datasets brings, which is not imported for it."""
    package = importlib.util.find_spec("tensorflow_datasets")
    folder = Path(package.origin or "").parent if package else Path()
    return tuple((folder / "datasets/imagenet2012" / name).read_text().split())
